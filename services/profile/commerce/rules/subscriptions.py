"""Subscriptions: on which lists somebody is, by the last word on each.

To be on a list is no consent: that is another question, with rules of its own.
"""

from schemas.messages import Subscription
from services.profile.commerce.model import Commerce, SubscriptionState, Told
from services.profile.commerce.rules.recent import keep_latest
from services.profile.commerce.rules.words import short

MOST = 200
"""Lists, those that were left included; the latest are kept."""
_SUBSCRIBED = "Subscribed"
_EMAIL = "email"
EVENTS = frozenset([_SUBSCRIBED, "Unsubscribed"])


def fold_subscription(kept: Commerce, told: Told) -> bool:
    """Take in one of ``EVENTS``; False if it changes nothing or names no list."""
    said = told.properties
    name = short(said.get("list_name"))
    key = short(said.get("list_id")) or name
    if not key:
        return False
    state = SubscriptionState(
        at=told.at,
        message_id=told.message_id,
        subscribed=told.name == _SUBSCRIBED,
        name=name,
        channel=short(said.get("channel")).lower() or _EMAIL,
        source=short(told.source),
    )
    return keep_latest(kept.subscriptions, key, state, MOST)


def subscriptions_of(kept: Commerce) -> list[Subscription]:
    """Every list that the person was ever on or left, by id."""
    return [
        Subscription(
            list_id=list_id,
            name=state.name,
            # As read it is another string than the default, and would be published sometimes.
            channel=_EMAIL if state.channel == _EMAIL else state.channel,
            state="subscribed" if state.subscribed else "unsubscribed",
            at=state.at,
            message_id=state.message_id,
            source=state.source,
        )
        for list_id, state in sorted(kept.subscriptions.items())
    ]

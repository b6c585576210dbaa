"""Consent per channel: what a person last said, and whether we may message them now.

Fail-closed: no record means no message, and of two words at the same instant the more
restrictive one holds.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Literal

from msgspec import Struct

from services.profile.build.model import ConsentState, State

Said = Literal["granted", "denied", "withdrawn"]

CHANNELS = {
    "email": "email",
    "email_marketing": "email",
    "marketing_email": "email",
    "newsletter": "email",
    "sms": "sms",
    "sms_marketing": "sms",
    "marketing_sms": "sms",
    "push": "push",
    "push_marketing": "push",
    "marketing_push": "push",
}
"""Consent category (lower case, ``_`` for space and dash) -> channel; others mean nothing."""

WITHDRAWALS = frozenset({"Unsubscribed", "Email Marked as Spam"})
"""Events by which a person takes back consent to email."""
MESSAGE_WITHDRAWALS = frozenset({"Message Unsubscribed", "Message Complained"})
"""Steps of our own messages by which consent to the message's channel is taken back."""

_RESTRICTION = {"granted": 0, "denied": 1, "withdrawn": 2}
_STATES: dict[str, Said] = {
    "granted": "granted",
    "opted_in": "granted",
    "subscribed": "granted",
    "true": "granted",
    "denied": "denied",
    "false": "denied",
    "withdrawn": "withdrawn",
    "opted_out": "withdrawn",
    "unsubscribed": "withdrawn",
    "revoked": "withdrawn",
}


def categories(preferences: Any) -> Iterator[tuple[str, Said]]:
    """(channel, state) for each of ``context.consent.categoryPreferences``."""
    if isinstance(preferences, dict):
        for category, granted in preferences.items():
            channel = CHANNELS.get(_code(category))
            if channel is not None and isinstance(granted, bool):
                yield channel, "granted" if granted else "denied"


def updated(said: dict[str, Any]) -> tuple[str, Said] | None:
    """(channel, state) of a Consent Updated event; None when it cannot be understood.

    Its properties are ``channel`` (or ``category``) and ``state``, or ``granted`` (true or
    false); a grant that becomes false is a withdrawal.
    """
    channel = CHANNELS.get(_code(said.get("channel", said.get("category"))))
    if channel is None:
        return None
    granted = said.get("granted")
    if isinstance(granted, bool):
        return channel, "granted" if granted else "withdrawn"
    state = _STATES.get(_code(said.get("state")))
    return None if state is None else (channel, state)


def _code(value: Any) -> str:
    return str(value).strip().lower().replace(" ", "_").replace("-", "_")


def fold_consent(
    state: State, channel: str, said: Said, message: tuple[datetime, str], source: str
) -> bool:
    """Take in one statement, ``message`` being its (time, id); True if it is the last word."""
    at, message_id = message
    old = state.consent.get(channel)
    if old is not None and _rank(old.at, old.state, old.message_id) >= _rank(at, said, message_id):
        return False
    state.consent[channel] = ConsentState(said, at, message_id, source)
    return True


def _rank(at: datetime, said: str, message_id: str) -> tuple[datetime, int, str]:
    return at, _RESTRICTION[said], message_id


class Permission(Struct):
    """May we message this person on this channel now, and why (not)."""

    allowed: bool
    state: str
    """``granted``, ``denied``, ``withdrawn`` or ``none``."""
    since: datetime | None
    reason: str


def permission(state: State | None, channel: str) -> Permission:
    """The answer for one person; ``state`` None: nobody is known by that id."""
    if state is None:
        return Permission(False, "none", None, "unknown_profile")
    consent = state.consent.get(channel)
    if consent is None:
        return Permission(False, "none", None, "no_consent_recorded")
    allowed = consent.state == "granted"
    return Permission(allowed, consent.state, consent.at, f"consent_{consent.state}")

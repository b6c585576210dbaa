"""Which event is about what: the door of these rules for build's fold and its view."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from schemas.messages import Interaction
from services.profile.commerce.model import Commerce, Told
from services.profile.commerce.rules import carts, conversations, subscriptions, wishlists

_FOLDS: Mapping[str, tuple[str, Callable[[Commerce, Told], bool]]] = {
    **dict.fromkeys(carts.EVENTS, ("carts", carts.fold_cart)),
    **dict.fromkeys(wishlists.EVENTS, ("wishlists", wishlists.fold_wish)),
    **dict.fromkeys(subscriptions.EVENTS, ("subscriptions", subscriptions.fold_subscription)),
    **dict.fromkeys(conversations.EVENTS, ("conversations", conversations.fold_conversation)),
}
EVENTS = frozenset(_FOLDS)
ALWAYS_READ = EVENTS - subscriptions.EVENTS
"""The events whose properties are always worth reading here."""
_LISTS = (b'"list_id"', b'"list_name"')


def names_a_list(said: Interaction) -> bool:
    """Whether this track call may be about a subscription."""
    if said.name not in subscriptions.EVENTS:
        return False
    raw = bytes(said.event)
    return any(name in raw for name in _LISTS)


def fold_commerce(
    kept: Commerce, said: Interaction, at: datetime, properties: dict[str, Any]
) -> str | None:
    """Take in an event; the name of what it changed, as ``ProfileChanged.changed`` has it."""
    known = _FOLDS.get(said.name)
    if known is None:
        return None
    name, fold = known
    told = Told(said.name, at, said.interaction_id, said.source, properties)
    return name if fold(kept, told) else None

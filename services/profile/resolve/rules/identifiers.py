"""The identifiers that an event carries: normalised, judged, in order of priority."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from email_validator import EmailNotValidError, validate_email

from schemas.messages import Event, Identifier
from services.profile.resolve.model import (
    BLOCKED,
    BLOCKED_CHARACTERS,
    LONGEST_IDENTIFIER,
    PRIORITY,
    Link,
)

ORDER_EVENTS = frozenset({"Order Completed", "Order Updated", "Order Refunded", "Order Cancelled"})
"""Events whose ``properties.email`` is the buyer's. Elsewhere it may be anybody's."""


@lru_cache(maxsize=50_000)
def email_address(text: str) -> str | None:
    """An address in the one spelling by which it is compared, or None if it is none.

    Trimmed and in lower case, the local part too: no provider of note tells them apart,
    and people do not either. Whether mail arrives there does not matter here.
    """
    try:
        address = validate_email(
            text.strip(), check_deliverability=False, globally_deliverable=False
        )
    except EmailNotValidError:
        return None
    return address.normalized.lower()


def usable(value: str) -> bool:
    """Whether a user or anonymous id tells one person from others."""
    return (
        bool(value.strip(BLOCKED_CHARACTERS))
        and value.lower() not in BLOCKED
        and len(value) <= LONGEST_IDENTIFIER
    )


def link_of(event: Event) -> Link | None:
    """What ``event`` says of identity, or None when it carries no usable identifier."""
    good: list[Identifier] = []
    blocked: list[Identifier] = []
    for identifier, ok in _named(event):
        into = good if ok else blocked
        if identifier not in into:
            into.append(identifier)
    if not good:
        return None
    if len(good) > 1:
        good.sort(key=_priority)  # Stable: among equals, the event's own fields come first.
    return Link(
        message_id=event.message_id,
        at=event.timestamp,
        source=event.source,
        rule="alias" if event.type == "alias" else "same_event",
        identifiers=good,
        blocked=blocked,
    )


def _priority(identifier: Identifier) -> int:
    return PRIORITY[identifier.type]


def _named(event: Event) -> Iterator[tuple[Identifier, bool]]:
    """Every identifier that the event names, and whether it is usable."""
    if event.user_id is not None:
        yield _opaque("user_id", event.user_id)
    for text in _emails(event):
        address = email_address(text) if len(text) <= LONGEST_IDENTIFIER else None
        yield Identifier("email", address or text.strip().lower()), address is not None
    if event.anonymous_id is not None:
        yield _opaque("anonymous_id", event.anonymous_id)
    if event.type == "alias" and event.previous_id is not None:
        # Nobody says which kind of id it was. Beside a user id it can only link as an
        # anonymous one, since two user ids never join.
        kind = "user_id" if event.user_id is None else "anonymous_id"
        yield _opaque(kind, event.previous_id)


def _opaque(kind: str, value: str) -> tuple[Identifier, bool]:
    value = value.strip()
    return Identifier(kind, value), usable(value)


def _emails(event: Event) -> Iterator[str]:
    """Where an event may say its person's address. A group's traits are the group's."""
    places: list[Any] = []
    if event.type == "identify":
        places.append(event.traits)
    if event.context:
        places.append(event.context.get("traits"))
    if event.event in ORDER_EVENTS:
        places.append(event.properties)
    for place in places:
        if isinstance(place, dict):
            text = place.get("email")
            if isinstance(text, str) and text:
                yield text

"""The identifiers that an event carries: normalised, judged, in order of priority."""

from functools import lru_cache
from typing import Any

from email_validator import EmailNotValidError, validate_email

from schemas.catalogue import ORDER_EVENTS
from schemas.messages import Event, Identifier
from services.profile.resolve.model import (
    BLOCKED,
    BLOCKED_CHARACTERS,
    LONGEST_IDENTIFIER,
    PRIORITY,
    Link,
)


@lru_cache(maxsize=50_000)
def email_address(text: str) -> str | None:
    """An address in the one spelling by which it is compared, or None if it is none.

    Trimmed and in lower case, the local part too: no provider of note tells them apart,
    and people do not either. Whether mail arrives there does not matter here.
    """
    try:
        address = validate_email(
            text.strip(),
            check_deliverability=False,
            globally_deliverable=False,
            test_environment=True,
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
    if event.user_id is not None:
        _judge("user_id", event.user_id.strip(), good, blocked)
    for text in _emails(event):
        address = email_address(text) if len(text) <= LONGEST_IDENTIFIER else None
        _put(Identifier("email", address or text.strip().lower()), good if address else blocked)
    if event.anonymous_id is not None:
        _judge("anonymous_id", event.anonymous_id.strip(), good, blocked)
    if event.type == "alias" and event.previous_id is not None:
        # Nobody says which kind of id it was. Two user ids never join, so that it can
        # only link as an anonymous one.
        _judge("anonymous_id", event.previous_id.strip(), good, blocked)
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


def _judge(kind: str, value: str, good: list[Identifier], blocked: list[Identifier]) -> None:
    _put(Identifier(kind, value), good if usable(value) else blocked)


def _put(identifier: Identifier, into: list[Identifier]) -> None:
    if identifier not in into:
        into.append(identifier)


def _priority(identifier: Identifier) -> int:
    return PRIORITY[identifier.type]


def _emails(event: Event) -> list[str]:
    """Where an event may say its person's address.

    A group's traits are the group's; of properties, only an order's ``email`` is the
    buyer's, elsewhere it may be anybody's.
    """
    places: list[Any] = []
    if event.type == "identify":
        places.append(event.traits)
    if "traits" in event.context:
        places.append(event.context["traits"])
    if event.event in ORDER_EVENTS:
        places.append(event.properties)
    if not places:
        return places
    addresses = [place.get("email") for place in places if isinstance(place, dict)]
    return [address for address in addresses if isinstance(address, str) and address]

"""What a support person writes down, as the event that everybody else's consent is, too."""

from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any

import msgspec

from schemas.messages import Event, Identifier

SOURCE = "support"
"""The source of these events."""
_WAYS = ("user_id", "email", "anonymous_id")
"""By which identifier the person is named: the most trusted that there is."""


def event_of(
    said: dict[str, Any], person: dict[str, Any], times: tuple[datetime, datetime], id_: str
) -> Event:
    """Consent Updated; ``times`` are when it was said and when it was written down."""
    at, now = times
    return Event(
        message_id=id_,
        type="track",
        event="Consent Updated",
        timestamp=at,
        received_at=now,
        source=SOURCE,
        properties=said,
        **person,
    )


def named(identifiers: Sequence[Identifier], preferred: str) -> dict[str, Any] | None:
    """The fields of an event that name this person; None where nothing does.

    Among several of a kind it is the one that equals ``preferred`` (an address), else the first.
    """
    for way in _WAYS:
        known = sorted(one.value for one in identifiers if one.type == way)
        if not known:
            continue
        value = preferred if preferred in known else known[0]
        if way == "email":
            return {"context": {"traits": {"email": value}}}
        return {way: value}
    return None


def statement_id(key: str, request: str) -> str:
    """The messageId: the same for the same key and request, another for any other."""
    return "consent/" + digest([key, request])


def digest(value: Any) -> str:
    """128 bits of SHA-256 over a value as JSON, in hex."""
    return sha256(msgspec.json.encode(value, order="deterministic")).hexdigest()[:32]

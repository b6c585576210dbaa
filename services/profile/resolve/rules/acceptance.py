"""Does a record fit? From the bytes on a topic to an event, or the reason why not.

Ingest has accepted most events already, but a storefront may also write to ``events.*``
itself, so nothing is taken on trust. The body stays as it came; what is put right here
(spelling of the name, times that cannot be) goes into the interaction around it.
"""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TypeVar

import msgspec

from schemas.catalogue import canonical
from schemas.messages import Event, MessageChanged
from schemas.validation import EARLIEST, Fault, check, check_body, clamp

MOST_BYTES = 1_000_000
"""Of one event: with what is added, it must fit onto ``profile.interactions``."""

SKEW = timedelta(minutes=5)
"""How far the clocks of our own machines may be apart."""

_QUOTED = re.compile(r"'[^']*'")
"""What a decoder's message quotes of the sender's text: it may name a person."""

T = TypeVar("T")

_events = msgspec.json.Decoder(Event, float_hook=Decimal)
_steps = msgspec.json.Decoder(MessageChanged)


def accept_event(body: bytes | None, now: datetime) -> Event | Fault:
    """The event in a record of ``events.*``, in the catalogue's spelling and in UTC.

    Codes: those of ``_decode`` and of ``schemas.validation``; ``bad_time``.
    """
    event = _decode(_events, body)
    if isinstance(event, Fault):
        return event
    fault = check(event)
    if fault is not None:
        return fault
    if event.type == "track" and event.event is not None:
        event.event = canonical(event.event)
    return _timed(event, now)


def accept_step(body: bytes | None) -> MessageChanged | Fault:
    """The step in a record of ``message.changes``, which we have written ourselves."""
    return _decode(_steps, body)


def _decode(decoder: "msgspec.json.Decoder[T]", body: bytes | None) -> T | Fault:
    if body is None:
        return Fault("empty", "A record without a value.")
    if len(body) > MOST_BYTES:
        return Fault("too_large", f"An event has at most {MOST_BYTES} bytes.")
    fault = check_body(body)
    if fault is not None:
        return fault
    try:
        if not body.isascii():
            body.decode()  # The decoder does not look into fields that it skips.
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        return Fault("wrong_type", _QUOTED.sub("'...'", str(error)))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Fault("not_json", "Not a JSON text in UTF-8.")


def _timed(event: Event, now: datetime) -> Event | Fault:
    """Times in UTC that can be: not before there were shops, not after they were received."""
    try:
        received, happened = _utc(event.received_at), _utc(event.timestamp)
    except (ValueError, OverflowError):
        return Fault("bad_time", "timestamp and receivedAt are times with an offset from UTC.")
    if not EARLIEST <= received <= now + SKEW:
        received = now
    event.received_at = received
    event.timestamp, _ = clamp(happened, received)
    return event


def _utc(at: datetime) -> datetime:
    if at.tzinfo is UTC:
        return at
    if at.tzinfo is None:
        raise ValueError
    return at.astimezone(UTC)

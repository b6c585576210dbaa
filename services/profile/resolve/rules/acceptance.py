"""Does a record fit? From the bytes on a topic to an event, or the reason why not.

Ingest has accepted most events already, but a storefront may also write to ``events.*``
itself, so nothing is taken on trust. The body stays as it came, unless a direct producer
left something out or wrote properties in another form (``direct``); spelling of the name and
times that cannot be are put right in the interaction around it.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TypeVar

import msgspec
from msgspec import Struct

from schemas.catalogue import canonical
from schemas.messages import Event, IdentityDecision, MessageChanged
from schemas.properties.tidy import tidy
from schemas.validation import EARLIEST, Fault, check, check_body, clamp, doubts
from services.profile.resolve.model import Decision
from services.profile.resolve.rules import direct
from services.profile.resolve.rules.spelling import node_of

MOST_BYTES = 1_000_000
"""Of one event: with what is added, it must fit onto ``profile.interactions``."""

SKEW = timedelta(minutes=5)
"""How far the clocks of our own machines may be apart."""

_QUOTED = re.compile(r"'[^']*'")
"""What a decoder's message quotes of the sender's text: it may name a person."""

T = TypeVar("T")

_events = msgspec.json.Decoder(Event, float_hook=Decimal)
_steps = msgspec.json.Decoder(MessageChanged)
_decisions = msgspec.json.Decoder(IdentityDecision)


class Arrival(Struct):
    """What a record says beside its value."""

    headers: Mapping[str, bytes]
    timestamp: int
    """Milliseconds since 1970 at which it was written; 0: nobody knows."""


def accept_event(
    body: bytes | None, arrival: Arrival, now: datetime
) -> tuple[Event, bytes] | Fault:
    """The event in a record of ``events.*``, in the catalogue's spelling and in UTC.

    With it its body: as it came, but for a direct producer's, where something was missing or
    in another form. Codes: those of ``_decode``, of ``direct`` and of ``schemas.validation``;
    ``bad_time``.
    """
    taken = _read(body, arrival, now)
    if isinstance(taken, Fault):
        return taken
    event, body = taken
    if event.type == "track" and event.event is not None:
        event.event = canonical(event.event)
        body = _tidied(event, event.event, body)
    fault = check(event)
    if fault is not None:
        return fault
    timed = _timed(event, now)
    return timed if isinstance(timed, Fault) else (timed, body)


def _read(body: bytes | None, arrival: Arrival, now: datetime) -> tuple[Event, bytes] | Fault:
    """The event, completed where it did not come from ingest."""
    ce: dict[str, str] | None = None
    if body is not None and direct.is_structured(arrival.headers):
        inner = direct.unwrapped(body, arrival.headers)
        if isinstance(inner, Fault):
            return inner
        body, ce = inner
    event = _decode(_events, body)
    if isinstance(event, Event):
        if event.source and ce is None:
            return event, body or b""  # Mostly: ingest has written it.
    elif event.code != "wrong_type" or not _is_object(body):
        return event
    assert body is not None
    ce = direct.attributes(arrival.headers) if ce is None else ce
    whole = direct.completed(body, ce, _written_at(arrival.timestamp, now))
    if isinstance(whole, Fault):
        return whole
    event = _decode(_events, whole)
    return event if isinstance(event, Fault) else (event, whole)


def _written_at(timestamp: int, now: datetime) -> datetime:
    at = timestamp / 1_000
    return datetime.fromtimestamp(at, UTC) if 0 < at < now.timestamp() else now


def _is_object(body: bytes | None) -> bool:
    return body is not None and body.lstrip()[:1] == b"{"


def _tidied(event: Event, name: str, body: bytes) -> bytes:
    """Put the properties right, as ingest has done already with what came through it."""
    changed = tidy(name, event.properties)
    flags = [flag for flag in doubts(name, event.properties) if flag not in event.flags]
    if not changed and not flags:
        return body
    event.flags += flags
    parts = {"properties": event.properties} | ({"flags": event.flags} if flags else {})
    return direct.rewritten(body, **parts)


def accept_step(body: bytes | None) -> MessageChanged | Fault:
    """The step in a record of ``message.changes``, which we have written ourselves."""
    return _decode(_steps, body)


def accept_decision(body: bytes | None) -> Decision | Fault:
    """The decision in a record of ``identity.decisions``. Code: one_sided, and ``_decode``'s."""
    said = _decode(_decisions, body)
    if isinstance(said, Fault):
        return said
    a, b = (tuple(map(node_of, side)) for side in (said.a, said.b))
    if not a or not b or set(a) & set(b) or said.at.tzinfo is None:
        return Fault("one_sided", "A decision has two sides with nothing in common, and a time.")
    return Decision(said.decision_id, said.kind, said.at, a, b, said.actor, said.reason)


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

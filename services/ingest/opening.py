"""From the text of a request to the texts of its events: pure.

One bad event must not cost its neighbours, so a batch is opened without looking into its
events. Two mistakes that senders really make are no JSON at all: ``NaN`` (Python, by
default) and half an emoji (texts cut by JavaScript). Such a body is opened the slow way,
and only the events that carry the mistake are refused.
"""

import json
import re
from decimal import Decimal
from typing import Any

import msgspec
from msgspec import Raw

from schemas.validation import DEEPEST, Fault, check_body
from services.ingest.model import MAX_EVENTS, MAX_SHARED, Envelope, Shared
from services.ingest.rules import decode

# The closing quote is optional, so that a hostile body cannot make the search start over.
_TOKENS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"?|[\[\]{}]', re.DOTALL)
_PRUNED = DEEPEST + 8
_NOT_JSON = Raw(b"\xff")
"""Refused by ``rules.decode`` as bad_text."""
_envelopes = msgspec.json.Decoder(Envelope)
_encoder = msgspec.json.Encoder(decimal_format="number")


def open_batch(body: bytes) -> Envelope | Fault:
    """The envelope of a batch. Codes: bad_json, bad_batch, batch_too_long."""
    try:
        envelope = _open(body)
    except RecursionError:
        envelope = _open(_prune(body))
    if isinstance(envelope, Envelope) and len(envelope.batch) > MAX_EVENTS:
        detail = f"A batch has at most {MAX_EVENTS:,} events; none of these was taken."
        return Fault("batch_too_long", detail)
    return envelope


def _open(body: bytes) -> Envelope | Fault:
    try:
        return _envelopes.decode(body)
    except msgspec.ValidationError as error:
        return Fault("bad_batch", f"The body must be an object with a list `batch`: {error}")
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _salvage(body)


def _prune(body: bytes) -> bytes:
    """``body`` with what lies too deep cut short: still too deep, but not for the parser."""
    kept: list[bytes] = []
    depth = start = 0
    for token in _TOKENS.finditer(body):
        if token[0] in (b"{", b"["):
            depth += 1
            if depth == _PRUNED:
                kept.append(body[start : token.start()])
        elif token[0] in (b"}", b"]"):
            if depth == _PRUNED:
                kept.append(b"0")
                start = token.end()
            depth -= 1
    return b"".join((*kept, body[start:] if depth < _PRUNED else b""))


def shared_of(envelope: Envelope) -> Shared | Fault:
    """What the batch says for all of its events. Code: bad_batch."""
    fields: dict[str, Any] = {}
    for name, text in (("context", envelope.context), ("integrations", envelope.integrations)):
        if bytes(text) == b"null":
            continue
        value = check_body(bytes(text), DEEPEST - 1) or decode(text)
        if isinstance(value, Fault):
            return Fault("bad_batch", f"{name}: {value.detail or value.code}")
        if len(bytes(text)) > MAX_SHARED:
            return Fault("bad_batch", f"{name} of a batch has at most {MAX_SHARED:,} bytes.")
        fields[name] = value
    return Shared(sent_at=envelope.sent_at, **fields)


def write_key_of(body: bytes) -> Any:
    """``writeKey`` of a single event's body, or None."""
    try:
        return msgspec.json.decode(body, type=_Keyed).write_key
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


class _Keyed(msgspec.Struct, rename="camel"):
    write_key: Any = None


def _salvage(body: bytes) -> Envelope | Fault:
    """A batch that is nearly JSON: events that are not come back as no object at all."""
    try:
        said = json.loads(body, parse_float=Decimal, parse_constant=_Constant)
    except ValueError:
        return Fault("bad_json", "The body is not JSON.")
    items = said.get("batch") if isinstance(said, dict) else None
    if not isinstance(items, list):
        return Fault("bad_batch", "The body must be an object with a list `batch`.")
    context, integrations = _reencode(said.get("context")), _reencode(said.get("integrations"))
    if context is None or integrations is None:
        return Fault("bad_json", "The body is not JSON.")
    return Envelope(
        batch=[_reencode(item) or _NOT_JSON for item in items],
        context=context,
        integrations=integrations,
        sent_at=said.get("sentAt"),
        write_key=said.get("writeKey"),
    )


class _Constant:
    """NaN, Infinity or -Infinity: not JSON, and nothing to encode."""

    def __init__(self, _word: str) -> None: ...


def _reencode(value: Any) -> Raw | None:
    try:
        return Raw(_encoder.encode(value))
    except (TypeError, UnicodeEncodeError, RecursionError, msgspec.MsgspecError):
        return None

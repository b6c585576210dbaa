"""Events that a storefront has written to ``events.*`` itself, brought into ingest's form.

Three forms: Segment's JSON, the same with the headers of a CloudEvent (binary mode), and a
CloudEvent around it (structured mode, JSON format; CloudEvents 1.0, Kafka binding). What
ingest would have added is taken from the CloudEvent's attributes and the record itself.
"""

import binascii
from base64 import b64decode
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from schemas.messages import Event
from schemas.validation import DEEPEST, Fault, check_body

STRUCTURED = b"application/cloudevents"
"""What the content type of a structured event begins with."""

_PLAIN = b"application/json"
_KNOWN = frozenset(Event.__struct_encode_fields__)
_IDS = ("userId", "anonymousId", "previousId", "groupId")
_LONGEST_SOURCE = 200

_decoder = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)
_encoder = msgspec.json.Encoder(decimal_format="number")


def is_structured(headers: Mapping[str, bytes]) -> bool:
    """Whether the value is a CloudEvent, and not the event itself."""
    kind = headers.get("content-type", b"")
    return kind != _PLAIN and kind.lower().startswith(STRUCTURED)


def unwrapped(body: bytes, headers: Mapping[str, bytes]) -> tuple[bytes, dict[str, str]] | Fault:
    """The event within a structured CloudEvent, and that one's attributes.

    Code: bad_cloudevent, and those of ``check_body``.
    """
    if not headers["content-type"].lower().startswith(STRUCTURED + b"+json"):
        return Fault("bad_cloudevent", "Of structured CloudEvents only the JSON format is read.")
    fault = check_body(body, DEEPEST + 1)
    if fault is not None:
        return fault
    try:
        said = _decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return Fault("bad_cloudevent", "Not a JSON object.")
    if not str(said.get("specversion")).startswith("1."):
        return Fault("bad_cloudevent", "specversion must be 1.0.")
    data = _data(said)
    if data is None:
        return Fault("bad_cloudevent", "data must be the event: a JSON object.")
    return data, {name: value for name, value in said.items() if isinstance(value, str)}


def attributes(headers: Mapping[str, bytes]) -> dict[str, str]:
    """The attributes of a CloudEvent in binary mode; none of a plain record."""
    return {
        name[3:]: value.decode("utf-8", "replace")
        for name, value in headers.items()
        if name.startswith("ce_") and value is not None
    }


def completed(body: bytes, ce: Mapping[str, str], written_at: datetime) -> bytes | Fault:
    """The event with what ingest would have added, where the sender has not said it.

    ``receivedAt`` is when the record was written, ``messageId`` the CloudEvent's id,
    ``timestamp`` its time, ``source`` its source; whole numbers as ids become text, and null
    means absent. Codes: not_json; bad_message_id, when nothing names the event: sent again,
    it would count again.
    """
    try:
        said = _decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return Fault("not_json", "Not a JSON object in UTF-8.")
    whole = {name: value for name, value in said.items() if value is not None or name not in _KNOWN}
    for name in _IDS:
        value = whole.get(name)
        if isinstance(value, int) and not isinstance(value, bool):
            whole[name] = str(value)
    if not whole.get("messageId"):
        if not ce.get("id"):
            return Fault("bad_message_id", "messageId is needed, or the header ce_id.")
        whole["messageId"] = ce["id"]
    whole.setdefault("receivedAt", written_at)
    if "timestamp" not in whole:
        original = whole.get("originalTimestamp")
        whole["timestamp"] = original or ce.get("time") or whole["receivedAt"]
    if not whole.get("source") and ce.get("source"):
        whole["source"] = ce["source"][:_LONGEST_SOURCE]
    return body if whole == said else _encoder.encode(whole)


def rewritten(body: bytes, **parts: Any) -> bytes:
    """``body`` with some of its fields replaced, all others as they came."""
    return _encoder.encode(_decoder.decode(body) | parts)


def _data(said: dict[str, Any]) -> bytes | None:
    data = said.get("data")
    if isinstance(data, dict):
        return _encoder.encode(data)
    encoded = said.get("data_base64")
    try:
        return b64decode(encoded, validate=True) if isinstance(encoded, str) else None
    except (binascii.Error, ValueError):
        return None

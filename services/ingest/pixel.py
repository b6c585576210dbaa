"""Events in the query of an image's address (Segment's pixel API): pure."""

import binascii
from base64 import b64decode
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from schemas.validation import Fault
from services.ingest.model import MAX_EVENT

GIF = b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
"""One transparent pixel."""
_LONGEST = MAX_EVENT * 3 // 2
"""Bytes; base64 makes four of three."""
_MOST_FIELDS = 200


def event_text(query: bytes) -> bytes | Fault:
    """The event in ``query``: ``data`` is its JSON in base64; or one field each, unencoded.

    Of the latter, dots lead into objects: ``properties.subject=Hello``. Code: bad_query.
    """
    if len(query) > _LONGEST:
        return Fault("bad_query", "The query is too long.")
    try:
        fields = parse_qsl(query.decode("latin-1"), errors="strict", max_num_fields=_MOST_FIELDS)
    except ValueError:
        return Fault("bad_query", "The query is not UTF-8, or has too many fields.")
    for name, value in fields:
        if name == "data":
            return _decode(value)
    event: dict[str, Any] = {}
    for name, value in fields:
        if not _put(event, name.split("."), value):
            return Fault("bad_query", "A field of the query is both a value and an object.")
    return msgspec.json.encode(event)


def _decode(data: str) -> bytes | Fault:
    # Unpadded as a rule, in either alphabet; "+" has become a space where it was not escaped.
    text = data.strip().replace(" ", "-").replace("+", "-").replace("/", "_").rstrip("=")
    try:
        return b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
    except (binascii.Error, ValueError):
        return Fault("bad_query", "data is not base64.")


def _put(event: dict[str, Any], path: list[str], value: str) -> bool:
    for name in path[:-1]:
        inner = event.setdefault(name, {})
        if not isinstance(inner, dict):
            return False
        event = inner
    if isinstance(event.get(path[-1]), dict):
        return False
    event[path[-1]] = value
    return True

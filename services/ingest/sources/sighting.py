"""One event as a watcher of its source sees it: pure.

People who may not see personal data see the event with mail addresses and telephone
numbers masked. A write key is shown to nobody.
"""

import re
from datetime import datetime
from typing import Any, Literal

import msgspec
from msgspec import Struct

from services.ingest.model import MAX_EVENT

Verdict = Literal["accepted", "duplicate", "rejected", "unavailable"]

MASK = "***"
_MAIL = re.compile(r"[^\s@<>\"',;:()\[\]]{1,64}@[^\s@<>\"',;:()\[\]]{1,255}")
_CALLABLE = re.compile(r"(?<![\w+.-])(?:\+|00)\d[\d ()./-]{5,20}\d(?![\w-])")
"""A telephone number in international form, wherever it stands."""
_PHONE_NAMES = ("phone", "mobile", "msisdn", "whatsapp", "fax")
_KEYED = re.compile(r'("writeKey"\s*:\s*)"(?:[^"\\]|\\.)*"?')
_DEEPEST = 64


class Sighting(Struct, kw_only=True, frozen=True, omit_defaults=True):
    """What came, and what was said of it."""

    id: str
    """Sorts by time."""
    source: str
    at: datetime
    verdict: Verdict
    code: str = ""
    """Why it was rejected."""
    detail: str = ""
    message_id: str = ""
    name: str = ""
    """The event's name."""
    text: bytes = b""
    """As it was sent, at most as long as an event may be."""
    cut: bool = False
    """Whether ``text`` is only its beginning."""


def moment(at: datetime) -> str:
    """What the ids of sightings of that instant begin with; sorts by time."""
    return f"{at.timestamp():017.3f}"


def sighted(text: bytes) -> tuple[bytes, bool]:
    """What is kept of an event's text, and whether it is cut."""
    return text[:MAX_EVENT], len(text) > MAX_EVENT


def event_of(sighting: Sighting, *, masked: bool) -> Any:
    """The event's JSON; its text where it is no JSON."""
    try:
        said = msgspec.json.decode(sighting.text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        text = sighting.text.decode("utf-8", "replace")
        text = _KEYED.sub(rf'\1"{MASK}"', text)
        return masked_text(text) if masked else text
    return _shown(said, masked, "", 0)


def _shown(value: Any, masked: bool, name: str, depth: int) -> Any:
    if depth > _DEEPEST:
        return "..."
    if isinstance(value, dict):
        return {
            masked_text(key) if masked else key: (
                MASK if key == "writeKey" else _shown(one, masked, key, depth + 1)
            )
            for key, one in value.items()
        }
    if isinstance(value, list):
        return [_shown(one, masked, name, depth + 1) for one in value]
    if masked and isinstance(value, str | int) and not isinstance(value, bool):
        if any(word in name.lower() for word in _PHONE_NAMES):
            return MASK
        return masked_text(value) if isinstance(value, str) else value
    return value


def masked_text(text: str) -> str:
    """``text`` with mail addresses and international telephone numbers masked."""
    return _CALLABLE.sub(MASK, _MAIL.sub(f"{MASK}@{MASK}", text))

"""Texts out of nested JSON, bounded and fit to be written again; and a source's options.

Beside ``body``, which reads one value at a time. Pure.
"""

import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from schemas.validation import Fault
from services.ingest.hooks import body

T = TypeVar("T", bound=Struct)

LONGEST = 2_000
"""Characters of a text that is kept, unless a caller says otherwise."""
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
"""All but tab and line breaks: they show nothing, and take six bytes each in JSON."""
_PLACE = re.compile(r" - at `\$\.?(.*)`$")


def at(said: Any, *path: str) -> Any:
    """What lies at ``path`` in nested objects, or None."""
    for name in path:
        if not isinstance(said, Mapping):
            return None
        said = said.get(name)
    return said


def text(said: Any, *path: str, most: int = LONGEST) -> str | None:
    """A text at ``path``, trimmed and cut to ``most`` characters; whole numbers count as text."""
    value = body.text(at(said, *path))
    return value and clip(value, most)


def texts(said: Any, *path: str) -> list[str]:
    """The texts of a list at ``path``, or the one text that stands in its place."""
    value = at(said, *path)
    found = [body.text(item) for item in (value if isinstance(value, list) else [value])[:100]]
    return [clip(item, LONGEST) for item in found if item]


def clip(value: str, most: int) -> str:
    """``value`` with at most ``most`` characters: no control characters, no half ones."""
    return _CONTROL.sub("", value[:most]).encode("utf-8", "replace").decode()


def nameless(value: str) -> str:
    """A short hash of an address or a name, for ids, which outlive the person's erasure."""
    return sha256(value.strip().lower().encode("utf-8", "replace")).hexdigest()[:20]


class Tolerance(Struct, forbid_unknown_fields=True):
    """The options of a hook that has none but how old a signature may be."""

    tolerance_seconds: float | None = None


def faults(options: Any, fitting: type[Struct]) -> list[Fault]:
    """Why ``options`` are no ``fitting``; empty when they are. Code: bad_options."""
    read = settled(options, fitting)
    return [read] if isinstance(read, Fault) else []


def settled(options: Any, fitting: type[T]) -> T | Fault:
    """``options`` as a ``fitting``, defaults filled in. Code: bad_options."""
    try:
        return msgspec.convert(options, fitting)
    except msgspec.ValidationError as error:
        said = str(error)
        place = _PLACE.search(said)
        where = f"options.{place[1]}" if place and place[1] else "options"
        return Fault("bad_options", f"{where}: {_PLACE.sub('', said)}")

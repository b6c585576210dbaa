"""A source's options as its hook reads them: declared as a Struct, checked against it. Pure."""

from typing import Any, TypeVar

import msgspec

from schemas.validation import Fault
from services.ingest.hooks.model import Options

T = TypeVar("T")


def read(options: Options, kind: type[T]) -> T:
    """``options`` as a ``kind``; raises ``msgspec.ValidationError`` where they do not fit."""
    return msgspec.convert(dict(options), kind)


def check(options: Any, kind: type[Any]) -> list[Fault]:
    """Why ``options`` are no ``kind``; nothing when they are. Code: bad_options."""
    try:
        msgspec.convert(options, kind)
    except msgspec.ValidationError as error:
        text, _, place = str(error).partition(" - at `$")
        where = place.rstrip("`").lstrip(".") or "options"
        return [Fault("bad_options", f"{where}: {text}")]
    return []

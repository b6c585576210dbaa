"""Reading what providers send: JSON with exact numbers, and values of whatever type. Pure."""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec

from schemas.validation import Fault, amount, check_body

_LONGEST_NUMBER = 64
_DEEPEST = 64
_MILLISECONDS = 10**11


def _number(text: str) -> Decimal:
    number = Decimal(text)
    if len(text) > _LONGEST_NUMBER or abs(number.adjusted()) > _LONGEST_NUMBER:
        raise ValueError("a number out of range")
    return number


_decoder = msgspec.json.Decoder(float_hook=_number)


def read(body: bytes) -> Any | Fault:
    """Any JSON value, fractions as ``Decimal``. Codes: bad_json, nul_byte, too_deep."""
    fault = check_body(body, _DEEPEST)
    if fault is not None:
        return fault
    try:
        return _decoder.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return Fault("bad_json", "The body is not JSON in UTF-8.")


def read_object(body: bytes) -> dict[str, Any] | Fault:
    """A JSON object. Code: not_an_object, and those of ``read``."""
    said = read(body)
    if isinstance(said, Fault):
        return said
    return said if isinstance(said, dict) else Fault("not_an_object", "The body is no JSON object.")


def part(said: Any, name: str) -> Mapping[str, Any]:
    """The object at ``name`` of an object; empty when there is none."""
    inner = said.get(name) if isinstance(said, Mapping) else None
    return inner if isinstance(inner, Mapping) else {}


def parts(said: Any, name: str) -> list[Mapping[str, Any]]:
    """The objects in the list at ``name`` of an object."""
    inner = said.get(name) if isinstance(said, Mapping) else None
    return [one for one in inner if isinstance(one, Mapping)] if isinstance(inner, list) else []


def text(value: Any) -> str | None:
    """A non-empty text, trimmed, from a text or a whole number; None from all else."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return (value.strip() or None) if isinstance(value, str) else None


def money(value: Any) -> Decimal | None:
    """An exact amount from a number or a plain decimal in a text; None from all else."""
    return amount(value)


def instant(value: Any) -> datetime | None:
    """A time of ISO 8601 in UTC (without an offset it is UTC), or Unix time.

    Unix time is in seconds, or in milliseconds where seconds would be thousands of years off.
    """
    try:
        if isinstance(value, str):
            at = datetime.fromisoformat(value.strip())
            return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
        if isinstance(value, int | Decimal) and not isinstance(value, bool):
            seconds = float(value)
            if abs(seconds) > _MILLISECONDS:
                seconds /= 1_000
            return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        pass
    return None


def present(fields: Mapping[str, Any]) -> dict[str, Any]:
    """``fields`` without those that say nothing."""
    return {name: value for name, value in fields.items() if value not in (None, "", [], {})}

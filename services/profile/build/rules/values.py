"""Reading values as senders write them: numbers, currencies, times, dotted paths."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from functools import lru_cache
from typing import Any

import msgspec

DEFAULT_CURRENCY = "USD"
"""Of an amount without a currency."""

_LIMIT = Decimal(10) ** 12
_PLACES = Decimal("0.000001")
_CENTS = Decimal("0.01")
_NOTHING = Decimal("0.00")
_NUMBER = re.compile(r"[+-]?[0-9]{1,12}(\.[0-9]{1,30})?")
_CURRENCY = re.compile(r"[A-Z]{3}")
_LONGEST = 200
_encode = msgspec.json.Encoder().encode
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def number(value: Any) -> Decimal | None:
    """``value`` as an exact number in canonical form, or None when it is none.

    Takes numbers, and plain decimals in strings (``" 12.50 "``). Rounds to six places, half
    to even, which removes what binary arithmetic in a browser adds (``59.970000000000006``);
    at least two places are kept. Not from 10^12 on, NaN or infinity.
    """
    if value is None:
        return None
    if isinstance(value, Decimal):
        parsed = value
    elif isinstance(value, str):
        value = value.strip()
        if not _NUMBER.fullmatch(value):
            return None
        parsed = Decimal(value)
    elif isinstance(value, float):
        parsed = Decimal(repr(value))
    elif isinstance(value, int) and not isinstance(value, bool):
        parsed = Decimal(value)
    else:
        return None
    if not parsed.is_finite() or parsed.copy_abs() >= _LIMIT:  # `abs` would round
        return None
    return canonical(parsed)


def canonical(value: Decimal) -> Decimal:
    """One representation for equal numbers: two to six places, no negative zero."""
    cents = value.quantize(_CENTS, ROUND_HALF_EVEN)
    if cents == value:  # as most amounts are
        return cents if cents else _NOTHING
    rounded = value.quantize(_PLACES, ROUND_HALF_EVEN)
    if not rounded:
        return _NOTHING
    cents = rounded.quantize(_CENTS, ROUND_HALF_EVEN)
    return cents if cents == rounded else rounded.normalize()


def currency(value: Any) -> str | None:
    """An ISO 4217 code in capitals; the default when missing, None when it is none."""
    if value is None or value == "":
        return DEFAULT_CURRENCY
    return _code(value) if isinstance(value, str) and len(value) <= _LONGEST else None


@lru_cache(maxsize=1_000)
def _code(value: str) -> str | None:
    code = value.strip().upper()
    return code if _CURRENCY.fullmatch(code) else None


def text(value: Any) -> str | None:
    """A non-empty string from a string or a whole number, or None."""
    if isinstance(value, str):
        return value.strip() or None
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return None


def plain(value: Any) -> str | None:
    """A text, number or truth value as canonical JSON, or None when it is none of these.

    Texts are trimmed and hold 1 to 200 characters; numbers are those of ``number``, without
    zeros at their end: ``3.0`` is ``3``. A number in a text stays text.
    """
    if isinstance(value, str):
        value = value.strip()
        return _encode(value).decode() if 0 < len(value) <= _LONGEST else None
    if isinstance(value, bool):
        return "true" if value else "false"
    known = number(value)
    if known is None:
        return None
    whole = int(known)
    return str(whole) if whole == known else format(known.normalize(), "f")


def moment(value: Any) -> datetime | None:
    """The instant of an ISO 8601 date or time in a text, UTC unless it says otherwise."""
    if not isinstance(value, str) or len(value) > 40:
        return None
    try:
        return utc(datetime.fromisoformat(value.strip()))
    except (ValueError, OverflowError):  # the calendar's last day, in a far time zone
        return None


def utc(at: datetime) -> datetime:
    """The same instant in UTC; a time without an offset is taken as UTC."""
    if at.tzinfo is UTC:
        return at
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def milliseconds(at: datetime) -> int:
    """Since 1970, rounded down."""
    return (at - _EPOCH) // _MILLISECOND


def walk(value: Any, path: tuple[str, ...]) -> list[Any]:
    """Every value at ``path``, through objects by name and through lists by element."""
    found = [value]
    for name in path:
        found = [
            item[name] for item in _spread(found) if isinstance(item, Mapping) and name in item
        ]
    return _spread(found)


def _spread(values: list[Any]) -> list[Any]:
    spread: list[Any] = []
    for value in values:
        spread.extend(value if isinstance(value, list) else (value,))
    return spread

"""From a cell to a value: numbers, times and truths as they are written in files. Pure.

Nothing is guessed: ``12,50`` is a number only where the mapping says ``decimal: ","``, since
a wrong guess would be wrong by a factor of a hundred.
"""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from math import isfinite
from typing import Any
from zoneinfo import ZoneInfo

from schemas.validation import Fault
from services.ingest.history.model import Mapping, Value

Convert = Callable[[Any], Any]
"""A value that is not None -> what it becomes, or a ``Fault``."""

_TRUE = frozenset({"true", "t", "yes", "y", "1", "on"})
_FALSE = frozenset({"false", "f", "no", "n", "0", "off"})
_OFFSET = re.compile(r"\s+([+-]\d{2}:?\d{2}|Z|UTC)$", re.IGNORECASE)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS = {"unix": 1, "unix_ms": 1_000}


def converter(spec: Value, mapping: Mapping) -> Convert | None:
    """What ``spec`` asks for, or None when the value stays as it is."""
    if spec.as_ is None:
        return _texts(spec) if spec.map or spec.strip else None
    convert = _CONVERTERS[spec.as_](spec, mapping)
    if not (spec.map or spec.strip):
        return convert
    prepare = _texts(spec)

    def both(value: Any) -> Any:
        value = prepare(value)
        return None if value is None else convert(value)

    return both


def shown(value: Any) -> str:
    """A value in a message."""
    text = value if isinstance(value, str) else str(value)
    return repr(text if len(text) <= 40 else text[:37] + "...")


def _texts(spec: Value) -> Convert:
    """Strip and map."""
    strip, words = spec.strip, spec.map

    def convert(value: Any) -> Any:
        if strip and isinstance(value, str):
            value = value.strip(strip + " \u00a0")
        if words:
            value = words.get(value if isinstance(value, str) else str(value), value)
        return None if value == "" else value

    return convert


def _text(_spec: Value, _mapping: Mapping) -> Convert:
    """Codes: bad_text."""

    def convert(value: Any) -> Any:
        if isinstance(value, dict | list):
            return Fault("bad_text", "An object or a list is not a text.")
        if isinstance(value, bool):
            return "true" if value else "false"
        return value.isoformat() if isinstance(value, date) else str(value)

    return convert


def _number(spec: Value, mapping: Mapping) -> Convert:
    """Codes: bad_number."""
    mark = spec.decimal or mapping.decimal
    thousands = mapping.thousands if spec.thousands is None else spec.thousands
    pattern = _pattern(mark, thousands)

    def convert(value: Any) -> Any:
        if isinstance(value, bool):
            return Fault("bad_number", f"{shown(value)} is not a number.")
        if isinstance(value, int) or (isinstance(value, Decimal) and value.is_finite()):
            return value
        if isinstance(value, float) and isfinite(value):
            return Decimal(repr(value))
        text = value.strip() if isinstance(value, str) else ""
        if not pattern.fullmatch(text):
            hint = "" if "," not in text else ': where it is one, the mapping says decimal: ","'
            detail = f"{shown(value)} is not a number with {shown(mark)} as its decimal mark{hint}."
            return Fault("bad_number", detail)
        if thousands:
            text = text.replace(thousands, "")
        return Decimal(text.replace(",", ".") if mark == "," else text)

    return convert


@lru_cache
def _pattern(mark: str, thousands: str) -> re.Pattern[str]:
    whole = r"\d+"
    if thousands:
        whole = rf"(?:\d{{1,3}}(?:{re.escape(thousands)}\d{{3}})+|\d+)"
    return re.compile(rf"[+-]?{whole}(?:{re.escape(mark)}\d+)?", re.ASCII)


def _integer(spec: Value, mapping: Mapping) -> Convert:
    """Codes: bad_number."""
    number = _number(spec, mapping)

    def convert(value: Any) -> Any:
        parsed = number(value)
        if isinstance(parsed, Fault):
            return parsed
        if parsed != int(parsed):
            return Fault("bad_number", f"{shown(value)} is not a whole number.")
        return int(parsed)

    return convert


def _sum(spec: Value, mapping: Mapping) -> Convert:
    """Of a list of numbers, exactly. Codes: bad_number."""
    number = _number(spec, mapping)

    def convert(value: Any) -> Any:
        total = Decimal(0)
        for each in value if isinstance(value, list) else [value]:
            parsed = number(each)
            if isinstance(parsed, Fault):
                return parsed
            total += parsed
        return total

    return convert


def _boolean(_spec: Value, _mapping: Mapping) -> Convert:
    """Codes: bad_boolean."""

    def convert(value: Any) -> Any:
        word = str(value).strip().lower()
        if word in _TRUE or word in _FALSE:
            return word in _TRUE
        return Fault("bad_boolean", f"{shown(value)} is neither yes nor no.")

    return convert


def _list(spec: Value, _mapping: Mapping) -> Convert:
    def convert(value: Any) -> Any:
        if isinstance(value, list):
            return value
        parts = (part.strip() for part in str(value).split(spec.split))
        return [part for part in parts if part] or None

    return convert


def _time(spec: Value, mapping: Mapping) -> Convert:
    """Times in UTC. Codes: bad_time."""
    form = spec.format or mapping.time_format
    zone = ZoneInfo(spec.timezone or mapping.timezone)
    read = _unix(_UNITS[form]) if form in _UNITS else _written(form)

    def convert(value: Any) -> Any:
        if isinstance(value, datetime):
            at = value
        elif isinstance(value, date):
            at = datetime.combine(value, time())
        else:
            try:
                at = read(value)
            except (ValueError, OverflowError, TypeError, ArithmeticError):
                return Fault("bad_time", f"{shown(value)} is not a time of the form {form}.")
        if at.tzinfo is None:
            at = at.replace(tzinfo=zone)
        try:
            return at.astimezone(UTC)
        except (ValueError, OverflowError):
            return Fault("bad_time", f"{shown(value)} is out of range.")

    return convert


def _unix(unit: int) -> Callable[[Any], datetime]:
    def read(value: Any) -> datetime:
        return _EPOCH + timedelta(microseconds=int(Decimal(str(value)) * 1_000_000 / unit))

    return read


def _written(form: str) -> Callable[[Any], datetime]:
    if form != "iso":
        return lambda value: datetime.strptime(str(value).strip(), form)  # noqa: DTZ007 - zoned after

    def read(value: Any) -> datetime:
        # A space before the offset, as many exports have it, is not of ISO 8601.
        text = _OFFSET.sub(lambda found: found[1].upper().replace("UTC", "Z"), str(value).strip())
        return datetime.fromisoformat(text)

    return read


_CONVERTERS: dict[str, Callable[[Value, Mapping], Convert]] = {
    "text": _text,
    "number": _number,
    "integer": _integer,
    "sum": _sum,
    "boolean": _boolean,
    "time": _time,
    "list": _list,
}

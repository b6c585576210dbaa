"""Conditions in words, and values as reasons show them."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from schemas.messages import PropertyCondition
from services.segmentation.model import (
    BehaviourCondition,
    FactCondition,
    TraitCondition,
    instant,
)
from services.segmentation.rules.vocabulary import SYMBOLS

_UNITS = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))
_AGGREGATES = {
    "count": "count",
    "sum": "sum of {}",
    "average": "average of {}",
    "min": "least {}",
    "max": "greatest {}",
    "first": "first {}",
    "last": "last {}",
    "most_frequent": "most frequent {}",
    "unique_list": "any {}",
    "unique_count": "count of different {}",
}
_LONGEST = 200
_MOST = 10


def duration(seconds: int) -> str:
    """``30 days``, ``36 hours``: the largest unit that fits exactly."""
    for size, unit in _UNITS:
        if seconds % size == 0:
            count = seconds // size
            return f"{count} {unit}{'' if count == 1 else 's'}"
    raise AssertionError("every integer is a number of seconds")


def fact(condition: FactCondition) -> str:
    """The subject of a fact condition."""
    return condition.fact + (f" in {condition.currency}" if condition.currency else "")


def comparison(subject: str, condition: TraitCondition | FactCondition | PropertyCondition) -> str:
    """``country = "DE"``, ``last_order_at older than 30 days``."""
    seconds = getattr(condition, "seconds", None)
    if seconds is not None:
        return f"{subject} {condition.op.replace('_', ' ')} {duration(seconds)}"
    return f"{subject} {_compared(condition.op, condition.value)}"


def behaviour(condition: BehaviourCondition) -> str:
    """``count of Order Completed in 30 days >= 1``."""
    what = _AGGREGATES[condition.aggregate].format(condition.property)
    if condition.currency:
        what += f" in {condition.currency}"
    where = " and ".join(comparison(item.property, item) for item in condition.where)
    window = condition.within_seconds
    parts = [
        f"{what} of {condition.event}",
        f"where {where}" if where else "",
        f"in {duration(window)}" if window is not None else "",
        _compared(condition.op, condition.value),
    ]
    return " ".join(part for part in parts if part)


def shown(value: Any) -> Any:
    """A found value as JSON of bounded size; amounts are strings, times RFC 3339."""
    if isinstance(value, str):
        return value if len(value) <= _LONGEST else value[:_LONGEST] + "..."
    if isinstance(value, list):
        return [shown(item) for item in value[:_MOST]]
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, Decimal):
        return format(value, "f") if abs(value.adjusted()) < _LONGEST else str(value)
    return "an object" if isinstance(value, dict) else value


def moments(instants: list[int]) -> Any:
    """Instants as times: one alone, several in a list, none as None."""
    times = [instant(at) for at in instants]
    return (times[0] if times else None) if len(times) < 2 else times


def _compared(op: str, value: Any) -> str:
    if op == "exists":
        return "does not exist" if value is False else "exists"
    if op == "between":
        return f"between {_value(value[0])} and {_value(value[1])}"
    return f"{_symbol(op)} {_value(value)}"


def _symbol(op: str) -> str:
    return SYMBOLS.get(op, op.replace("_", " "))


def _value(value: Any) -> str:
    if isinstance(value, list):
        some = ", ".join(_value(item) for item in value[:_MOST])
        return f"({some}{', ...' if len(value) > _MOST else ''})"
    return f'"{shown(value)}"' if isinstance(value, str) else str(shown(value)).lower()

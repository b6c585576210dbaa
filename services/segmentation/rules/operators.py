"""The operators: each compiles to a test of the values that were found.

Numbers compare by value, also where a sender wrote them as strings; text compares exactly,
``contains`` and ``starts_with`` without regard to case. Of several values (a list) one that
passes is enough. ``not_equals`` is exactly "not equals": it passes where nothing is known.
The same holds for property conditions in profile.
"""

import operator
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from services.segmentation.rules.fields import read_moment

Found = list[Any]
Test = Callable[[Found], bool]
Number = int | Decimal

COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "equals": operator.eq,
    "not_equals": operator.ne,
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}
_NUMBER = re.compile(r"\s*[+-]?[0-9]{1,15}(\.[0-9]{1,30})?\s*", re.ASCII)


def number(value: Any) -> Number | None:
    """``value`` as an exact number, also from a plain decimal in a string; else None."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | Decimal):
        return value
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return Decimal(value.strip())
    return None


def moment_of(value: Any) -> int | None:
    """The instant that a date in a string names; None if it names none."""
    return read_moment(value) if isinstance(value, str) else None


def test_of(op: str, value: Any) -> Test:
    """The test of an operator that does not depend on the time."""
    if op == "exists":
        return (lambda found: not found) if value is False else bool
    if op == "equals":
        return _any_of([value])
    if op == "not_equals":
        equals = _any_of([value])
        return lambda found: not equals(found)
    if op == "in":
        return _any_of(value)
    if op in ("contains", "starts_with"):
        return _text_test(op, value.casefold())
    if op in ("before", "after"):
        return _moment_test(op, value)
    compare, limit = COMPARE[op], value

    def compares(found: Found) -> bool:
        for item in found:
            amount = number(item)
            if amount is not None and compare(amount, limit):
                return True
        return False

    return compares


def _any_of(values: list[Any]) -> Test:
    # Apart, because to Python True equals 1.
    flags = frozenset(value for value in values if isinstance(value, bool))
    texts = frozenset(value for value in values if isinstance(value, str))
    numbers = frozenset(amount for value in values if (amount := number(value)) is not None)

    def equals(found: Found) -> bool:
        for item in found:
            if isinstance(item, str):
                if item in texts:
                    return True
            elif isinstance(item, bool):
                if item in flags:
                    return True
                continue
            if numbers:
                amount = number(item)
                if amount is not None and amount in numbers:
                    return True
        return False

    return equals


def _text_test(op: str, wanted: str) -> Test:
    def contains(found: Found) -> bool:
        return any(wanted in item.casefold() for item in found if isinstance(item, str))

    def starts(found: Found) -> bool:
        return any(item.casefold().startswith(wanted) for item in found if isinstance(item, str))

    return contains if op == "contains" else starts


def _moment_test(op: str, value: str) -> Test:
    limit = moment_of(value)
    assert limit is not None  # checked by the parser
    compare = operator.lt if op == "before" else operator.gt

    def passes(found: Found) -> bool:
        return any(compare(at, limit) for item in found if (at := moment_of(item)) is not None)

    return passes

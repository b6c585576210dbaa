"""Conditions on an event's properties, as computed traits declare them."""

import operator
from collections.abc import Callable
from typing import Any

from msgspec import Struct

from schemas.messages import PropertyCondition
from services.profile.build.rules.values import moment, number, walk

Test = Callable[[list[Any]], bool]
"""Of the values that were found, without nulls."""


class Condition(Struct, frozen=True):
    """One comparison, ready to be applied.

    Numbers compare by value, also where a sender wrote them as strings; text compares
    exactly, ``contains`` and ``starts_with`` without regard to case; ``before`` and ``after``
    compare ISO 8601 dates and times. Where the path meets lists, one element that holds is
    enough (``not_equals``: none may be equal). ``exists`` with the value false means that
    there is no such property. What a definition cannot mean holds for nothing.
    """

    path: tuple[str, ...]
    test: Test

    @classmethod
    def of(cls, condition: PropertyCondition) -> "Condition":
        """The condition of a definition."""
        return cls(tuple(condition.property.split(".")), _test(condition.op, condition.value))

    def holds(self, properties: Any) -> bool:
        """Whether an event with these properties matches."""
        return self.test([value for value in walk(properties, self.path) if value is not None])


def _test(op: str, value: Any) -> Test:
    if op == "exists":
        wanted = value is not False
        return lambda found: bool(found) == wanted
    if op == "not_equals":
        equals = _any_of([value])
        return lambda found: not equals(found)
    if op in ("equals", "in"):
        return _any_of(value if op == "in" and isinstance(value, list) else [value])
    if op in ("contains", "starts_with"):
        return _text(op, str(value).casefold())
    if op == "between":
        return _between(value)
    if op in ("before", "after"):
        return _dated(op, value)
    return _compared(op, value)


def _any_of(values: list[Any]) -> Test:
    tests = [_equal_to(value) for value in values]
    return lambda found: any(test(item) for item in found for test in tests)


def _equal_to(wanted: Any) -> Callable[[Any], bool]:
    amount = number(wanted)
    if amount is not None:
        return lambda item: not isinstance(item, bool) and number(item) == amount
    # Apart, because to Python True equals 1.
    flag = isinstance(wanted, bool)
    return lambda item: item is wanted if flag or isinstance(item, bool) else bool(item == wanted)


def _text(op: str, wanted: str) -> Test:
    if op == "contains":
        return lambda found: any(
            wanted in item.casefold() for item in found if isinstance(item, str)
        )
    return lambda found: any(
        item.casefold().startswith(wanted) for item in found if isinstance(item, str)
    )


def _compared(op: str, value: Any) -> Test:
    compare, limit = _COMPARISONS[op], number(value)
    if limit is None:
        return _never

    def compares(found: list[Any]) -> bool:
        amounts = (number(item) for item in found)
        return any(amount is not None and compare(amount, limit) for amount in amounts)

    return compares


def _between(value: Any) -> Test:
    ends = [number(end) for end in value] if isinstance(value, list) else []
    if len(ends) != 2 or ends[0] is None or ends[1] is None:
        return _never
    low, high = ends[0], ends[1]

    def within(found: list[Any]) -> bool:
        amounts = (number(item) for item in found)
        return any(amount is not None and low <= amount <= high for amount in amounts)

    return within


def _dated(op: str, value: Any) -> Test:
    limit = moment(value)
    if limit is None:
        return _never
    compare = operator.lt if op == "before" else operator.gt

    def dated(found: list[Any]) -> bool:
        instants = (moment(item) for item in found)
        return any(at is not None and compare(at, limit) for at in instants)

    return dated


def _never(found: list[Any]) -> bool:
    return False


_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}

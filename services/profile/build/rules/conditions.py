"""Conditions on an event's properties, as computed traits declare them."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from msgspec import Struct

from schemas.messages import PropertyCondition
from services.profile.build.rules.values import number, walk


class Condition(Struct, frozen=True):
    """One comparison, ready to be applied.

    Numbers compare by value, also where a sender wrote them as strings; text compares
    exactly, ``contains`` without regard to case. Where the path meets lists, one element
    that holds is enough (``not_equals``: none may be equal). ``exists`` with the value
    false means that there is no such property.
    """

    path: tuple[str, ...]
    op: str
    value: Any
    number: Decimal | None

    @classmethod
    def of(cls, condition: PropertyCondition) -> "Condition":
        """The condition of a definition."""
        path = tuple(condition.property.split("."))
        return cls(path, condition.op, condition.value, number(condition.value))

    def holds(self, properties: Mapping[str, Any]) -> bool:
        """Whether an event with these properties matches."""
        found = [value for value in walk(properties, self.path) if value is not None]
        if self.op == "exists":
            return bool(found) == (self.value is not False)
        if self.op == "not_equals":
            return not any(self._equals(value) for value in found)
        if self.op == "equals":
            return any(self._equals(value) for value in found)
        if self.op == "contains":
            wanted = str(self.value).casefold()
            return any(wanted in value.casefold() for value in found if isinstance(value, str))
        return any(self._compares(value) for value in found)

    def _equals(self, value: Any) -> bool:
        if isinstance(value, bool) or isinstance(self.value, bool):
            return value is self.value
        if self.number is not None:
            return number(value) == self.number
        return bool(value == self.value)

    def _compares(self, value: Any) -> bool:
        amount = number(value)
        if amount is None or self.number is None:
            return False
        return _COMPARISONS[self.op](amount, self.number)


_COMPARISONS: dict[str, Callable[[Decimal, Decimal], bool]] = {
    "gt": Decimal.__gt__,
    "gte": Decimal.__ge__,
    "lt": Decimal.__lt__,
    "lte": Decimal.__le__,
}

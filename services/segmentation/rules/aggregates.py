"""What the aggregates of behaviour conditions are, and what is asked of them.

Within a window an aggregate is that of the latest entries, however many are left of them as
the earlier ones leave. So each is a tally that takes entries from the latest backwards and
knows its value after every one.
"""

from collections.abc import Callable
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, Protocol

import msgspec

from schemas.messages import ComputedValue
from services.segmentation.model import BehaviourCondition
from services.segmentation.rules.operators import COMPARE, test_of
from services.segmentation.rules.vocabulary import COUNTED, NUMERIC

_PLACES = Decimal("0.000001")
_key = msgspec.json.Encoder(decimal_format="number").encode
"""What tells values apart, as profile does: to Python, True equals 1."""

Test = Callable[[Any], bool]


def answer_of(condition: BehaviourCondition) -> Test:
    """Whether the condition holds for an aggregate: a number (None: of nothing), or a list."""
    if condition.aggregate in NUMERIC or condition.aggregate in COUNTED:
        compare, limit = COMPARE[condition.op], condition.value
        of_nothing = condition.op == "not_equals"
        return lambda found: of_nothing if found is None else compare(found, limit)
    return test_of(condition.op, condition.value)


def over_all_time(condition: BehaviourCondition) -> Callable[[ComputedValue], Any]:
    """The aggregate, from a published value that has no window."""
    currency = condition.currency or ""
    match condition.aggregate:
        case "count" | "unique_count":
            return lambda value: value.count or 0
        case "sum":
            return lambda value: (value.sums or {}).get(currency, Decimal(0))
        case "average" | "min" | "max":
            return lambda value: (value.amounts or {}).get(currency)
        case "unique_list":
            return lambda value: value.items or []
    return lambda value: [] if value.value is None else [value.value]


class Tally(Protocol):
    """An aggregate of the entries taken so far, which came from the latest backwards."""

    def take(self, entry: Any) -> None:
        """Take the next earlier entry; None is an amount of another currency."""

    @property
    def found(self) -> Any:
        """The aggregate now."""


class Average:
    """Rounded to six places, half to even, as profile publishes it."""

    def __init__(self) -> None:
        self._total, self._count = Decimal(0), 0

    def take(self, entry: Decimal | None) -> None:
        if entry is not None:
            self._total += entry
            self._count += 1

    @property
    def found(self) -> Decimal | None:
        if not self._count:
            return None
        return (self._total / self._count).quantize(_PLACES, ROUND_HALF_EVEN)


class Extreme:
    """The least or the greatest."""

    def __init__(self, choose: Callable[[Decimal, Decimal], Decimal]) -> None:
        self._choose = choose
        self.found: Decimal | None = None

    def take(self, entry: Decimal | None) -> None:
        if entry is not None:
            self.found = entry if self.found is None else self._choose(self.found, entry)


class First:
    """The earliest; at the same millisecond the first in the order of entries."""

    def __init__(self) -> None:
        self.found: list[Any] = []

    def take(self, entry: Any) -> None:
        self.found = [entry]


class Last:
    """The latest."""

    def __init__(self) -> None:
        self.found: list[Any] = []

    def take(self, entry: Any) -> None:
        if not self.found:
            self.found = [entry]


class MostFrequent:
    """Of equally frequent ones the first by its JSON."""

    def __init__(self) -> None:
        self._counts: dict[bytes, int] = {}
        self._best: tuple[int, bytes] = (0, b"")
        self.found: list[Any] = []

    def take(self, entry: Any) -> None:
        key = _key(entry)
        self._counts[key] = count = self._counts.get(key, 0) + 1
        # Only this one has grown; the others stand as they did.
        if (-count, key) <= (-self._best[0], self._best[1]):
            self._best, self.found = (count, key), [entry]


class UniqueCount:
    """How many different values."""

    def __init__(self) -> None:
        self._known: set[bytes] = set()

    def take(self, entry: Any) -> None:
        self._known.add(_key(entry))

    @property
    def found(self) -> int:
        return len(self._known)


class Every:
    """All of them, the latest first: one that passes is enough."""

    def __init__(self) -> None:
        self.found: list[Any] = []

    def take(self, entry: Any) -> None:
        self.found.append(entry)


TALLIES: dict[str, Callable[[], Tally]] = {
    "average": Average,
    "min": lambda: Extreme(min),
    "max": lambda: Extreme(max),
    "first": First,
    "last": Last,
    "most_frequent": MostFrequent,
    "unique_list": Every,
    "unique_count": UniqueCount,
}

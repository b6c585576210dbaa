"""Behaviour conditions, compiled: counts and sums, for all time or within a window.

An event at ``t`` counts at ``now`` while ``now - window < t <= now``; so, with no new
event, an answer changes only at some ``t + window`` (or at ``t``, if that is yet to come).
"""

from bisect import bisect_right
from collections.abc import Callable
from decimal import Decimal

from schemas.messages import ComputedValue
from services.segmentation.model import SECOND, BehaviourCondition
from services.segmentation.rules import wording
from services.segmentation.rules.computed import key_of, trait_of
from services.segmentation.rules.leaves import Compiled, leaf
from services.segmentation.rules.moment import Moment
from services.segmentation.rules.operators import COMPARE

_MS = 1_000
"""A millisecond in microseconds."""


def behaviour_leaf(condition: BehaviourCondition) -> Compiled:
    """A comparison with a computed trait; undecided while a person's lacks it."""
    key = key_of(trait_of(condition))
    actual = _actual(condition)
    compare, limit = COMPARE[condition.op], condition.value

    def holds(moment: Moment) -> bool | None:
        value = moment.person.computed.get(key)
        return None if value is None else compare(actual(value, moment.now), limit)

    def found(moment: Moment) -> int | Decimal:
        return actual(moment.person.computed[key], moment.now)

    flip = None
    if condition.within_seconds is not None:
        flip = _flip(condition, key, condition.within_seconds * SECOND)
    reads = frozenset({f"computed.{key}"})
    return leaf(holds, found, wording.behaviour(condition), reads=reads, flip=flip)


def _actual(condition: BehaviourCondition) -> Callable[[ComputedValue, int], int | Decimal]:
    currency = condition.currency or ""
    if condition.within_seconds is None:
        if condition.aggregate == "count":
            return lambda value, now: value.count or 0
        return lambda value, now: (value.sums or {}).get(currency, Decimal(0))
    span = condition.within_seconds * SECOND
    if condition.aggregate == "count":
        return lambda value, now: _count(value, now, span)
    return lambda value, now: _total(_amounts(value, currency), *_bounds(value, now, span))


def _bounds(value: ComputedValue, now: int, span: int) -> tuple[int, int]:
    """The slice of ``times`` that counts at ``now``."""
    times = value.times or []
    # For whole milliseconds t: t * 1000 > x exactly when t > x // 1000.
    end = now // _MS
    high = len(times) if not times or times[-1] <= end else bisect_right(times, end)
    return bisect_right(times, (now - span) // _MS), high


def _count(value: ComputedValue, now: int, span: int) -> int:
    if not value.times:
        return 0
    low, high = _bounds(value, now, span)
    return max(high - low, 0)


def _amounts(value: ComputedValue, currency: str) -> list[Decimal]:
    """The values in step with ``times``; zero for those of other currencies."""
    values = value.values or []
    if value.currencies is None:
        return values if not currency else [Decimal(0)] * len(values)
    pairs = zip(values, value.currencies, strict=False)
    return [amount if code == currency else Decimal(0) for amount, code in pairs]


def _total(amounts: list[Decimal], low: int, high: int) -> Decimal:
    return sum(amounts[low:high], Decimal(0))


def _flip(condition: BehaviourCondition, key: str, span: int) -> Callable[[Moment], int | None]:
    compare, limit = COMPARE[condition.op], condition.value
    currency = condition.currency or ""
    counted = condition.aggregate == "count"

    def flip(moment: Moment) -> int | None:
        value = moment.person.computed.get(key)
        if value is None or not value.times:
            return None
        low, high = _bounds(value, moment.now, span)
        if high < len(value.times):  # a clock runs ahead: look again at the next change
            first = value.times[low] * _MS + span
            return min(first, value.times[high] * _MS) if low < high else value.times[high] * _MS
        if low >= high:
            return None
        if counted:
            left = _left_by_count(high - low, lambda count: compare(count, limit), limit)
        else:
            amounts = _amounts(value, currency)[low:high]
            left = _left_by_total(amounts, lambda total: compare(total, limit))
        return None if left is None else value.times[low + left - 1] * _MS + span

    return flip


def _left_by_count(count: int, test: Callable[[int], bool], limit: int) -> int | None:
    """How many of ``count`` entries must leave before ``test`` of the rest changes.

    As the count falls, a comparison with ``limit`` can only change at ``limit`` itself or
    just below it.
    """
    before = test(count)
    for rest in (limit, limit - 1):
        if 0 <= rest < count and test(rest) != before:
            return count - rest
    return None


def _left_by_total(amounts: list[Decimal], test: Callable[[Decimal], bool]) -> int | None:
    """The same for a sum, which may rise as well, as negative amounts leave."""
    total = sum(amounts, Decimal(0))
    before = test(total)
    for index, amount in enumerate(amounts):
        total -= amount
        if test(total) != before:
            return index + 1
    return None

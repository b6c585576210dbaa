"""Behaviour conditions, compiled: aggregates over all time or within a window.

An event at ``t`` counts at ``now`` while ``now - window < t <= now``; so, with no new
event, an answer changes only at some ``t + window`` (or at ``t``, if that is yet to come).
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from schemas.messages import ComputedValue
from services.segmentation.model import SECOND, BehaviourCondition
from services.segmentation.rules import wording
from services.segmentation.rules.aggregates import TALLIES, Test, answer_of, over_all_time
from services.segmentation.rules.computed import key_of, trait_of
from services.segmentation.rules.leaves import Compiled, leaf
from services.segmentation.rules.moment import Moment
from services.segmentation.rules.operators import test_of
from services.segmentation.rules.vocabulary import NUMERIC

_MS = 1_000
"""A millisecond in microseconds."""
_SHOWN = 10

Leaving = Callable[[ComputedValue, int, int], int | None]
"""How many of the entries from one place to another must leave before the answer changes."""


def behaviour_leaf(condition: BehaviourCondition) -> Compiled:
    """A comparison with a computed trait; undecided while a person's lacks it."""
    key = key_of(trait_of(condition))
    actual, answer = _actual(condition), answer_of(condition)

    def holds(moment: Moment) -> bool | None:
        value = moment.person.computed.get(key)
        return None if value is None else answer(actual(value, moment.now))

    def found(moment: Moment) -> Any:
        aggregate = actual(moment.person.computed[key], moment.now)
        if not isinstance(aggregate, list):
            return aggregate
        return (aggregate[0] if aggregate else None) if len(aggregate) < 2 else aggregate[:_SHOWN]

    flip = None
    if condition.within_seconds is not None:
        flip = _flip(key, condition.within_seconds * SECOND, _leaving(condition, answer))
    reads = frozenset({f"computed.{key}"})
    return leaf(holds, found, wording.behaviour(condition), reads=reads, flip=flip)


def _actual(condition: BehaviourCondition) -> Callable[[ComputedValue, int], Any]:
    if condition.within_seconds is None:
        whole = over_all_time(condition)
        return lambda value, now: whole(value)
    span = condition.within_seconds * SECOND
    if condition.aggregate == "count":
        return lambda value, now: _count(value, now, span)
    if condition.aggregate == "sum":
        currency = condition.currency or ""
        return lambda value, now: _total(_amounts(value, currency), *_bounds(value, now, span))
    entries, tally_of = _entries(condition), TALLIES[condition.aggregate]

    def within(value: ComputedValue, now: int) -> Any:
        tally = tally_of()
        low, high = _bounds(value, now, span)
        for entry in reversed(entries(value)[low:high]):
            tally.take(entry)
        return tally.found

    return within


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


def _entries(condition: BehaviourCondition) -> Callable[[ComputedValue], Sequence[Any]]:
    """What is aggregated, in step with ``times``; None for an amount of another currency."""
    if condition.aggregate not in NUMERIC:
        return lambda value: value.items or []
    currency = condition.currency or ""

    def amounts(value: ComputedValue) -> Sequence[Decimal | None]:
        found = value.values or []
        if value.currencies is None:
            return found if not currency else [None] * len(found)
        pairs = zip(found, value.currencies, strict=False)
        return [amount if code == currency else None for amount, code in pairs]

    return amounts


def _flip(key: str, span: int, leaving: Leaving) -> Callable[[Moment], int | None]:
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
        left = leaving(value, low, high)
        return None if left is None else value.times[low + left - 1] * _MS + span

    return flip


def _leaving(condition: BehaviourCondition, answer: Test) -> Leaving:
    if condition.aggregate == "count":
        limit = condition.value
        return lambda value, low, high: _left_by_count(high - low, answer, limit)
    if condition.aggregate == "sum":
        currency = condition.currency or ""
        return lambda value, low, high: _left_by_total(_amounts(value, currency)[low:high], answer)
    if condition.aggregate == "unique_list":
        return _left_by_value(condition)
    return _left_by_tally(condition, answer)


def _left_by_tally(condition: BehaviourCondition, answer: Test) -> Leaving:
    entries, tally_of = _entries(condition), TALLIES[condition.aggregate]

    def left(value: ComputedValue, low: int, high: int) -> int | None:
        tally = tally_of()
        answers = [answer(tally.found)]  # of none, of the last one, of the last two...
        for entry in reversed(entries(value)[low:high]):
            tally.take(entry)
            answers.append(answer(tally.found))
        now = answers.pop()
        rest = len(answers) - 1
        while rest >= 0 and answers[rest] == now:
            rest -= 1
        return None if rest < 0 else high - low - rest

    return left


def _left_by_value(condition: BehaviourCondition) -> Leaving:
    """One value that passes is enough, so the answer stands until the last such one leaves."""
    op = {"not_equals": "equals"}.get(condition.op, condition.op)
    value = True if op == "exists" else condition.value
    passes = test_of(op, value)

    def left(found: ComputedValue, low: int, high: int) -> int | None:
        items = (found.items or [])[low:high]
        last = (at for at in range(len(items), 0, -1) if passes([items[at - 1]]))
        return next(last, None)

    return left


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

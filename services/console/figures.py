"""From rows of report tables to what a chart draws: sums by day, week, month or year. Pure.

Sums are exact (Decimal) and within one currency; only the chart itself draws with floats.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from itertools import groupby, pairwise
from typing import Literal, NamedTuple

from services.console.reported import Row

Grain = Literal["day", "week", "month", "year"]
Span = Literal["month", "year", "all"]
Values = tuple[Decimal, ...]
Points = Mapping[date, Values]

MOST_BUCKETS = 100
LONGEST_GAP = 8
_GRAINS: tuple[Grain, ...] = ("day", "week", "month", "year")
_DAYS: Mapping[Span, int] = {"month": 30, "year": 365}


class Bucket(NamedTuple):
    """The sums of some days. A ``gap`` stands for many buckets in which nothing happened."""

    first: date
    last: date
    values: Values
    gap: bool = False


def by_day(rows: Iterable[Row], columns: Sequence[str], **only: str) -> dict[date, Values]:
    """The exact sums of ``columns`` for each day, of the rows that have the values ``only``."""
    sums: dict[date, Values] = {}
    for row in rows:
        if any(row.get(name) != value for name, value in only.items()):
            continue
        when = date.fromisoformat(str(row.get("day") or row.get("minute"))[:10])
        found = tuple(Decimal(row.get(name) or 0) for name in columns)
        known = sums.get(when)
        sums[when] = tuple(a + b for a, b in zip(known, found, strict=True)) if known else found
    return sums


def taken_back(points: Points) -> dict[date, Values]:
    """(revenue, refunds, cancellations) as (revenue, what was taken back)."""
    return {when: (values[0], sum(values[1:], Decimal(0))) for when, values in points.items()}


def window(span: Span, points: Points, today: date) -> tuple[date, date]:
    """The first and the last day that a span shows."""
    if span != "all":
        return today - timedelta(days=_DAYS[span] - 1), today
    return min(points, default=today), max(points, default=today)


def best_span(points: Points, today: date) -> Span:
    """The shortest span in which there is something to see: sales on a quarter of its days.

    Where that holds for none, all.
    """
    spans: tuple[Span, ...] = ("month", "year")
    for span in spans:
        first, last = window(span, points, today)
        sold = sum(1 for when, values in points.items() if first <= when <= last and any(values))
        if sold * 4 >= _DAYS[span]:
            return span
    return "all"


def buckets(
    points: Points, first: date, last: date, squeeze: bool = False
) -> tuple[Grain, list[Bucket]]:
    """Everything from ``first`` to ``last`` in at most 100 buckets, empty ones included.

    ``squeeze``: more than eight empty ones in a row become one gap.
    """
    made: list[Bucket] = []
    for grain in _GRAINS:
        made = _buckets(points, first, last, grain)
        if squeeze:
            made = _squeezed(made)
        if len(made) <= MOST_BUCKETS:
            return grain, made
    return "year", made


def currencies(rows: Iterable[Row], measure: str = "orders") -> list[str]:
    """The currencies in ``rows``, the one with the most orders first."""
    orders: dict[str, int] = defaultdict(int)
    for row in rows:
        orders[str(row.get("currency"))] += int(row.get(measure) or 0)
    return sorted(orders, key=lambda currency: (-orders[currency], currency))


def _buckets(points: Points, first: date, last: date, grain: Grain) -> list[Bucket]:
    begin = _BEGINS[grain]
    width = len(next(iter(points.values()), (Decimal(0),)))
    sums: dict[date, list[Decimal]] = {}
    start = begin(first)
    while start <= last:
        sums[start] = [Decimal(0)] * width
        start = begin(start + _STEPS[grain])
    for when, values in points.items():
        if first <= when <= last:
            held = sums[begin(when)]
            for place, value in enumerate(values):
                held[place] += value
    starts = [*sums, start]
    return [
        Bucket(max(one, first), min(after - timedelta(days=1), last), tuple(sums[one]))
        for one, after in pairwise(starts)
    ]


def _squeezed(made: list[Bucket]) -> list[Bucket]:
    kept: list[Bucket] = []
    for empty, run in groupby(made, key=lambda bucket: not any(bucket.values)):
        found = list(run)
        if empty and len(found) > LONGEST_GAP:
            found = [Bucket(found[0].first, found[-1].last, found[0].values, gap=True)]
        kept += found
    return kept


_BEGINS: Mapping[Grain, Callable[[date], date]] = {
    "day": lambda when: when,
    "week": lambda when: when - timedelta(days=when.weekday()),
    "month": lambda when: when.replace(day=1),
    "year": lambda when: when.replace(month=1, day=1),
}
_STEPS: Mapping[Grain, timedelta] = {
    "day": timedelta(days=1),
    "week": timedelta(days=7),
    "month": timedelta(days=32),  # into the next one, whose beginning is then taken
    "year": timedelta(days=367),
}

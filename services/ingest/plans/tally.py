"""Violations of plans as this process has counted them, by day, until they are stored."""

from collections.abc import Callable, Collection
from datetime import datetime

from msgspec import Struct

from services.ingest.plans.judge import UNKNOWN, Violation
from services.runtime import metrics

MOST_RULES = 500
"""Kept apart for one plan and day; what goes beyond is counted together."""
OTHERS = Violation("", "", "others")


class Row(Struct):
    """One rule of a plan, and how often it was broken."""

    event: str
    pointer: str
    rule: str
    count: int
    last_seen: datetime


class Day(Struct):
    """The violations of one plan on one day, as one process counted them."""

    plan: str
    day: datetime
    """Its beginning, UTC."""
    rows: list[Row]


class Tallies:
    """Counts; ``changed`` gives what is to be stored. Storing a day again changes nothing."""

    def __init__(
        self, clock: Callable[[], datetime], wake: Callable[[], None] = lambda: None
    ) -> None:
        self._clock = clock
        self._wake = wake
        self._days: dict[tuple[str, datetime], dict[Violation, Row]] = {}
        self._changed: set[tuple[str, datetime]] = set()

    def count(self, plan: str, violation: Violation) -> None:
        """See ``judge.Tally``. Never a sender's own words in a metric."""
        at = self._clock()
        day = (plan, at.replace(hour=0, minute=0, second=0, microsecond=0))
        rows = self._days.get(day)
        if rows is None:
            self._days = {key: kept for key, kept in self._days.items() if key in self._changed}
            rows = self._days[day] = {}
        if violation not in rows and len(rows) >= MOST_RULES:
            violation = OTHERS
        row = rows.get(violation)
        if row is None:
            row = Row(violation.event, violation.pointer, violation.rule, 0, at)
            rows[violation] = row
        row.count += 1
        row.last_seen = at
        self._changed.add(day)
        event = "" if violation.rule == UNKNOWN else violation.event
        metrics.PLAN_VIOLATIONS.labels(plan, event, violation.rule).inc()
        self._wake()

    def changed(self) -> list[Day]:
        """The days that have not been stored as they are now."""
        keys, self._changed = self._changed, set()
        return [Day(plan, day, list(self._days[plan, day].values())) for plan, day in keys]

    def give_back(self, days: Collection[Day]) -> None:
        """These could not be stored."""
        self._changed |= {(one.plan, one.day) for one in days}

"""What ingest keeps of tracking plans in MongoDB (database ``ingest``).

``plans``
    The plans (``services.ingest.shelf``).
``plan_violations``
    ``{_id: plan/day/run, plan, day, rows}``: how often each rule was broken on one day, as one
    run of a process counted it (``tally.Day``); 90 days.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

import msgspec

from services.ingest.plans.model import Plan
from services.ingest.plans.tally import Day, Row
from services.ingest.shelf import Definitions
from services.runtime.mongo import Database, ReplaceOne

KEPT = timedelta(days=90)
_encode = msgspec.json.Encoder().encode
_rows = msgspec.json.Decoder(list[Row]).decode


async def prepare(database: Database) -> None:
    """Create the indexes."""
    violations = database["plan_violations"]
    await violations.create_index([("day", 1)], expireAfterSeconds=int(KEPT.total_seconds()))
    await violations.create_index([("plan", 1), ("day", 1)])


class Shelf(Definitions[Plan]):
    """The stored plans."""

    def __init__(self, database: Database) -> None:
        super().__init__(database["plans"], Plan)


class Violations:
    """The stored violations. ``run`` names this run of this process."""

    def __init__(self, database: Database, run: str) -> None:
        self._kept: Any = database["plan_violations"]
        self._run = run

    async def save(self, days: Collection[Day]) -> None:
        """Store these days as they are now; again does not count twice."""
        writes = [
            ReplaceOne(
                {"_id": f"{one.plan}/{one.day:%Y-%m-%d}/{self._run}"},
                {"plan": one.plan, "day": one.day, "rows": _encode(one.rows)},
                upsert=True,
            )
            for one in days
        ]
        await self._kept.bulk_write(writes, ordered=False)

    async def since(self, plan: str, start: datetime) -> list[Row]:
        """Of all processes since the day of ``start``, each rule once, the most broken first."""
        day = start.replace(hour=0, minute=0, second=0, microsecond=0)
        sums: dict[tuple[str, str, str], Row] = {}
        async for document in self._kept.find({"plan": plan, "day": {"$gte": day}}):
            for row in _rows(document["rows"]):
                known = sums.setdefault((row.event, row.pointer, row.rule), row)
                if known is not row:
                    known.count += row.count
                    known.last_seen = max(known.last_seen, row.last_seen)
        return sorted(sums.values(), key=lambda row: (-row.count, row.event, row.pointer, row.rule))

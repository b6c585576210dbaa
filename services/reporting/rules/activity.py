"""``events_by_minute`` and ``events_by_day``: what happened, as it came in.

Both go by the time at which ingest received the event, so that the newest minute is the
present one and a late event is seen when it comes.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from services.reporting.model import Cells, Column, InteractionView, Table
from services.reporting.rules.money import day, minute, utc

NAME_LENGTH = 100
HOURS_KEPT = 48

EVENT = Column("event", "text", "Event", "The event's name, at most 100 characters of it.")
COUNT = Column("events", "events", "Events", "Distinct events; duplicates count once.")


def by_minute(seen: InteractionView) -> Iterator[tuple[str, tuple[str, ...], Cells]]:
    """One event in its minute."""
    yield minute(seen.received_at), (seen.name[:NAME_LENGTH],), {"events": 1}


def by_day(seen: InteractionView) -> Iterator[tuple[str, tuple[str, ...], Cells]]:
    """One event on its day."""
    yield day(seen.received_at), (seen.name[:NAME_LENGTH],), {"events": 1}


def kept(
    tables: Iterable[Table[InteractionView]], received_at: datetime, now: datetime
) -> list[Table[InteractionView]]:
    """Those of ``tables`` that still keep the rows of that time: a replay is no news."""
    age = utc(now) - utc(received_at)
    return [t for t in tables if t.keep_hours is None or age <= timedelta(hours=t.keep_hours)]


BY_MINUTE: Table[InteractionView] = Table(
    name="events_by_minute",
    title="Events by minute",
    description="Events received in each minute of the last 48 hours, by name.",
    topic="profile.interactions",
    keys=(EVENT,),
    measures=(COUNT,),
    contribution=by_minute,
    period="minute",
    keep_hours=HOURS_KEPT,
)
BY_DAY: Table[InteractionView] = Table(
    name="events_by_day",
    title="Events by day",
    description="Events received on each UTC day, by name.",
    topic="profile.interactions",
    keys=(EVENT,),
    measures=(COUNT,),
    contribution=by_day,
)

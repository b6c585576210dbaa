"""Every report table, by what it counts. A new table is a module and an entry here."""

from typing import Any

from services.reporting.model import InteractionView, Person, Table, Told
from services.reporting.rules import (
    activity,
    customers,
    messages,
    products,
    revenue,
    segments,
)

OVER_PEOPLE: tuple[Table[Person], ...] = (
    revenue.TABLE,
    customers.TABLE,
    products.TABLE,
)
OVER_EVENTS: tuple[Table[InteractionView], ...] = (activity.BY_MINUTE, activity.BY_DAY)
OVER_SEGMENTS = (segments.TABLE,)
OVER_MESSAGES: tuple[Table[Told], ...] = (messages.FUNNEL, messages.REASONS)

ALL: tuple[Table[Any], ...] = (
    *OVER_PEOPLE,
    *OVER_EVENTS,
    *OVER_SEGMENTS,
    *OVER_MESSAGES,
)
BY_NAME: dict[str, Table[Any]] = {table.name: table for table in ALL}

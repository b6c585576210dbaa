"""What the console reads of reporting's answers: tables, totals, and what happens now."""

from datetime import datetime

from msgspec import Struct

from services.console.answers import Amount

Cell = str | int | None
Row = dict[str, Cell]


class Column(Struct, frozen=True):
    """``unit``: ``day``, ``minute``, ``text``, ``currency code``, ``amount``, or what it counts."""

    name: str
    unit: str
    title: str
    description: str = ""


class TableInfo(Struct, frozen=True):
    name: str
    title: str
    description: str
    columns: list[Column]
    keeps_hours: int | None = None


class Table(Struct, frozen=True):
    columns: list[Column]
    rows: list[Row]
    truncated: bool = False
    fresh_at: datetime | None = None


class Summary(Struct, frozen=True):
    """Totals of a range of days, or of all time; money once a currency."""

    people: int
    customers: int
    orders: int
    cancelled_orders: int
    revenue: list[Amount]
    net_revenue: list[Amount]
    average_order_value: list[Amount]
    fresh_at: datetime | None = None


class Minute(Struct, frozen=True):
    minute: datetime
    events: int


class EventCount(Struct, frozen=True):
    event: str
    events: int


class Live(Struct, frozen=True):
    """The last 60 minutes and the present UTC day."""

    minutes: list[Minute]
    top_events: list[EventCount]
    orders_today: int
    revenue_today: list[Amount]
    new_customers_today: int = 0
    fresh_at: datetime | None = None

"""What the reporting API answers with, as its documentation shows it."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

FreshAt = Annotated[
    datetime | None,
    Field(description="When anything was last counted into this; null when nothing ever was."),
]
Cell = str | int | None


class ColumnInfo(BaseModel):
    """One column of a table."""

    name: str
    unit: str = Field(
        description="`day`, `minute`, `text`, `currency code`, `amount` (exact money as text, in "
        "the row's `currency`), or what is counted: `orders`, `people`, `messages`..."
    )
    title: str
    description: str = ""


class TableInfo(BaseModel):
    """What a table holds."""

    name: str
    title: str
    description: str
    topic: str = Field(description="The topic that its rows come from.")
    columns: list[ColumnInfo]
    keeps_hours: int | None = Field(description="Older rows are removed; null: none is.")


class TableRows(BaseModel):
    """A table's rows; each is an object with one member a column."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "columns": [
                    {"name": "day", "unit": "day", "title": "Day", "description": "In UTC."},
                    {"name": "revenue", "unit": "amount", "title": "Revenue", "description": ""},
                ],
                "rows": [{"day": "2026-01-31", "currency": "USD", "revenue": "12.50"}],
                "truncated": False,
                "fresh_at": "2026-01-31T10:05:00Z",
            }
        }
    )
    columns: list[ColumnInfo]
    rows: list[dict[str, Cell]]
    truncated: bool = Field(description="There is more than `limit` let through.")
    fresh_at: FreshAt


class Amount(BaseModel):
    """Exact money."""

    amount: str = Field(examples=["12.50"])
    currency: str = Field(examples=["USD"])


Amounts = Annotated[list[Amount], Field(description="One a currency.")]


class Summary(BaseModel):
    """Totals of a range of days, or of all time."""

    people: int = Field(description="First seen within the range.")
    customers: int = Field(description="Whose first order, not cancelled, lies in the range.")
    orders: int = Field(description="Placed within the range, cancelled ones included.")
    cancelled_orders: int = Field(description="Cancelled within the range.")
    revenue: Amounts
    refunds: Amounts
    cancellations: Amounts
    net_revenue: Amounts
    average_order_value: Amounts
    fresh_at: FreshAt


class MinuteCount(BaseModel):
    minute: datetime
    events: int


class EventCount(BaseModel):
    event: str
    events: int


class Live(BaseModel):
    """The present hour and the present day (UTC)."""

    minutes: list[MinuteCount] = Field(description="The last 60 minutes, oldest first.")
    top_events: list[EventCount] = Field(description="The ten most frequent in those minutes.")
    orders_today: int
    revenue_today: Amounts
    new_people_today: int
    new_customers_today: int
    fresh_at: FreshAt

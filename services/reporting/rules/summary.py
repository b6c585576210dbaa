"""The few numbers at the top of a page: totals of a range, and the present hour."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from services.reporting.model import Number
from services.reporting.rules import revenue
from services.reporting.rules.money import minute, text

Row = Mapping[str, Any]
MINUTES = 60
TOP_EVENTS = 10


def summary(sales: Sequence[Row], people: Iterable[Row]) -> dict[str, Any]:
    """Totals from the sums of ``revenue_by_day`` (a row each currency) and ``customers``."""
    rows = [{**row, **revenue.derive(row)} for row in sorted(sales, key=_currency)]
    came = next(iter(people), {})
    amounts = ("revenue", "refunds", "cancellations", "net_revenue", "average_order_value")
    return {
        "people": came.get("new_people", 0),
        "customers": came.get("new_customers", 0),
        "orders": sum(row["orders"] for row in rows),
        "cancelled_orders": sum(row["cancelled_orders"] for row in rows),
        **{name: [_money(row, name) for row in rows if row[name] is not None] for name in amounts},
    }


def live(seen: Iterable[Row], now: datetime) -> dict[str, Any]:
    """The last 60 minutes, the present one included, from rows of ``events_by_minute``."""
    minutes = {minute(now - timedelta(minutes=ago)): 0 for ago in range(MINUTES - 1, -1, -1)}
    names: Counter[str] = Counter()
    for row in seen:
        if row["minute"] in minutes:
            minutes[row["minute"]] += row["events"]
            names[row["event"]] += row["events"]
    top = sorted(names.items(), key=lambda item: (-item[1], item[0]))[:TOP_EVENTS]
    return {
        "minutes": [{"minute": at, "events": count} for at, count in minutes.items()],
        "top_events": [{"event": name, "events": count} for name, count in top],
    }


def since(now: datetime) -> str:
    """The first of the minutes that ``live`` shows."""
    return minute(now - timedelta(minutes=MINUTES - 1))


def _currency(row: Row) -> str:
    return str(row["currency"])


def _money(row: Row, name: str) -> dict[str, str]:
    amount: Number = row[name]
    return {"amount": text(amount, row["currency"]), "currency": row["currency"]}

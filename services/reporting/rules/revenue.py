"""``revenue_by_day``: what was sold, taken back, and what is left, by day and currency.

An order is booked on the day it was placed, whole. A refund counts on its own day. A
cancellation, on its own day, takes back what refunds have not taken back already, so a
cancelled order ends at nothing however the two arrived.
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from schemas.messages import Order
from services.reporting.model import Cells, Column, Number, Person, Table
from services.reporting.rules.money import EXACT, average, bounded, day, minus


def countable(order: Order) -> bool:
    """Whether every amount of the order is one that a table can add exactly."""
    return all(
        bounded(amount) is not None
        for amount in (order.revenue, *(refund.amount for refund in order.refunds))
    )


def contribution(person: Person) -> Iterator[tuple[str, tuple[str, ...], Cells]]:
    """What one person's orders add."""
    for order in person.orders:
        if not countable(order):
            continue
        key = (order.currency,)
        revenue = bounded(order.revenue) or Decimal(0)
        yield day(order.ordered_at), key, {"orders": 1, "revenue": revenue}
        left = revenue
        for refund in order.refunds:
            amount = bounded(refund.amount) or Decimal(0)
            left = EXACT.subtract(left, amount)
            yield day(refund.at), key, {"refunds": amount}
        if order.status == "cancelled":
            cells: Cells = {
                "cancelled_orders": 1,
                "cancellations": max(left, Decimal(0)),
            }
            yield day(order.cancelled_at or order.updated_at), key, cells


def derive(row: Mapping[str, Any]) -> dict[str, Number | None]:
    """Net revenue and the average order value of one row."""
    taken_back = minus(minus(row["revenue"], row["refunds"]), row["cancellations"])
    return {
        "net_revenue": taken_back,
        "average_order_value": average(row["revenue"], row["orders"], row["currency"]),
    }


TABLE: Table[Person] = Table(
    name="revenue_by_day",
    title="Revenue by day",
    description="Orders and revenue of each UTC day and currency, and what was taken back.",
    topic="profile.changes",
    keys=(Column("currency", "currency code", "Currency", "ISO 4217."),),
    measures=(
        Column("orders", "orders", "Orders", "Placed on that day, cancelled ones included."),
        Column("revenue", "amount", "Revenue", "Of those orders, without shipping and tax."),
        Column("refunds", "amount", "Refunds", "Paid back on that day."),
        Column("cancelled_orders", "orders", "Cancelled", "Cancelled on that day."),
        Column(
            "cancellations",
            "amount",
            "Cancellations",
            "Revenue that orders cancelled on that day had left after their refunds.",
        ),
    ),
    derived=(
        Column("net_revenue", "amount", "Net revenue", "Revenue - refunds - cancellations."),
        Column(
            "average_order_value",
            "amount",
            "Average order value",
            "Revenue / orders, rounded half to even to the currency's digits.",
        ),
    ),
    contribution=contribution,
    derive=derive,
)

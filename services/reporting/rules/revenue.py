"""``revenue_by_day``: what was sold, taken back, and what is left, by day and currency.

An order is booked on the day it was placed, whole. A refund counts on its own day; of the
revenue it takes back what the profile says, since what was paid back includes shipping and
tax, which revenue does not; where a profile was written before it said so, all of it, up to
what is left. A cancellation, on its own day, takes back what refunds have not, so a cancelled
order ends at nothing however the two arrived.
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
        left = max(revenue, Decimal(0))
        for refund in sorted(order.refunds, key=lambda refund: (refund.at, refund.message_id)):
            amount = bounded(refund.amount) or Decimal(0)
            told = amount if refund.revenue is None else bounded(refund.revenue) or Decimal(0)
            taken = min(told, left)
            extras = EXACT.subtract(amount, taken)
            left = EXACT.subtract(left, taken)
            yield day(refund.at), key, {"refunds": amount, "refunded_extras": extras}
        if order.status == "cancelled":
            cells: Cells = {
                "cancelled_orders": 1,
                "cancellations": max(left, Decimal(0)),
            }
            yield day(order.cancelled_at or order.updated_at), key, cells


def derive(row: Mapping[str, Any]) -> dict[str, Number | None]:
    """Net revenue and the average order value of one row."""
    refunded = minus(row["refunds"], row["refunded_extras"])
    net = minus(minus(row["revenue"], refunded), row["cancellations"])
    return {
        "net_revenue": net,
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
        Column(
            "refunded_extras",
            "amount",
            "Of them beyond revenue",
            "The part of the refunds that is not of the order's revenue: shipping and tax.",
        ),
        Column("cancelled_orders", "orders", "Cancelled", "Cancelled on that day."),
        Column(
            "cancellations",
            "amount",
            "Cancellations",
            "Revenue that orders cancelled on that day had left after their refunds.",
        ),
    ),
    derived=(
        Column(
            "net_revenue",
            "amount",
            "Net revenue",
            "Revenue - (refunds - refunded extras) - cancellations, as profiles count it.",
        ),
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

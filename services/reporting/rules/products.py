"""``top_products``: units and revenue by product.

The product's name is part of the stored key, so that a row stays a plain sum whichever
name an order called it by; readers see the name that most units were sold under.
"""

from collections.abc import Iterator
from decimal import Decimal

from services.reporting.model import Cells, Column, Person, Table
from services.reporting.rules.money import bounded, day, times

NAME_LENGTH = 200
MOST_UNITS = 1_000_000_000


def contribution(person: Person) -> Iterator[tuple[str, tuple[str, ...], Cells]]:
    """What the lines of one person's orders add; cancelled orders add nothing."""
    for order in person.orders:
        if order.status == "cancelled":
            continue
        for line in order.products:
            price = bounded(line.price or Decimal(0))
            if price is None or abs(line.quantity) > MOST_UNITS:
                continue
            revenue = bounded(times(price, line.quantity))
            if revenue is None:
                continue
            key = (line.product_id, (line.name or "")[:NAME_LENGTH], order.currency)
            yield (
                day(order.ordered_at),
                key,
                {"units": line.quantity, "revenue": revenue},
            )


TABLE: Table[Person] = Table(
    name="top_products",
    title="Top products",
    description=(
        "Units and revenue of each product over the asked days, most units first, from the "
        "lines of orders that are not cancelled. Refunds name no lines and are not taken off."
    ),
    topic="profile.changes",
    keys=(
        Column("product_id", "text", "Product"),
        Column("name", "text", "Name", "The name that most units were sold under."),
        Column("currency", "currency code", "Currency", "ISO 4217."),
    ),
    measures=(
        Column("units", "units", "Units"),
        Column("revenue", "amount", "Revenue", "Price times quantity, before refunds."),
    ),
    contribution=contribution,
    by_period=False,
    label="name",
    rank=("units", "revenue"),
)

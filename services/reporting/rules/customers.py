"""``customers``: people who came, and people who bought, by day."""

from collections.abc import Iterator

from services.reporting.model import Cells, Column, Person, Table
from services.reporting.rules.money import day


def contribution(person: Person) -> Iterator[tuple[str, tuple[str, ...], Cells]]:
    """What one person adds: a merged profile's two halves are one person again."""
    ordered = [order.ordered_at for order in person.orders if order.status == "completed"]
    placed = [order.ordered_at for order in person.orders]
    seen = person.first_seen or min(placed, default=None)
    if seen is not None:
        cells: Cells = {"new_people": 1}
        if ordered:
            cells["with_orders"] = 1
        yield day(seen), (), cells
    if ordered:
        yield day(min(ordered)), (), {"new_customers": 1}


TABLE: Table[Person] = Table(
    name="customers",
    title="People and customers",
    description="People first seen, and people who first ordered, on each UTC day.",
    topic="profile.changes",
    keys=(),
    measures=(
        Column("new_people", "people", "New people", "First seen on that day."),
        Column(
            "with_orders",
            "people",
            "Of them customers",
            "Those of them who have, by now, an order that is not cancelled.",
        ),
        Column(
            "new_customers",
            "people",
            "New customers",
            "Whose first order that is not cancelled was placed on that day.",
        ),
    ),
    contribution=contribution,
)

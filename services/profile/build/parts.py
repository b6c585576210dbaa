"""Parts of a published profile that are costly to make, kept beside the state until they change.

Nothing of this is stored. ``rules.parts`` makes them.
"""

from datetime import datetime
from decimal import Decimal
from typing import Any

from msgspec import Struct, field

from schemas.messages import Money


class Bought(Struct, gc=False):
    """All that a published profile says of a person's orders."""

    orders: Any = field(default_factory=list)
    """``list[Order]``, or that list encoded."""
    count: int = 0
    revenue: list[Money] = field(default_factory=list)
    first_at: datetime | None = None
    last_at: datetime | None = None
    gross: list[Money] = field(default_factory=list)
    average: list[Money] = field(default_factory=list)
    days_between: Decimal | None = None
    category: str | None = None
    """Of which most units were bought."""
    brand: str | None = None


class Parts(Struct, gc=False):
    """What was made of one state and still holds; None and what is missing must be made."""

    bought: Bought | None = None
    closings: dict[str, datetime] | None = None
    """When orders were last made of which carts: see ``commerce.rules.carts``."""
    commerce: dict[str, Any] = field(default_factory=dict)
    """Carts, wishlists, subscriptions and conversations, encoded, by their names."""

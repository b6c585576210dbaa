"""The words of the rule language: facts, operators, limits. Data, for checker and docs."""

from typing import Literal, get_args

from schemas.messages import Aggregate, Comparison

Kind = Literal["number", "money", "instant", "text", "texts", "trait"]

FACTS: dict[str, Kind] = {
    "order_count": "number",
    "interactions": "number",
    "revenue": "money",
    "first_seen": "instant",
    "last_seen": "instant",
    "first_order_at": "instant",
    "last_order_at": "instant",
    "revenue_gross": "money",
    "average_order_value": "money",
    "days_between_orders": "number",
    "favourite_category": "texts",
    "favourite_brand": "texts",
    "preferred_channel": "text",
    "preferred_hour": "number",
    "locale": "texts",
    "time_zone": "texts",
}
FAMILIES: dict[str, Kind] = {
    "counters": "number",
    "consent": "text",
    "identifiers": "texts",
    "devices": "texts",
}
"""Facts with a name behind a dot: ``counters.Product Viewed``, ``consent.email``."""
DEVICE_PARTS = ("type", "os", "browser", "model")
"""The names behind ``devices.``"""

COMPARISONS = ("equals", "not_equals", "gt", "gte", "lt", "lte")
OPERATORS: dict[Kind, tuple[str, ...]] = {
    "number": (*COMPARISONS, "in"),
    "money": (*COMPARISONS, "in"),
    "instant": ("exists", "before", "after", "older_than", "newer_than"),
    "text": ("exists", "equals", "not_equals", "in"),
    "texts": ("exists", "equals", "not_equals", "in", "contains", "starts_with"),
    "trait": (
        *COMPARISONS,
        "in",
        "contains",
        "starts_with",
        "exists",
        "before",
        "after",
        "older_than",
        "newer_than",
    ),
}
PROPERTY_OPERATORS = get_args(Comparison)
AGGREGATES = get_args(Aggregate)
COUNTED = ("count", "unique_count")
"""Aggregates that are whole numbers."""
NUMERIC = ("sum", "average", "min", "max")
"""Aggregates that are numbers, of money with a currency."""
VALUE_OPERATORS = tuple(op for op in OPERATORS["trait"] if not op.endswith("_than"))
"""Of the other aggregates: first, last, most frequent, and the unique list, of which one
value that passes is enough."""
SYMBOLS = {
    "equals": "=",
    "not_equals": "!=",
    "gt": ">",
    "gte": ">=",
    "lt": "<",
    "lte": "<=",
}

MONEY = frozenset(
    ["amount", "discount", "price", "revenue", "shipping", "subtotal", "tax", "total", "value"]
)
"""Properties that hold money, by their last name: their sums have a currency."""

MAX_DEPTH = 10
MAX_CONDITIONS = 100
MAX_WHERE = 10
MAX_CHOICES = 500
MAX_TEXT = 500
MAX_SECONDS = 10 * 366 * 86_400
MAX_NUMBER = 10**15

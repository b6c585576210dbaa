"""What build keeps of a person's carts, wishlists, subscriptions and conversations.

A part of its state: see ``services.profile.build.model``. Whatever decides a tie is kept, and
what is bounded is bounded by recency, so that the same events give the same bytes.
"""

from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from msgspec import Struct, field

from schemas.messages import OrderLine

Does = Literal["", "adds", "removes", "holds", "touches"]


class Told(Struct, frozen=True):
    """One event as these rules read it."""

    name: str
    at: datetime
    message_id: str
    source: str
    properties: dict[str, Any]


class Content(Struct, array_like=True, gc=False):
    """What one event says of a cart: all that is in it, or what was put in or taken out."""

    lines: list[OrderLine] = field(default_factory=list)
    currency: str = ""
    """Empty: the event names none."""
    value: Decimal | None = None
    """As the event gives it, of all that is in the cart."""
    checkout: bool = False
    """Whether the event is one of a checkout."""
    checkout_id: str = ""
    url: str = ""


class CartEntry(Struct, array_like=True, gc=False):
    """One event about a cart, by (at, message_id).

    ``does`` is empty once a later entry says all that is in the cart: then nothing of it but
    its place matters.
    """

    at: datetime
    message_id: str
    does: Does = ""
    cart: str = ""
    """Its id; empty for the one cart of a shop that gives no ids."""
    content: Content | None = None


class Wish(Struct, array_like=True, gc=False):
    """The last word on one product of one wishlist; without a line it was taken off."""

    at: datetime
    message_id: str
    wishlist: str
    name: str
    """The wishlist's."""
    line: OrderLine | None
    currency: str


class SubscriptionState(Struct, array_like=True, gc=False):
    """The last word on one list."""

    at: datetime
    message_id: str
    subscribed: bool
    name: str
    channel: str
    source: str


class Known(Struct, array_like=True, gc=False):
    """The latest (at, message_id) that named something, and what it named."""

    at: datetime
    message_id: str
    id: str
    name: str = ""


class ConversationState(Struct, array_like=True, gc=False):
    """One conversation: sums and extremes over its events."""

    first_at: datetime
    last_at: datetime
    sent: int = 0
    received: int = 0
    last_message_at: datetime | None = None
    ended_at: datetime | None = None
    """The latest end."""
    going_at: datetime | None = None
    """The latest sign that it goes on: a start, a reopening, a word of the person."""
    channel: Known | None = None
    agent: Known | None = None


class Commerce(Struct, array_like=True, gc=False):
    """One person's."""

    carts: list[CartEntry] = field(default_factory=list)
    """The latest events about any cart, ascending."""
    wishes: dict[str, Wish] = field(default_factory=dict)
    """By wishlist and product."""
    subscriptions: dict[str, SubscriptionState] = field(default_factory=dict)
    """By the list's id, else its name."""
    conversations: dict[str, ConversationState] = field(default_factory=dict)
    """By source and id: chat tools count from 1."""


def has_any(kept: Commerce) -> bool:
    """Whether there is anything in it."""
    return bool(kept.carts or kept.wishes or kept.subscriptions or kept.conversations)


class Worth(Struct, array_like=True, gc=False):
    """What a person's orders are worth in the base currency, as it was last announced."""

    rates: str
    """The fingerprint of the rates that it was computed with."""
    base: str
    amount: Decimal | None
    missing: list[str]
    """Currencies without a rate, sorted; then there is no amount."""

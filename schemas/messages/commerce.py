"""What a person is about to buy, wishes for, has subscribed to, and talks about."""

from datetime import datetime
from decimal import Decimal
from typing import Literal

from msgspec import Struct, field


class OrderLine(Struct, kw_only=True, omit_defaults=True, gc=False):
    """One product line of an order or a cart."""

    product_id: str
    name: str | None = None
    category: str | None = None
    brand: str | None = None
    price: Decimal | None = None
    quantity: int = 1


class Cart(Struct, kw_only=True, omit_defaults=True):
    """A cart with something in it, of which no order has been made since.

    Whether it is abandoned, time alone says: see ``updated_at``.
    """

    updated_at: datetime
    """The latest event about it."""
    cart_id: str = ""
    """Empty in a shop that gives its carts no ids."""
    currency: str
    value: Decimal | None = None
    """As the shop says, else the lines; None where a price is missing or currencies differ."""
    items: int
    """Pieces, of all lines."""
    checkout_at: datetime | None = None
    """The latest step of a checkout, if one has begun."""
    checkout_id: str = ""
    url: str = ""
    """Where the checkout can be gone on with, where the shop says."""
    capped: bool = False
    """Older events about it are beyond what is kept: there may be more in it."""
    products: list[OrderLine] = field(default_factory=list)


class Wished(Struct, kw_only=True, omit_defaults=True):
    """A product on a wishlist, as it was when it was put there."""

    product_id: str
    added_at: datetime
    name: str | None = None
    category: str | None = None
    brand: str | None = None
    price: Decimal | None = None
    currency: str = ""


class Wishlist(Struct, kw_only=True, omit_defaults=True):
    """A wishlist with something on it."""

    wishlist_id: str = ""
    """Empty in a shop that has but one for each person."""
    name: str = ""
    updated_at: datetime
    products: list[Wished] = field(default_factory=list)


class Subscription(Struct, kw_only=True, omit_defaults=True):
    """Whether a person is on a list or newsletter. It is no consent to write to them."""

    list_id: str
    """The list's id, else its name."""
    name: str = ""
    channel: str = "email"
    state: Literal["subscribed", "unsubscribed"]
    at: datetime
    message_id: str
    source: str = ""


class Conversation(Struct, kw_only=True, omit_defaults=True):
    """A conversation with the shop, in a chat or by messages."""

    conversation_id: str
    source: str = ""
    status: Literal["open", "closed"]
    channel: str = ""
    opened_at: datetime
    """The earliest event of it."""
    closed_at: datetime | None = None
    updated_at: datetime
    """The latest event of it."""
    messages_sent: int = 0
    """By the person."""
    messages_received: int = 0
    """By the person, from the shop."""
    last_message_at: datetime | None = None
    agent_id: str = ""
    agent_name: str = ""
    """Who spoke for the shop last."""

"""What the profile API shows of carts, wishlists, subscriptions and conversations."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field


class OrderLine(BaseModel):
    """One product line."""

    product_id: str
    name: str | None = None
    category: str | None = None
    brand: str | None = None
    price: str | None = None
    quantity: int = 1


class Cart(BaseModel):
    """A cart with something in it, of which no order has been made since."""

    updated_at: datetime
    cart_id: str = Field("", description="Empty in a shop that gives its carts no ids.")
    currency: str
    value: str | None = Field(
        None, description="Null where a price is missing or currencies differ."
    )
    items: int = Field(description="Pieces, of all lines.")
    checkout_at: datetime | None = Field(None, description="The latest step of a checkout.")
    checkout_id: str = ""
    url: str = Field("", description="Where the checkout can be gone on with.")
    capped: bool = Field(False, description="Its older events are beyond what is kept.")
    products: list[OrderLine] = []


class Wished(BaseModel):
    """A product on a wishlist, as it was when it was put there."""

    product_id: str
    added_at: datetime
    name: str | None = None
    category: str | None = None
    brand: str | None = None
    price: str | None = None
    currency: str = ""


class Wishlist(BaseModel):
    """A wishlist with something on it."""

    wishlist_id: str = ""
    name: str = ""
    updated_at: datetime
    products: list[Wished] = []


class Subscription(BaseModel):
    """Whether a person is on a list. It is no consent to write to them."""

    list_id: str
    name: str = ""
    channel: str = "email"
    state: Literal["subscribed", "unsubscribed"]
    at: datetime
    message_id: str
    source: str = ""


class Conversation(BaseModel):
    """A conversation with the shop."""

    conversation_id: str
    source: str = ""
    status: Literal["open", "closed"]
    channel: str = Field("", examples=["whatsapp"])
    opened_at: datetime
    closed_at: datetime | None = None
    updated_at: datetime
    messages_sent: int = Field(0, description="By the person.")
    messages_received: int = Field(0, description="By the person, from the shop.")
    last_message_at: datetime | None = None
    agent_id: str = ""
    agent_name: str = Field("", description="Who spoke for the shop last.")

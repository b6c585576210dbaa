"""What the console reads of the services' answers: their documented fields, as it needs them.

Fields that are not named here are skipped, so a service may add some.
"""

from datetime import datetime
from decimal import Decimal
from typing import Any, Generic, TypeVar

from msgspec import Struct

T = TypeVar("T")


class Page(Struct, Generic[T], frozen=True):
    """A part of a list; ``next`` asks for what follows."""

    items: list[T]
    next: str | None = None


class Amount(Struct, frozen=True):
    """Exact money in one currency."""

    amount: Decimal
    currency: str


# -- profile ---------------------------------------------------------------------------------


class Identifier(Struct, frozen=True):
    type: str
    value: str


class Consent(Struct, frozen=True):
    state: str
    at: datetime
    source: str = ""
    reason: str = ""


class Refund(Struct, frozen=True):
    amount: Decimal
    at: datetime
    revenue: Decimal | None = None
    """What of it was revenue; else it was tax and shipping."""


class Line(Struct, frozen=True):
    product_id: str
    name: str | None = None
    price: Decimal | None = None
    quantity: int = 1


class Order(Struct, frozen=True):
    """``revenue`` is before refunds, without tax and shipping."""

    order_id: str
    currency: str
    ordered_at: datetime
    status: str = "completed"
    revenue: Decimal = Decimal(0)
    refunds: list[Refund] = []
    cancelled_at: datetime | None = None
    products: list[Line] = []


class Device(Struct, frozen=True):
    type: str
    os: str = ""
    browser: str = ""
    model: str = ""


class Cart(Struct, frozen=True):
    updated_at: datetime
    currency: str
    items: int
    value: Decimal | None = None
    checkout_at: datetime | None = None
    products: list[Line] = []


class Wishlist(Struct, frozen=True):
    name: str = ""
    products: list[Line] = []


class Conversation(Struct, frozen=True):
    conversation_id: str
    status: str
    updated_at: datetime
    source: str = ""
    channel: str = ""
    messages_sent: int = 0
    messages_received: int = 0
    agent_id: str = ""
    agent_name: str = ""


class Profile(Struct, frozen=True):
    profile_id: str
    version: int
    traits: dict[str, Any]
    identifiers: list[Identifier]
    consent: dict[str, Consent]
    first_seen: datetime | None
    last_seen: datetime | None
    interactions: int
    orders: list[Order]
    order_count: int
    revenue: list[Amount]
    merged_from: list[str] = []
    revenue_gross: list[Amount] = []
    average_order_value: list[Amount] = []
    days_between_orders: Decimal | None = None
    favourite_category: str | None = None
    favourite_brand: str | None = None
    preferred_channel: str | None = None
    preferred_hour: int | None = None
    devices: list[Device] = []
    locale: str | None = None
    time_zone: str | None = None
    revenue_base: Amount | None = None
    carts: list[Cart] = []
    wishlists: list[Wishlist] = []
    conversations: list[Conversation] = []
    as_of: datetime | None = None
    """Set where it is the profile of a past instant."""


class HeldIdentifier(Struct, frozen=True):
    type: str
    value: str
    first_seen: datetime
    message_id: str
    source: str = ""


class Merge(Struct, frozen=True):
    profile_id: str
    into: str
    at: datetime
    evidence: Identifier
    explanation: str
    message_id: str = ""
    actor: str = ""
    note: str = ""


class Split(Struct, frozen=True):
    """A decision that keeps them apart from somebody."""

    at: datetime
    actor: str
    reason: str


class Refused(Struct, frozen=True):
    """A message of which only the first ``kept`` identifiers are one person's."""

    identifiers: list[Identifier]
    kept: int
    explanation: str
    at: datetime
    message_id: str
    source: str = ""


class Identity(Struct, frozen=True):
    identifiers: list[HeldIdentifier]
    merges: list[Merge]
    splits: list[Split] = []
    refusals: list[Refused] = []


class Interaction(Struct, frozen=True):
    interaction_id: str
    at: datetime
    type: str
    name: str
    source: str
    event: dict[str, Any]
    handed_to: str | None = None


# -- segmentation ----------------------------------------------------------------------------


class WaitsFor(Struct, frozen=True):
    condition: str


class Segment(Struct, frozen=True):
    key: str
    name: str
    version: int
    updated_at: datetime
    members: int
    rule: Any
    description: str = ""
    state: str = "ready"
    waiting_for: list[WaitsFor] = []


class Membership(Struct, frozen=True):
    segment: str
    since: datetime
    occurrence: int


class Reason(Struct, frozen=True):
    condition: str
    holds: bool
    actual: Any = None


class Explanation(Struct, frozen=True):
    member: bool
    reasons: list[Reason]
    since: datetime | None = None
    next_flip: datetime | None = None


# -- notifier --------------------------------------------------------------------------------


class Trigger(Struct, frozen=True):
    segment: str


class Campaign(Struct, frozen=True):
    key: str
    name: str
    version: int
    updated_at: datetime
    trigger: Trigger
    subject: str
    channel: str = "email"
    enabled: bool = True
    once: bool = True
    delay_seconds: int = 0
    notes: list[str] = []


class Message(Struct, frozen=True):
    message_id: str
    campaign: str
    segment: str
    channel: str
    state: str
    reason: str
    decided_at: datetime
    due_at: datetime
    sent_at: datetime | None = None
    unsubscribed_at: datetime | None = None

"""What is known of a person, as build publishes it."""

from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from msgspec import Struct, field

from schemas.messages.commerce import Cart, Conversation, OrderLine, Subscription, Wishlist
from schemas.messages.interactions import Identifier


class Money(Struct, frozen=True):
    """An exact amount in one ISO 4217 currency."""

    amount: Decimal
    currency: str


class Refund(Struct, kw_only=True, omit_defaults=True):
    """One refund of an order; ``amount`` is positive, in the order's currency."""

    message_id: str
    amount: Decimal
    """What was paid back, with tax and shipping."""
    at: datetime
    revenue: Decimal | None = None
    """What it takes from the order's revenue; a reader of older records may find none."""


class Order(Struct, kw_only=True, omit_defaults=True):
    """An order as it stands: the latest version by event time, less what was taken back.

    ``revenue`` excludes shipping and tax (Segment's meaning); ``total`` is what was paid.
    Net revenue is ``revenue`` less that of the refunds, which never take more; nothing once
    the order is cancelled.
    """

    order_id: str
    currency: str
    ordered_at: datetime
    updated_at: datetime
    status: Literal["completed", "cancelled"] = "completed"
    revenue: Decimal = Decimal(0)
    total: Decimal = Decimal(0)
    refunds: list[Refund] = field(default_factory=list)
    cancelled_at: datetime | None = None
    products: list[OrderLine] = field(default_factory=list)


class Consent(Struct, kw_only=True, omit_defaults=True):
    """What a person last said of marketing on one channel, and by which message."""

    state: Literal["granted", "denied", "withdrawn"]
    """Only ``granted`` is a permission."""
    at: datetime
    message_id: str
    source: str = ""
    reason: str = ""
    """What the state alone does not tell, as a code: ``consent_pending`` is a grant that the
    person has yet to confirm, and so denied for now."""
    by: str = ""
    """Who said it, where it was not the person: ``agent``, ``import`` or ``provider``."""


class Device(Struct, omit_defaults=True):
    """A device that a person uses; families without versions, empty where unknown."""

    type: str
    """``desktop``, ``mobile``, ``tablet`` or ``other``."""
    os: str
    browser: str
    """Empty in an app."""
    model: str
    last_seen: datetime


class ComputedValue(Struct, kw_only=True, omit_defaults=True):
    """The value of one computed trait for one person.

    Over all time: ``count`` (also of a unique count, and of how often the most frequent value
    occurred); ``sums`` or, of an average, min or max, ``amounts``, each by currency (``""`` for
    a property that is no money: amounts of different currencies are never added or compared);
    ``value``, with ``at`` for first and last; ``items``, the distinct values, the latest first.
    What nothing matched is zero or empty, and has no ``value``.

    Windowed ones fill ``times`` (event times in milliseconds since 1970, ascending) and in
    step with it ``values`` where numbers are aggregated (``currencies`` where these are money:
    only values of one currency may be added) or ``items`` where values of any kind are. They
    hold what lies within the window before the person's latest event, at most ``MAX_WINDOW``
    entries.

    ``capped`` says that a bound was met: older entries of a window or of a unique list were
    left out, a unique count is an estimate (3 % of standard error), or the most frequent value
    is that of a fixed sample of ``MAX_VALUES`` different ones.
    """

    count: int | None = None
    sums: dict[str, Decimal] | None = None
    times: list[int] | None = None
    values: list[Decimal] | None = None
    currencies: list[str] | None = None
    capped: bool = False
    amounts: dict[str, Decimal] | None = None
    value: Any = None
    at: datetime | None = None
    items: list[Any] | None = None


MAX_WINDOW = 1_000
"""Entries of one window."""
MAX_VALUES = 1_000
"""Different values that a unique count and a most frequent value are exact for."""
MAX_ITEMS = 200
"""Values of a unique list over all time: the latest."""


class Profile(Struct, kw_only=True, omit_defaults=True):
    """What is known of one person, as other services and teams may read it."""

    profile_id: str
    identifiers: list[Identifier] = field(default_factory=list)
    traits: dict[str, Any] = field(default_factory=dict)
    consent: dict[str, Consent] = field(default_factory=dict)
    """By channel (marketing), and by ``channel/purpose`` for any other purpose."""
    first_seen: datetime | None = None
    last_seen: datetime | None = None
    interactions: int = 0
    counters: dict[str, int] = field(default_factory=dict)
    """How often each event name occurred."""
    orders: list[Order] = field(default_factory=list)
    order_count: int = 0
    """Orders completed and not cancelled."""
    revenue: list[Money] = field(default_factory=list)
    """Revenue net of refunds and cancellations, one entry a currency."""
    revenue_base: Money | None = None
    """The same in the shop's base currency, each order at the rate of its day; None where no
    base is set, no order stands, or a rate is missing."""
    revenue_base_missing: list[str] = field(default_factory=list)
    """The currencies of which no rate is known for the day of an order."""
    first_order_at: datetime | None = None
    last_order_at: datetime | None = None
    carts: list[Cart] = field(default_factory=list)
    """With something in them, the latest first, at most 10."""
    wishlists: list[Wishlist] = field(default_factory=list)
    subscriptions: list[Subscription] = field(default_factory=list)
    conversations: list[Conversation] = field(default_factory=list)
    """The latest first, at most 20."""
    computed: dict[str, ComputedValue] = field(default_factory=dict)
    """By computed trait key. A key that is missing is not computed yet for this person."""
    revenue_gross: list[Money] = field(default_factory=list)
    """Revenue of the orders that count in ``order_count``, before refunds."""
    average_order_value: list[Money] = field(default_factory=list)
    """``revenue_gross`` by order, one entry a currency, to the cent."""
    days_between_orders: Decimal | None = None
    """Mean number of days from one order to the next; from the second order on."""
    favourite_category: str | None = None
    """Of which most was bought; who bought nothing: of which most was viewed."""
    favourite_brand: str | None = None
    preferred_channel: str | None = None
    """On which the person answers most often: ``email``, ``sms``, ``push``, ``chat``..."""
    preferred_hour: int | None = None
    """Hour of day, 0 to 23, in which the person is most often active, in their time zone."""
    devices: list[Device] = field(default_factory=list)
    """The last used first, at most 20."""
    locale: str | None = None
    """The latest, such as ``en-GB``."""
    time_zone: str | None = None
    """The latest, an IANA name such as ``Europe/Berlin``."""


class Cause(Struct, kw_only=True, omit_defaults=True):
    """The latest interaction behind a change; one that was not imported, if there is any."""

    message_id: str
    name: str
    at: datetime
    source: str = ""
    history: bool = False
    """Nothing but imported history is behind the change."""


class ProfileChanged(Struct, kw_only=True, omit_defaults=True):
    """``regulars.profile.changed.v1`` on ``profile.changes``: the whole profile, after.

    After a merge, the former profile's record has ``merged_into`` and no profile. When the merge
    is undone it lives again: its next version has a profile and no ``merged_into``.
    """

    profile_id: str
    version: int
    """Rises with each change of this profile; a smaller one is older."""
    changed_at: datetime
    cause: Cause
    changed: list[str] = field(default_factory=list)
    """What differs: ``traits.email``, ``orders``, ``computed.<key>``, ``consent.email``..."""
    before: dict[str, Any] = field(default_factory=dict)
    """What the profile held before, by names of ``changed``: null where there was no value. A
    first version has none; what is too long is left out."""
    merged_into: str | None = None
    merged_from: list[str] = field(default_factory=list)
    """Every former profile id of this person."""
    profile: Profile | None = None

"""What the profile API answers with, as its documentation shows it.

The answers themselves are written from the stored bytes, without a detour through these
models: a test holds the two together.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from services.profile.commerce.answers import (
    Cart,
    Conversation,
    OrderLine,
    Subscription,
    Wishlist,
)


def _in_reach(at: datetime) -> datetime:
    if not 1 < at.year < 9999:
        raise ValueError("a year from 2 to 9998 is needed")
    return at


Instant = Annotated[AwareDatetime, AfterValidator(_in_reach)]
"""A time that somebody names: any that is one in every time zone."""

ConsentWord = Literal["granted", "denied", "withdrawn"]


class Identifier(BaseModel):
    """A name by which a person is known."""

    type: str = Field(examples=["email"])
    value: str = Field(examples=["ann@example.com"])


class Amount(BaseModel):
    """An exact amount in one currency."""

    amount: str = Field(examples=["12.50"])
    currency: str = Field(examples=["USD"])


class Consent(BaseModel):
    """What the person last said of marketing on one channel, and by which message."""

    state: ConsentWord = Field(description="Only `granted` is a permission.")
    at: datetime
    message_id: str
    source: str = ""
    reason: str = Field("", description="What the state alone does not tell: `consent_pending`...")
    by: str = Field("", description="`agent`, `import` or `provider`; empty: the person.")


class Refund(BaseModel):
    """One refund of an order, in the order's currency."""

    message_id: str
    amount: str = Field(description="What was paid back, with tax and shipping.")
    at: datetime
    revenue: str | None = Field(None, description="What it takes from the order's revenue.")


class Order(BaseModel):
    """An order as it stands. `revenue` excludes tax and shipping, and is before refunds."""

    order_id: str
    currency: str
    ordered_at: datetime
    updated_at: datetime
    status: Literal["completed", "cancelled"] = "completed"
    revenue: str = "0"
    total: str = "0"
    refunds: list[Refund] = []
    cancelled_at: datetime | None = None
    products: list[OrderLine] = []


class Computed(BaseModel):
    """A computed trait: its value over all time, or the entries within its window."""

    count: int | None = Field(None, description="Of matches, or of different values.")
    sums: dict[str, str] | None = Field(None, description="By currency; empty: no money.")
    amounts: dict[str, str] | None = Field(
        None, description="Average, min or max, by currency; empty: no money."
    )
    value: Any = Field(None, description="First, last or most frequent.")
    at: datetime | None = Field(None, description="When the first or last was.")
    items: list[Any] | None = Field(
        None, description="Different values, the latest first; in a window: in step with `times`."
    )
    times: list[int] | None = Field(None, description="Milliseconds since 1970.")
    values: list[str] | None = Field(None, description="Numbers, in step with `times`.")
    currencies: list[str] | None = None
    capped: bool = Field(False, description="A bound was met: it is not about everything.")


class Device(BaseModel):
    """A device of a person: families without versions, empty where unknown."""

    type: Literal["desktop", "mobile", "tablet", "other"]
    os: str = Field("", examples=["iOS"])
    browser: str = Field("", description="Empty in an app.")
    model: str = ""
    last_seen: datetime


class Profile(BaseModel):
    """What is known of one person."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "profile_id": "3f0c2a",
                "version": 7,
                "traits": {"email": "ann@example.com", "plan": "gold"},
                "identifiers": [{"type": "email", "value": "ann@example.com"}],
                "consent": {
                    "email": {
                        "state": "granted",
                        "at": "2026-03-01T12:00:00Z",
                        "message_id": "m-1",
                        "source": "web",
                    }
                },
                "first_seen": "2026-03-01T12:00:00Z",
                "last_seen": "2026-03-05T09:30:00Z",
                "interactions": 12,
                "counters": {"Order Completed": 1, "Product Viewed": 11},
                "orders": [],
                "order_count": 1,
                "revenue": [{"amount": "12.50", "currency": "USD"}],
                "first_order_at": "2026-03-05T09:30:00Z",
                "last_order_at": "2026-03-05T09:30:00Z",
                "computed": {"orders_30d": {"times": [1772703000000]}},
                "merged_from": [],
                "flags": {},
            }
        }
    )
    profile_id: str
    version: int = Field(description="Rises with every change.")
    traits: dict[str, Any]
    identifiers: list[Identifier]
    consent: dict[str, Consent] = Field(
        description="By channel, or `channel/purpose` but for marketing."
    )
    first_seen: datetime | None
    last_seen: datetime | None
    interactions: int
    counters: dict[str, int] = Field(description="How often each event name occurred.")
    orders: list[Order]
    order_count: int = Field(description="Orders completed and not cancelled.")
    revenue: list[Amount] = Field(description="Net of refunds and cancellations, by currency.")
    revenue_base: Amount | None = Field(
        description="The same in the base currency, each order at its day's rate."
    )
    revenue_base_missing: list[str] = Field(description="Currencies without a rate: no sum then.")
    first_order_at: datetime | None
    last_order_at: datetime | None
    carts: list[Cart] = Field(description="With something in them, the latest first.")
    wishlists: list[Wishlist]
    subscriptions: list[Subscription] = Field(description="Lists that were left included.")
    conversations: list[Conversation] = Field(description="The latest first, at most 20.")
    computed: dict[str, Computed] = Field(description="A trait that matched nothing is left out.")
    revenue_gross: list[Amount] = Field([], description="Of `order_count`, before refunds.")
    average_order_value: list[Amount] = Field([], description="`revenue_gross` by order.")
    days_between_orders: str | None = Field(None, description="The mean.", examples=["30.50"])
    favourite_category: str | None = Field(None, description="Most bought; else most viewed.")
    favourite_brand: str | None = None
    preferred_channel: str | None = Field(None, description="On which they answer most often.")
    preferred_hour: int | None = Field(None, description="0 to 23, in their time zone.")
    devices: list[Device] = Field([], description="The last used first, at most 20.")
    locale: str | None = Field(None, examples=["en-GB"])
    time_zone: str | None = Field(None, examples=["Europe/Berlin"])
    merged_from: list[str] = Field(description="Every former profile id of this person.")
    flags: dict[str, int] = Field(description="How often an event held what could not be used.")
    as_of: datetime | None = Field(
        None, description="The past instant that was asked for; then `version` is 0. Null: now."
    )


class BatchBody(BaseModel):
    """Whose profiles are wanted."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"profile_ids": ["3f0c2a"]}}
    )
    profile_ids: list[Annotated[str, Field(min_length=1, max_length=200)]] = Field(
        min_length=1, max_length=500
    )


class Batch(BaseModel):
    """The profiles by the ids that were asked for."""

    profiles: dict[str, Profile] = Field(description="An id that nobody is known by is left out.")


class Interaction(BaseModel):
    """One entry of a timeline; `event` is what the sender sent."""

    interaction_id: str
    profile_id: str = Field(description="The id at that time; it may be a former one.")
    at: datetime
    received_at: datetime
    type: str = Field(examples=["track"])
    name: str = Field(examples=["Order Completed"])
    source: str
    identifiers: list[Identifier] = Field(description="Accepted as the person's.")
    ignored: list[Identifier] = Field(description="Kept from linking by limits or block lists.")
    history: bool = Field(description="Imported history: nobody is written to because of it.")
    untrusted: bool = Field(
        description="From a browser or an app, which cannot say that two known people are one."
    )
    handed_to: str | None = Field(
        None,
        description="Of an order that was handed on to another customer: a profile id of theirs. "
        "There it counts, with all that was told of it.",
    )
    event: dict[str, Any]

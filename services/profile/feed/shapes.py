"""Webhook subscriptions as the API takes and shows them."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from services.profile.feed.model import Entry, Subscription
from services.profile.feed.subscriptions import Standing

Type = Literal[
    "regulars.profile.changed.v1",
    "regulars.profile.erased.v1",
    "regulars.segment.entered.v1",
    "regulars.segment.exited.v1",
]
Name = Annotated[str, Field(min_length=1, max_length=200)]
State = Literal["active", "catching_up", "failing", "disabled"]


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid")


class SubscriptionBody(_Asked):
    """Where to send what."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "url": "https://crm.example/hooks/regulars",
                "types": ["regulars.profile.changed.v1", "regulars.profile.erased.v1"],
                "changed": ["traits.plan", "consent"],
            }
        },
    )
    url: str = Field(max_length=2_000, description="A public https address.")
    types: list[Type] = Field(
        default=["regulars.profile.changed.v1", "regulars.profile.erased.v1"],
        min_length=1,
        max_length=10,
    )
    changed: list[Name] = Field(
        default=[],
        max_length=50,
        description="Only changes of these names, sections or facts: `traits.plan`, `consent`, "
        "`order_count`. "
        "Merges are always told.",
    )
    segments: list[Name] = Field(
        default=[], max_length=50, description="Only these segments, by key."
    )
    description: str = Field(default="", max_length=500)


class SubscriptionPatch(_Asked):
    """What is to be different; what is left out stays."""

    url: str | None = Field(default=None, max_length=2_000)
    types: list[Type] | None = Field(default=None, min_length=1, max_length=10)
    changed: list[Name] | None = Field(default=None, max_length=50)
    segments: list[Name] | None = Field(default=None, max_length=50)
    description: str | None = Field(default=None, max_length=500)
    enabled: bool | None = Field(
        default=None, description="Enabled again, it goes on from where it stopped."
    )


class Shown(BaseModel):
    """A subscription, and how it is doing."""

    id: str = Field(examples=["sub_5f0c"])
    url: str
    types: list[Type]
    changed: list[str]
    segments: list[str]
    description: str
    enabled: bool
    state: State = Field(
        description="`failing`: nothing has arrived there since `failing_since`; "
        "`catching_up`: some of the past has yet to be sent."
    )
    reason: str = Field(
        description="Why it is disabled: `by_request`, `endpoint_gone` (410) or "
        "`endpoint_failing` (nothing arrived for days)."
    )
    disabled_at: datetime | None
    created_at: datetime
    since: datetime | None = Field(description="The point in time that it was last moved to.")
    waiting: int = Field(description="Deliveries on their way; further ones wait on Kafka.")
    last_success_at: datetime | None
    failing_since: datetime | None


class Created(Shown):
    """A new subscription."""

    secret: str = Field(
        description="Signs what is sent. Shown this once.", examples=["whsec_C2FVsBQIhrscChlQ"]
    )


class Secret(BaseModel):
    """A new secret."""

    secret: str = Field(description="Shown this once.")
    former_until: datetime = Field(description="Until then the former one signs as well.")


class Move(_Asked):
    """From when on everything is to be sent again."""

    since: AwareDatetime = Field(examples=["2026-03-01T12:00:00Z"])


class Tested(BaseModel):
    """What the endpoint answered to a test."""

    delivered: bool
    status: int = Field(description="0: there was no answer.")
    code: str = Field(description="Why it failed.", examples=["http_500"])
    detail: str
    seconds: float
    webhook_id: str


class Attempt(BaseModel):
    """One attempt."""

    at: datetime
    webhook_id: str
    type: str
    profile_id: str
    attempt: int
    outcome: Literal["delivered", "failed", "gone", "given_up"]
    status: int
    code: str
    seconds: float


class Attempts(BaseModel):
    """The last attempts, newest first."""

    items: list[Attempt]
    next: str | None = None


def shown(subscription: Subscription, standing: Standing) -> Shown:
    """A subscription as the API answers it."""
    return Shown(
        id=subscription.id,
        url=subscription.url,
        types=[*subscription.types],
        changed=[*subscription.changed],
        segments=[*subscription.segments],
        description=subscription.description,
        enabled=subscription.enabled,
        state=_state(subscription, standing),
        reason=subscription.reason,
        disabled_at=subscription.disabled_at,
        created_at=subscription.created_at,
        since=subscription.since,
        waiting=standing.waiting,
        last_success_at=standing.last_success_at,
        failing_since=standing.failing_since,
    )


def attempt(entry: Entry) -> Attempt:
    """A line of the log as the API answers it."""
    return Attempt.model_validate({name: getattr(entry, name) for name in entry.__struct_fields__})


def _state(subscription: Subscription, standing: Standing) -> State:
    if not subscription.enabled:
        return "disabled"
    if standing.failing_since is not None:
        return "failing"
    return "catching_up" if standing.behind else "active"

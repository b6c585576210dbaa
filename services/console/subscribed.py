"""What the console reads of the profile API's webhooks: who subscribes, and how that goes."""

from datetime import datetime

from msgspec import Struct


class Subscription(Struct, frozen=True):
    """Where what is sent, and how it is doing."""

    id: str
    url: str
    types: list[str]
    changed: list[str]
    segments: list[str]
    enabled: bool
    state: str
    waiting: int
    created_at: datetime
    description: str = ""
    reason: str = ""
    disabled_at: datetime | None = None
    since: datetime | None = None
    last_success_at: datetime | None = None
    failing_since: datetime | None = None


class Secret(Struct, frozen=True):
    """A new secret: this is the only time that it is answered."""

    secret: str
    id: str = ""
    """Of the subscription, where that is new, too."""


class Tested(Struct, frozen=True):
    """What an endpoint answered to a test."""

    delivered: bool
    status: int
    code: str
    detail: str
    seconds: float


class Attempt(Struct, frozen=True):
    """One attempt."""

    at: datetime
    webhook_id: str
    type: str
    profile_id: str
    attempt: int
    outcome: str
    status: int
    code: str
    seconds: float

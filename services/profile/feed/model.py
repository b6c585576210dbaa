"""The types of the webhooks: who subscribes to what, and what is on its way to whom."""

from datetime import UTC, datetime, timedelta
from typing import Literal

from msgspec import Struct

PROFILE_CHANGED = "regulars.profile.changed.v1"
PROFILE_ERASED = "regulars.profile.erased.v1"
SEGMENT_ENTERED = "regulars.segment.entered.v1"
SEGMENT_EXITED = "regulars.segment.exited.v1"
TESTED = "regulars.subscription.tested.v1"
TYPES = (PROFILE_CHANGED, PROFILE_ERASED, SEGMENT_ENTERED, SEGMENT_EXITED)
"""What can be subscribed to: CloudEvents types of profile.changes and segment.changes."""

OVERLAP = timedelta(hours=24)
"""How long a rotated secret signs beside the new one."""
MOST_SUBSCRIPTIONS = 100
LOG_ENTRIES = 100
"""Attempts that are kept for each subscription."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


class Subscription(Struct, frozen=True, kw_only=True):
    """Where to send what."""

    id: str
    url: str
    types: tuple[str, ...]
    changed: tuple[str, ...] = ()
    """Names or sections of ``ProfileChanged.changed`` that matter; none: all do."""
    segments: tuple[str, ...] = ()
    """Keys of segments that matter; none: all do."""
    description: str = ""
    enabled: bool = True
    reason: str = ""
    """Why it is disabled: ``by_request``, ``endpoint_gone`` or ``endpoint_failing``."""
    disabled_at: datetime | None = None
    created_at: datetime
    enabled_at: datetime
    """Created, or enabled again."""
    secrets: tuple[str, ...]
    """Sealed, the newest first; at most two."""
    moves: int = 0
    """How often it was moved to another point in time."""
    since: datetime | None = None
    """The point in time that it was last moved to."""

    @property
    def floor(self) -> int:
        """Records that were stamped before this (ms) are not its own."""
        return ((self.since or self.created_at) - _EPOCH) // _MILLISECOND


class Delivery(Struct, kw_only=True):
    """One event on its way to one subscription; gone once it has arrived."""

    id: str
    """``<subscription>/<source>/<offset>``."""
    subscription: str
    source: str
    """The partition that it came from, as its checkpoint is called."""
    offset: int
    profile_id: str
    webhook_id: str
    """The same at every attempt, and if it is ever sent again."""
    type: str
    body: bytes
    attempts: int = 0
    due: datetime
    begun_at: datetime | None = None
    """The first attempt."""


class LaneState(Struct, kw_only=True):
    """How far one subscription has come in one partition.

    As a rule that is as far as the stage, and each record becomes a delivery at once. Where
    too many wait it falls behind: from ``position`` on it reads Kafka by itself, as there is
    room, until it has caught up.
    """

    subscription: str
    source: str
    position: int = 0
    """Records before it are done with; -1: wherever ``Subscription.since`` is."""
    behind: bool = False
    moves: int = 0
    """Of the subscription's moves, the last that was followed."""


class Told(Struct, kw_only=True):
    """What a record of either topic says, as far as a subscription may ask for it."""

    offset: int
    profile_id: str
    type: str
    id: str
    """The CloudEvents id."""
    stamp: int
    """Milliseconds since 1970."""
    names: tuple[str, ...] = ()
    """What changed."""
    segment: str = ""
    body: bytes
    """Of the webhook."""


class Caught(Struct, kw_only=True):
    """What a lane that had fallen behind has read: from ``start`` up to, not with, ``end``."""

    subscription: str
    moves: int
    start: int
    end: int
    told: list[Told]


class Outcome(Struct, kw_only=True):
    """What became of one attempt."""

    delivery: str
    subscription: str
    attempt: int
    kind: Literal["delivered", "failed", "gone"]
    at: datetime
    status: int = 0
    """Of the answer; 0: there was none."""
    code: str = ""
    """Why it failed: ``http_500``, or a code of ``services.runtime.outbound``."""
    seconds: float = 0.0
    wait: float = 0.0
    """The least pause that the endpoint asked for, in seconds."""
    chance: float = 0.5
    """In [0, 1): spreads the retries."""


class Entry(Struct, kw_only=True):
    """One line of a subscription's log."""

    at: datetime
    webhook_id: str
    type: str
    profile_id: str
    attempt: int
    outcome: Literal["delivered", "failed", "gone", "given_up"]
    status: int = 0
    code: str = ""
    seconds: float = 0.0


class Health(Struct, kw_only=True):
    """How an endpoint has been doing, and what was last tried."""

    last_success_at: datetime | None = None
    failing_since: datetime | None = None
    log: list[Entry] = []


class Patience(Struct, frozen=True, kw_only=True):
    """How hard to try."""

    waiting: int = 100
    """Deliveries that may wait for one subscription in one partition."""
    waiting_bytes: int = 8_000_000
    first_seconds: float = 5.0
    cap_seconds: float = 6 * 3_600.0
    give_up: timedelta = timedelta(days=3)
    """How long one delivery is tried, and an endpoint may fail altogether."""

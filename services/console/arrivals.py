"""What the console reads of ingest's answers: sources, and what becomes of their events."""

from datetime import datetime
from typing import Any

from msgspec import Struct


class SourceKey(Struct, frozen=True):
    """A write key, by which it can be told and not be used."""

    id: str
    hint: str
    created_at: datetime
    expires_at: datetime | None = None


class MadeKey(SourceKey, frozen=True, kw_only=True):
    """A new write key: this is the only time that it is answered."""

    key: str
    published: bool = True


class SourceSecret(Struct, frozen=True):
    name: str
    set_at: datetime
    previous_until: datetime | None = None


class Counted(Struct, frozen=True):
    """Of the last day."""

    accepted: int = 0
    duplicates: int = 0
    rejected: int = 0
    limited: int = 0
    last_seen: datetime | None = None


class Source(Struct, frozen=True):
    """``last_day`` is known in lists only."""

    name: str
    kind: str
    enabled: bool
    version: int
    static: bool
    keys: list[SourceKey]
    secrets: list[SourceSecret]
    options: dict[str, Any] = {}
    updated_at: datetime | None = None
    default_currency: str | None = None
    default_region: str | None = None
    events_per_second: float | None = None
    burst: int | None = None
    plan: str | None = None
    last_day: Counted = Counted()


class RejectedCount(Struct, frozen=True):
    code: str
    events: int


class Step(Struct, frozen=True):
    at: datetime
    accepted: int
    rejected: int


class Activity(Struct, frozen=True):
    accepted: int
    duplicates: int
    limited: int
    unavailable: int
    rejected: list[RejectedCount]
    series: list[Step]
    step_seconds: int
    last_seen: datetime | None = None


class Sighting(Struct, frozen=True):
    """One event as it came, and what was said of it."""

    id: str
    at: datetime
    verdict: str
    name: str
    message_id: str
    code: str = ""
    detail: str = ""
    event: Any = None
    cut: bool = False
    masked: bool = False

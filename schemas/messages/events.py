"""What comes in: events as they lie on ``events.*``."""

from datetime import datetime
from typing import Any, Literal

from msgspec import Struct, field

EventType = Literal["identify", "track", "page", "screen", "group", "alias"]


class Event(Struct, kw_only=True, rename="camel", omit_defaults=True):
    """One accepted event as it lies on ``events.*``: Segment's message, completed by ingest.

    ``timestamp`` is the corrected event time, never later than ``received_at``; what was
    corrected beyond the sender's clock skew is named in ``flags`` (``timestamp_clamped``), and
    so is that it came as ``history``, over ``/v1/import?history=true``. Ingest alone sets flags.
    At least one of ``user_id``, ``anonymous_id`` and an email trait is present.
    """

    message_id: str
    type: EventType
    timestamp: datetime
    received_at: datetime
    source: str = ""
    """The name of the write key's source, as configured in ingest."""
    original_timestamp: datetime | None = None
    sent_at: datetime | None = None
    anonymous_id: str | None = None
    user_id: str | None = None
    previous_id: str | None = None
    group_id: str | None = None
    event: str | None = None
    """The name of a track call, trimmed, in the catalogue's spelling where it is known."""
    name: str | None = None
    """The name of a page or screen."""
    category: str | None = None
    properties: dict[str, Any] = field(default_factory=dict)
    traits: dict[str, Any] = field(default_factory=dict)
    context: dict[str, Any] = field(default_factory=dict)
    integrations: dict[str, Any] = field(default_factory=dict)
    flags: list[str] = field(default_factory=list)

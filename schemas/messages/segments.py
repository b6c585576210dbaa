"""Who is in which segment, and why."""

from datetime import datetime
from typing import Any, Literal

from msgspec import Struct, field


class Reason(Struct, kw_only=True, omit_defaults=True):
    """One condition of a rule tree with what was compared: the "why" of a membership."""

    condition: str
    """The condition in words, such as ``count of Order Completed in 30 days >= 1``."""
    actual: Any = None
    holds: bool


class SegmentChanged(Struct, kw_only=True, omit_defaults=True):
    """``regulars.segment.entered.v1`` or ``.exited.v1`` on ``segment.changes``."""

    profile_id: str
    segment: str
    definition_version: int
    change: Literal["entered", "exited"]
    occurrence: int
    """How many times this person has entered this segment, this one included."""
    at: datetime
    """When it became true: the event's or timer's instant."""
    decided_at: datetime
    profile_version: int
    why: list[Reason] = field(default_factory=list)
    cause: str = ""
    """``event``, ``time``, ``definition`` or ``merge``."""
    merged_from: list[str] = field(default_factory=list)
    history: bool = False
    """Nothing but imported history is behind it: no reason to write to anybody."""

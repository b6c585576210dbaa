"""What was declared: segments, computed traits, campaigns, templates, sources and plans."""

from datetime import datetime
from typing import Any, Literal

from msgspec import Struct


class Definition(Struct, kw_only=True, omit_defaults=True):
    """``regulars.definition.changed.v1`` on ``control.definitions``, keyed ``kind/name``.

    No value (a tombstone) means that the definition was deleted.
    """

    kind: Literal["segment", "computed_trait", "campaign", "template", "source", "tracking_plan"]
    name: str
    version: int
    updated_at: datetime
    body: dict[str, Any]


class ComputedTrait(Struct, kw_only=True, omit_defaults=True, frozen=True):
    """The body of a ``computed_trait`` definition: an aggregate over a person's events.

    ``event`` matches an interaction's name, trimmed and case-insensitively. ``where`` are
    conditions on properties that must all hold. ``window_seconds`` None means all time.
    """

    event: str
    aggregate: Literal["count", "sum"] = "count"
    property: str | None = None
    where: tuple["PropertyCondition", ...] = ()
    window_seconds: int | None = None


class PropertyCondition(Struct, kw_only=True, omit_defaults=True, frozen=True):
    """A comparison with one property; a dotted ``property`` walks into objects and lists."""

    property: str
    op: Literal["equals", "not_equals", "contains", "gt", "gte", "lt", "lte", "exists"]
    value: Any = None

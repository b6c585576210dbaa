"""What was declared: segments, computed traits, campaigns, templates, sources, plans, rates."""

from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from msgspec import Struct

Aggregate = Literal[
    "count",
    "sum",
    "average",
    "min",
    "max",
    "first",
    "last",
    "most_frequent",
    "unique_list",
    "unique_count",
]
Comparison = Literal[
    "equals",
    "not_equals",
    "in",
    "contains",
    "starts_with",
    "gt",
    "gte",
    "lt",
    "lte",
    "between",
    "before",
    "after",
    "exists",
]


class Definition(Struct, kw_only=True, omit_defaults=True):
    """``regulars.definition.changed.v1`` on ``control.definitions``, keyed ``kind/name``.

    No value (a tombstone) means that the definition was deleted. ``readiness`` says that every
    profile has the computed trait ``name`` in that ``version``, since ``updated_at``;
    ``rebuild/all`` asks, by a new version, that all profiles be computed again.
    """

    kind: Literal[
        "segment",
        "computed_trait",
        "trait",
        "campaign",
        "template",
        "source",
        "tracking_plan",
        "readiness",
        "rebuild",
        "rates",
    ]
    name: str
    version: int
    updated_at: datetime
    body: dict[str, Any]


class Rates(Struct, kw_only=True, omit_defaults=True, frozen=True):
    """The body of a ``rates`` definition: exchange rates of one month, which names it.

    How much of each currency one unit of ``reference`` was worth: by day, by currency.
    """

    reference: str
    days: dict[str, dict[str, Decimal]]


class ComputedTrait(Struct, kw_only=True, omit_defaults=True, frozen=True):
    """The body of a ``computed_trait`` definition: an aggregate over a person's events.

    ``event`` matches an interaction's name, trimmed and case-insensitively. ``where`` are
    conditions on properties that must all hold. ``window_seconds`` None means all time. Every
    ``aggregate`` but ``count`` is of a ``property``.
    """

    event: str
    aggregate: Aggregate = "count"
    property: str | None = None
    where: tuple["PropertyCondition", ...] = ()
    window_seconds: int | None = None


class TraitSources(Struct, kw_only=True, omit_defaults=True, frozen=True):
    """The body of a ``trait`` definition, named after the trait, or ``*`` for every other one.

    ``sources`` are trusted from the first to the last; those that are not named, least, and all
    alike. Of sources trusted alike the latest write holds; without any, all are alike.
    """

    sources: tuple[str, ...] = ()


class PropertyCondition(Struct, kw_only=True, omit_defaults=True, frozen=True):
    """A comparison with one property; a dotted ``property`` walks into objects and lists.

    ``in`` compares with a list of values, ``between`` with the least and the greatest number
    (both included), ``before`` and ``after`` with an ISO 8601 date or time.
    """

    property: str
    op: Comparison
    value: Any = None

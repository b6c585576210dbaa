"""What segmentation reads, decides on and keeps: its types, and no decision.

Instants are integers, microseconds since 1970 in UTC: exact, and cheap to compare.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
from msgspec import Struct, field

from schemas.messages import (
    Aggregate,
    Cause,
    ComputedValue,
    Consent,
    Device,
    Identifier,
    Money,
    PropertyCondition,
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)
SECOND = 1_000_000
"""In microseconds."""


def micros(at: datetime) -> int:
    """The instant of an aware datetime."""
    delta = at - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * SECOND + delta.microseconds


def instant(at: int) -> datetime:
    """The datetime of an instant; one past the calendar's end becomes its end."""
    return _EPOCH + timedelta(microseconds=min(at, _LAST))


# -- what is read ------------------------------------------------------------------------


class Person(Struct, kw_only=True):
    """The part of ``schemas.messages.Profile`` that rules can ask about."""

    profile_id: str = ""
    identifiers: list[Identifier] = field(default_factory=list)
    traits: dict[str, Any] = field(default_factory=dict)
    consent: dict[str, Consent] = field(default_factory=dict)
    first_seen: datetime | None = None
    last_seen: datetime | None = None
    interactions: int = 0
    counters: dict[str, int] = field(default_factory=dict)
    order_count: int = 0
    revenue: list[Money] = field(default_factory=list)
    first_order_at: datetime | None = None
    last_order_at: datetime | None = None
    computed: dict[str, ComputedValue] = field(default_factory=dict)
    revenue_gross: list[Money] = field(default_factory=list)
    average_order_value: list[Money] = field(default_factory=list)
    days_between_orders: Decimal | None = None
    favourite_category: str | None = None
    favourite_brand: str | None = None
    preferred_channel: str | None = None
    preferred_hour: int | None = None
    devices: list[Device] = field(default_factory=list)
    locale: str | None = None
    time_zone: str | None = None


class Change(Struct, kw_only=True):
    """``schemas.messages.ProfileChanged`` with a ``Person``: orders stay undecoded."""

    profile_id: str
    version: int
    changed_at: datetime
    cause: Cause
    changed: list[str] = field(default_factory=list)
    merged_into: str | None = None
    merged_from: list[str] = field(default_factory=list)
    profile: Person | None = None


decode_change = msgspec.json.Decoder(Change, float_hook=Decimal).decode
"""JSON of a ``ProfileChanged`` -> ``Change``; raises ``UNFIT``."""
UNFIT = (msgspec.MsgspecError, UnicodeDecodeError, ArithmeticError, RecursionError)


# -- a definition ------------------------------------------------------------------------


class TraitCondition(Struct, frozen=True, kw_only=True):
    """A comparison with a trait; a dotted name walks into objects and lists."""

    trait: str
    op: str
    value: Any = None
    seconds: int | None = None
    """How long, for the operators that compare with now."""


class FactCondition(Struct, frozen=True, kw_only=True):
    """A comparison with what is known of everyone, such as ``last_order_at``."""

    fact: str
    op: str
    value: Any = None
    seconds: int | None = None
    currency: str | None = None


class BehaviourCondition(Struct, frozen=True, kw_only=True):
    """A comparison with an aggregate over the events of a person.

    ``value`` is a whole number for counts, a ``Decimal`` for sums, averages, min and max, and
    what the operator takes for values of any kind.
    """

    event: str
    aggregate: Aggregate = "count"
    property: str | None = None
    currency: str | None = None
    where: tuple[PropertyCondition, ...] = ()
    within_seconds: int | None = None
    op: str
    value: Any = None


class All(Struct, frozen=True):
    """Holds when every part does."""

    parts: tuple["Node", ...]


class Any_(Struct, frozen=True):  # noqa: N801  # typing's name is taken
    """Holds when at least one part does."""

    parts: tuple["Node", ...]


class Not(Struct, frozen=True):
    """Holds when its part does not."""

    part: "Node"


Node = All | Any_ | Not | TraitCondition | FactCondition | BehaviourCondition


class Segment(Struct, frozen=True, kw_only=True):
    """The body of a ``segment`` definition, checked."""

    name: str
    description: str = ""
    rule: Node


class Problem(Struct, frozen=True):
    """What is wrong with a definition, and where: a JSON path such as ``$.rule.all[0].op``."""

    path: str
    message: str


# -- what is kept of a person ------------------------------------------------------------


class Membership(Struct, frozen=True, kw_only=True):
    """A person is in a segment."""

    segment: str
    since: int
    occurrence: int
    definition: int
    """The definition's version when the person entered."""


class Left(Struct, frozen=True):
    """A person was in a segment before."""

    occurrence: int
    at: int
    """When they left."""


class Standing(Struct, kw_only=True, dict=False):
    """One person as segmentation stands with them. Mutable: ``rules.standing`` folds it."""

    profile_id: str
    version: int = 0
    body: bytes | None = None
    """The latest ``ProfileChanged`` as it came; None once it is decoded to ``person``."""
    person: Person | None = None
    merged_from: list[str] = field(default_factory=list)
    into: str | None = None
    """Set after a merge: the profile id that this person has now. Then there is no person."""
    members: dict[str, Membership] = field(default_factory=dict)
    past: dict[str, Left] = field(default_factory=dict)
    """Segments that the person has left and is not in."""
    undecided: tuple[str, ...] = ()
    """Segments that wait for a computed trait."""
    flip: int | None = None
    """No membership changes by time alone before this instant; None: never."""
    applied: str = ""
    """The fingerprint of the definitions that this standing was computed with."""

    def read(self) -> Person | None:
        """The person, decoded on first use."""
        if self.body is not None:
            change = decode_change(self.body)
            self.person, self.merged_from, self.body = change.profile, change.merged_from, None
        return self.person


class Progress(Struct, kw_only=True):
    """How far one partition has applied the definitions (``fingerprint``) to its people."""

    fingerprint: str = ""
    cursor: str = ""
    """Everyone up to this profile id stands as these definitions say."""
    done: bool = False


class Heard(Struct, frozen=True, kw_only=True):
    """What a partition goes by, of one segment."""

    version: int
    waits: tuple[str, ...] = ()
    """The computed traits that are not ready; without any, people are asked."""


class Outlook(Struct, frozen=True, kw_only=True):
    """How far one partition is with all segments, as it was last stored."""

    done: bool
    heard: dict[str, Heard]


Sizes = Mapping[str, int]
"""Segment -> by how many its membership has changed."""

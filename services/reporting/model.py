"""The types of reporting: what it reads of each message, and what a table is.

A table is data: its columns, where its rows come from, and one pure function, its
``contribution``, which says what one subject (a person, an event, a membership change, a
message) adds to which rows. Everything else follows from that: a table always equals the
sum of the contributions of the latest version of every subject.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypeVar

from msgspec import Meta, Raw, Struct, field

from schemas.messages import Order

Number = int | Decimal
Cells = dict[str, Number]
"""Measures by column name; one that is missing is zero."""

LAST_VERSION = 2**62
"""No profile changes more often; whoever says so is rejected."""

ALL_TIME = "all"
"""The period of the rows that hold a table's totals; it sorts after every instant."""


class RowId(NamedTuple):
    """What a row is about: ``period`` is ``2026-01-31``, ``2026-01-31T10:05:00Z`` or ``all``."""

    table: str
    period: str
    key: tuple[str, ...]


Contribution = dict[RowId, Cells]


class ProfileView(Struct):
    """What reporting reads of a profile, still undecoded: most changes touch neither."""

    first_seen: Raw = field(default_factory=lambda: Raw(b"null"))
    orders: Raw = field(default_factory=lambda: Raw(b"[]"))


class ChangeView(Struct):
    """What reporting reads of a ``ProfileChanged``."""

    profile_id: str
    version: Annotated[int, Meta(ge=1, le=LAST_VERSION)]
    profile: ProfileView | None = None
    """None after a merge: the person is counted under another profile."""


class InteractionView(Struct):
    """What reporting reads of an ``Interaction``."""

    received_at: datetime
    name: str


class Person(Struct, kw_only=True):
    """A person as the tables over people see them."""

    first_seen: datetime | None = None
    orders: list[Order] = field(default_factory=list)


class State(NamedTuple):
    """One record of a profile."""

    profile: ProfileView | None
    """None after a merge or an erasure."""
    version: int | None
    """None of a tombstone, which has none."""


class Newest(NamedTuple):
    """The state of a profile at the end of a turn."""

    place: int
    """Which of the turn's states it is."""
    profile: ProfileView | None
    version: int
    mixed: bool
    """A state before it in the turn would have added something else."""


class Held(Struct, array_like=True):
    """The last contribution of one profile: what its rows hold because of it."""

    version: int
    """No smaller than the version that ``rows`` came from; an older change is ignored."""
    fingerprint: bytes
    """A digest of what ``rows`` were computed from; empty when there is no profile."""
    rows: bytes
    """The encoded contribution."""


class Step(Struct, array_like=True, order=True, frozen=True):
    """When a message first reached a state. Ordered by time, then by the change's id."""

    at: datetime
    change_id: str
    reason: str = ""


class Told(Struct):
    """The states that one message has reached."""

    campaign: str
    steps: dict[str, Step] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Column:
    """One column. ``unit`` is ``day``, ``minute``, ``text``, ``currency code``, ``amount``
    (money in the row's currency) or what is counted, in the plural."""

    name: str
    unit: str
    title: str
    description: str = ""


Subject = TypeVar("Subject")
Derive = Callable[[Mapping[str, Any]], dict[str, Number | None]]


def nothing(_: Mapping[str, Any]) -> dict[str, Number | None]:
    """The derived columns of a table that has none."""
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Table(Generic[Subject]):
    """One report table, whole."""

    name: str
    title: str
    description: str
    topic: str
    """The topic that its rows come from."""
    keys: tuple[Column, ...]
    """What a row is about, beside its period."""
    measures: tuple[Column, ...]
    """What is stored and added up."""
    contribution: Callable[[Subject], Iterable[tuple[str, tuple[str, ...], Cells]]]
    """Pure: the ``(period, key, cells)`` that one subject adds."""
    derived: tuple[Column, ...] = ()
    """Columns computed from the others when they are read."""
    derive: Derive = nothing
    period: Literal["day", "minute"] = "day"
    by_period: bool = True
    """Whether an answer has a row for each period, or sums the asked range."""
    label: str = ""
    """A key that names the row for people: of several, the one most counted is shown."""
    rank: tuple[str, ...] = ()
    """Measures to sort by, largest first; none sorts by period."""
    balance: tuple[str, str, str] | None = None
    """``(column, in, out)``: a running total of ``in - out`` up to each period."""
    keep_hours: int | None = None
    """Rows older than this are removed; None keeps them."""

    @property
    def columns(self) -> tuple[Column, ...]:
        """Every column of an answer, in order."""
        when = (Column(self.period, self.period, self.period.capitalize(), "In UTC."),)
        return (
            *(when if self.by_period else ()),
            *self.keys,
            *self.measures,
            *self.derived,
        )


@dataclass(frozen=True, slots=True)
class Range:
    """The asked part of a table, both ends included; periods as in ``RowId``."""

    start: str | None = None
    end: str | None = None
    currency: str | None = None
    limit: int = 1_000

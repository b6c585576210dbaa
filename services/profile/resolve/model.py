"""What resolve knows of people: identifiers, persons, merges. Pure data.

A person has one profile id that everybody uses and, after merges, the ids of former
profiles (``members``). A merge does not rewrite history: interactions keep the profile id
that they were attributed to, and a person's interactions are those of
``[profile_id, *members]``.
"""

from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct, field

from schemas.messages import Identifier


class Limit(Struct, frozen=True):
    """How many identifiers of one type a person may have."""

    type: str
    most: int


LIMITS = (Limit("user_id", 1), Limit("email", 5), Limit("anonymous_id", 5))
"""In order of priority: where a limit is in the way, the last of these is let go first.

Segment's defaults. A person has one ``user_id``, so two persons that each have one are
never merged by an event.
"""

PRIORITY = {limit.type: rank for rank, limit in enumerate(LIMITS)}
MOST = {limit.type: limit.most for limit in LIMITS}

BLOCKED = frozenset({"-1", "null", "anonymous", "void", "test", "undefined", "guest", "none"})
"""What senders write for "nobody", in lower case: these would join strangers."""

BLOCKED_CHARACTERS = "0-"
"""A value of nothing but these is blocked too: the empty text, ``0``, the empty GUID."""

LONGEST_IDENTIFIER = 512
"""Characters; longer values identify nobody."""


class Held(Struct, frozen=True):
    """An identifier of a person, and the message that brought it."""

    type: str
    value: str
    at: datetime
    message_id: str
    source: str = ""

    @property
    def identifier(self) -> Identifier:
        """The identifier alone."""
        return Identifier(self.type, self.value)


class Merge(Struct, frozen=True, rename={"from_": "from"}):
    """Two profiles found to be one person: ``from`` is no more, it is now ``into``."""

    from_: str
    into: str
    at: datetime
    """When the message that linked them happened."""
    message_id: str
    identifier: Identifier
    """The identifier of that message by which ``from`` was found."""
    rule: str
    """``same_event``, or ``alias``: what made the identifiers one person's."""


class Person(Struct, rename={"profile_id": "_id"}):
    """One person, or (``into`` is set) a former one that was absorbed."""

    profile_id: str
    identifiers: list[Held] = field(default_factory=list)
    members: list[str] = field(default_factory=list)
    """Every former profile id of this person, those absorbed by absorbed ones included."""
    merges: list[Merge] = field(default_factory=list)
    """Every merge of ``members``, in the order in which they were found."""
    into: str | None = None
    """The surviving profile: never itself an absorbed one."""

    @property
    def profile_ids(self) -> list[str]:
        """Every profile id under which this person's interactions are stored."""
        return [self.profile_id, *self.members]


class Link(Struct):
    """What one event says of identity."""

    message_id: str
    at: datetime
    source: str
    rule: str
    identifiers: list[Identifier]
    """Usable, normalised, without doubles; the most trusted first. Never empty."""
    blocked: list[Identifier]
    """Identifiers that the event names but that identify nobody."""


class Attribution(Struct):
    """Whose an event is."""

    profile_id: str
    accepted: list[Identifier]
    ignored: list[Identifier]
    merges: Sequence[Merge] = ()
    """The merges that this event caused; each ``into`` is ``profile_id``."""


class Changes(Struct):
    """What a batch changed in the identity graph."""

    owners: dict[Identifier, str] = field(default_factory=dict)
    """Identifiers that nobody had before."""
    moved: dict[Identifier, str] = field(default_factory=dict)
    """Identifiers that a merge gave to another profile id."""
    created: list[Person] = field(default_factory=list)
    changed: list[Person] = field(default_factory=list)
    redirected: dict[str, str] = field(default_factory=dict)
    """Profiles absorbed before -> the profile that they must now lead to."""


class Stored(Struct):
    """An interaction as it is stored: few fields to find it by, and its encoded body."""

    interaction_id: str
    profile_id: str
    at: datetime
    name: str
    body: bytes
    consent: bool = False
    """It may speak of consent: the ledger reads it."""


class Entry(Struct):
    """One line of a timeline page: where the page can go on, and the encoded body."""

    at: datetime
    interaction_id: str
    body: bytes

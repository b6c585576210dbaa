"""What resolve knows of people: identifiers, devices, persons, merges. Pure data.

A person has one profile id that everybody uses and, after merges, the ids of former
profiles (``members``). A merge does not rewrite history: interactions keep the profile id
that they were attributed to, and a person's interactions are those of
``[profile_id, *members]``. Where identity is decided anew, those that turn out to be another
person's are rewritten.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from msgspec import Struct, field

from schemas.messages import Identifier


class Decision(Struct, frozen=True, omit_defaults=True):
    """One decision of people; ``a`` and ``b`` are nodes (see ``spelling``) and devices.

    A *split* names two sides: no message ever joins an identifier of one with one of the
    other. A *join* makes two sides one person, also beyond the limits.
    """

    decision_id: str
    kind: Literal["split", "join"]
    at: datetime
    a: tuple[Identifier, ...]
    b: tuple[Identifier, ...]
    actor: str = ""
    reason: str = ""

    def crosses(self, other: "Decision") -> bool:
        """Whether both speak of the same two sides."""
        a, b, c, d = set(self.a), set(self.b), set(other.a), set(other.b)
        return bool((a & c and b & d) or (a & d and b & c))


Key = tuple[int, datetime, str]
"""Where an edge stands in the order in which edges count: (1 for a source that nobody
authenticates, else 0; event time; message id)."""


class Held(Struct, frozen=True, omit_defaults=True):
    """A personal identifier of a person, and the message that brought it."""

    type: str
    value: str
    at: datetime
    message_id: str
    source: str = ""
    unvouched: bool = False
    """No authenticated source has named it."""

    @property
    def identifier(self) -> Identifier:
        """The identifier alone."""
        return Identifier(self.type, self.value)


class Merge(Struct, frozen=True, rename={"from_": "from"}, omit_defaults=True):
    """Two profiles found to be one person: ``from`` is no more, it is now ``into``."""

    from_: str
    into: str
    at: datetime
    """When the message that linked them happened."""
    message_id: str
    """Of the evidence; for a decision of people, its id."""
    identifier: Identifier
    """The identifier of that message by which ``from`` was found."""
    rule: str
    """``same_event``, ``alias``, ``device`` or ``decision``: what made them one person's."""
    actor: str = ""
    """Who decided it; empty: the rule."""
    reason: str = ""


class Refusal(Struct, frozen=True, omit_defaults=True):
    """Identifiers that were seen together and did not link: why somebody is *not* one person."""

    identifiers: list[Identifier]
    """The message's personal ones, the most trusted first."""
    accepted: int
    """How many of them, from the first, are one person's; the others were let go."""
    because: str
    """``limit``, ``two_vouched`` (a browser cannot join two known people), ``decision``."""
    at: datetime
    message_id: str
    source: str = ""
    untrusted: bool = False


class Person(Struct, rename={"profile_id": "_id"}, omit_defaults=True):
    """One person, or (``into`` is set) a former one that was absorbed."""

    profile_id: str
    identifiers: list[Held] = field(default_factory=list)
    """The personal ones. Devices are found by their own documents."""
    members: list[str] = field(default_factory=list)
    """Every former profile id of this person, those absorbed by absorbed ones included."""
    merges: list[Merge] = field(default_factory=list)
    """Every merge of ``members``, in the order in which they were found."""
    into: str | None = None
    """The surviving profile: never itself an absorbed one."""
    since: datetime | None = None
    """When the message happened that made the id."""
    connected: Key | None = None
    """The last edge that added an identifier to another, or joined two groups."""
    bridged: bool = False
    """An edge that nobody authenticates holds some of the identifiers together."""
    refusals: list[Refusal] = field(default_factory=list)
    """The first of each kind, as many as ``MOST_REFUSALS``."""
    decided: bool = False
    """Some decision of people names one of the identifiers."""
    devices: int = 0
    """Rises with each device; two transactions that give one meet here."""

    @property
    def profile_ids(self) -> list[str]:
        """Every profile id under which this person's interactions are stored."""
        return [self.profile_id, *self.members]

    @property
    def contested(self) -> bool:
        """Whether the order of edges matters to this person."""
        return bool(self.refusals) or self.decided


MOST_REFUSALS = 100
"""A name that more combinations than these claim (a till's own address) is not looked at
again when late events come: what came first stands."""


class Owner(Struct):
    """Who has a personal identifier."""

    profile_id: str
    """The surviving profile; empty: nobody any more."""
    unvouched: bool = False
    contested: bool = False
    """The person must be looked at before the identifier is linked."""
    claimed: tuple[str, ...] = ()
    """Of one that is nobody's, but joined by a decision or left open by an alias: who named it in
    vain, by profile id."""


class Mark(Struct, frozen=True, array_like=True):
    """A message in which a person was named on a device."""

    at: datetime
    message_id: str
    anchor: Identifier
    """The most trusted identifier of the message, as a node."""


class Device(Struct, omit_defaults=True):
    """A device: whose messages that name nobody are."""

    profile_id: str
    """Of the person named last; of the device's own anonymous person when there is none."""
    own: str = ""
    """The profile of the anonymous person of this device, once there was one."""
    marks: list[Mark] = field(default_factory=list)
    """When it changed hands: the first mark of each run with one anchor, in order."""
    lead: Mark | None = None
    """Of an order: the earliest message that names it on a device, and nobody. The anchor is
    that device. While nobody is named on the order, it is whose that message is."""
    shared: bool = False
    decided: bool = False
    """Some decision of people names it."""


class Link(Struct, gc=False):
    """What one event says of identity."""

    message_id: str
    at: datetime
    source: str
    rule: str
    identifiers: list[Identifier]
    """Usable, normalised, without doubles; the most trusted first. Never empty."""
    blocked: list[Identifier]
    """Identifiers that the event names but that identify nobody."""
    nodes: list[Identifier]
    """The personal ones of ``identifiers`` as they are compared (see ``spelling.node_of``)."""
    devices: list[Identifier]
    """The others."""
    untrusted: bool = False
    """Its source is a browser or an app: anybody may have sent it."""

    @property
    def key(self) -> Key:
        """Its place among the edges."""
        return int(self.untrusted), self.at, self.message_id


class Attribution(Struct, gc=False):
    """Whose an event is."""

    profile_id: str
    accepted: list[Identifier]
    ignored: list[Identifier]
    merges: Sequence[Merge] = ()
    """The merges that this event caused; each ``into`` is ``profile_id``."""


class Changes(Struct):
    """What a batch changed in the identity graph."""

    owners: dict[Identifier, Owner | Device] = field(default_factory=dict)
    """Identifiers (nodes) that were not stored before."""
    moved: dict[Identifier, Owner | Device] = field(default_factory=dict)
    """Identifiers that were, and differ."""
    created: list[Person] = field(default_factory=list)
    changed: list[Person] = field(default_factory=list)
    redirected: dict[str, str] = field(default_factory=dict)
    """Profiles absorbed before -> the profile that they must now lead to."""
    absorbed: dict[str, str] = field(default_factory=dict)
    """Profiles absorbed in this batch: their devices go to the survivor."""
    touched: list[str] = field(default_factory=list)
    """Persons who were given a device, and are not among ``created`` and ``changed``."""
    rewritten: list["Stored"] = field(default_factory=list)
    """Interactions that were stored, and show somebody or something else now."""
    decisions: list[Decision] = field(default_factory=list)
    """Decisions of people that came with the batch."""


class Shown(Struct, frozen=True):
    """What an interaction says of whose it is."""

    profile_id: str
    accepted: list[Identifier] = field(default_factory=list)
    ignored: list[Identifier] = field(default_factory=list)
    handed_to: str | None = None


class Rearranged(Struct):
    """What differs from what is stored, once people were decided anew."""

    people: dict[str, Person] = field(default_factory=dict)
    """Persons to be stored as they now are."""
    created: set[str] = field(default_factory=set)
    """Those of them whose profile ids are new."""
    owners: dict[Identifier, Owner] = field(default_factory=dict)
    devices: dict[Identifier, Device] = field(default_factory=dict)
    fresh: set[Identifier] = field(default_factory=set)
    """Identifiers of both that were not stored."""
    moved: dict[str, Shown] = field(default_factory=dict)
    """Interactions that show somebody or something else now, by id."""
    standing: dict[str, list[str]] = field(default_factory=dict)
    """The people as they now are: every profile id of each, by the one that is in use."""


class Stored(Struct, gc=False):
    """An interaction as it is stored: few fields to find it by, and its encoded body."""

    interaction_id: str
    profile_id: str
    at: datetime
    name: str
    body: bytes
    consent: bool = False
    """It may speak of consent: the ledger reads it."""
    handed_to: str | None = None
    """As the interaction says: its order is another person's."""


class Entry(Struct):
    """One line of a timeline page: where the page can go on, and the encoded body."""

    at: datetime
    interaction_id: str
    body: bytes

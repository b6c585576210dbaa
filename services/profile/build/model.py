"""The state that build keeps of one person: what the fold needs, not what others read.

Every part carries what decides ties, so that any order of arrival gives the same state.
The state is stored as one binary value (MessagePack, dictionaries sorted), which is the
canonical form: two states are equal exactly when their bytes are.
"""

from datetime import datetime
from decimal import Decimal

import msgspec
from msgspec import Struct, field

from schemas.messages import OrderLine
from services.profile.commerce.model import Commerce
from services.profile.consent.model import Word

FOLD = 3
"""Which fold made a state: raised when it takes more from events than it did, so that every
profile is computed again."""


class Edit(Struct, array_like=True, gc=False):
    """The last operation on one item, field or key of a list or map trait."""

    at: datetime
    message_id: str
    rank: int
    place: int
    """Among the operations of its message."""
    value: bytes
    """The JSON that it sets; empty: it takes away."""


class Write(Struct, array_like=True, gc=False):
    """The last whole write of a trait; ``value`` is the JSON as it was sent, None: unset.

    Never changed in place: others keep a reference to what was.
    """

    at: datetime
    message_id: str
    value: bytes | None
    rank: int = 0
    """How many sources are trusted more with this trait than the one that wrote it."""
    edits: dict[str, Edit] | None = None
    """What was done to parts of it since, by target, as ``rules.edits`` writes it."""


class Version(Struct, array_like=True, gc=False):
    """What one Order Completed or Order Updated says that an order is."""

    at: datetime
    message_id: str
    currency: str
    revenue: Decimal
    total: Decimal
    products: list[OrderLine] = field(default_factory=list)


class Refunded(Struct, array_like=True, gc=False):
    """One refund; ``currency`` is empty where the event names none: the order's."""

    at: datetime
    amount: Decimal
    currency: str = ""
    revenue: Decimal | None = None
    """What of it is revenue, where the event says so; None: its share of what was paid."""


class OrderState(Struct, array_like=True, gc=False):
    """All that was said of one order, also what came before the order itself."""

    version: Version | None = None
    """The latest by (time, message id)."""
    completed_at: datetime | None = None
    """The earliest Order Completed."""
    first_at: datetime | None = None
    """The earliest version of either kind."""
    cancelled_at: datetime | None = None
    """The earliest cancellation that is not before ``stood_at``."""
    refunds: dict[str, Refunded] = field(default_factory=dict)
    """By message id, so that none adds twice."""
    cancelled_again: list[datetime] = field(default_factory=list)
    """Further cancellations, ascending: a version between two that comes late undoes the first."""
    stood_at: datetime | None = None
    """When a version last said that the order stands."""
    cart: str | None = None
    """The cart it was made of; empty where it names none, None for a sale at a till."""
    handed_on: bool = False
    """Somebody else has it now, and there it counts."""
    placed_at: datetime | None = None
    """The earliest Order Completed of whom it was before: it empties no cart here."""


class Confirmed(Struct, array_like=True, gc=False):
    """A person has confirmed, by a link that we sent, what they said at ``of``."""

    of: datetime
    at: datetime
    message_id: str

    @property
    def order(self) -> tuple[datetime, datetime, str]:
        """The greatest one is kept."""
        return self.of, self.at, self.message_id


class Firm(Struct, array_like=True, gc=False):
    """A word on consent that was said by itself, and not with whatever a page tells."""

    state: Word
    at: datetime
    message_id: str
    source: str
    by: str


class ConsentState(Struct, array_like=True, gc=False):
    """The last word on one channel and purpose, and what decides whether it suffices."""

    state: Word
    at: datetime
    message_id: str
    source: str
    by: str = "person"
    """The kind of who said it: see ``consent.model.Actor``."""
    conflict: bool = False
    """Another word was said at the same instant."""
    refused_at: datetime | None = None
    """The latest word that does not grant."""
    withdrawn_at: datetime | None = None
    """The latest withdrawal."""
    grants: dict[str, datetime] = field(default_factory=dict)
    """Source -> the latest grant that came over it."""
    confirmed: dict[str, Confirmed] | None = None
    """By the digest of the address that it was confirmed at; None: never."""
    firm: Firm | None = None
    """The last word that no page repeats with every event."""


class Chosen(Struct, array_like=True, gc=False):
    """The value that an all-time first or last stands at; ``value`` is canonical JSON."""

    at: datetime
    message_id: str
    value: str


class Computed(Struct, array_like=True, gc=False):
    """One computed trait: an aggregate over all time, or the entries within its window.

    ``values`` and ``currencies``, or ``items`` (canonical JSON), are in step with ``times``
    (milliseconds) where a property is aggregated; entries are sorted by time, then by these.
    """

    count: int = 0
    amounts: dict[str, Decimal] = field(default_factory=dict)
    """By currency: the sum, the smallest or the greatest."""
    times: list[int] = field(default_factory=list)
    values: list[Decimal] = field(default_factory=list)
    currencies: list[str] = field(default_factory=list)
    dropped: int | None = None
    """What a bound left out, None when nothing: of a window the latest time, of a most frequent
    value or a unique count the lowest digest; of a unique list it is zero."""
    aggregate: str = ""
    """Empty: a count or a sum."""
    chosen: Chosen | None = None
    tally: dict[str, int] = field(default_factory=dict)
    """Average: numbers by currency. Most frequent: occurrences by value. Unique list: the
    latest time by value. Values are canonical JSON."""
    digests: list[int] = field(default_factory=list)
    """Unique count: the lowest digests of the values, sorted."""
    items: list[str] = field(default_factory=list)


class Latest(Struct, array_like=True, gc=False):
    """The latest that was said of something; of two at one instant the greater value holds."""

    at: datetime
    value: str


class Tally(Struct, array_like=True, gc=False):
    """How often each of some names came, and which came most."""

    counts: dict[str, int] = field(default_factory=dict)
    first: str = ""
    """The one with the highest count; of several the first in order. Empty without any."""


class Habits(Struct, array_like=True, gc=False):
    """What a person tends to do, and with what: each part is bounded."""

    hours: Tally = field(default_factory=Tally)
    """Hour of day, ``00`` to ``23``, of own actions, in the time zone that the event named."""
    utc_hours: Tally = field(default_factory=Tally)
    """The same in UTC, of actions that named no time zone."""
    categories: Tally = field(default_factory=Tally)
    """Of products viewed."""
    brands: Tally = field(default_factory=Tally)
    responses: Tally = field(default_factory=Tally)
    """The channels on which the person answered."""
    devices: dict[str, datetime] = field(default_factory=dict)
    """Device, as ``rules.devices`` writes it -> last seen."""
    locale: Latest | None = None
    time_zone: Latest | None = None


class State(Struct, array_like=True, gc=False):
    """One person, folded from their interactions."""

    first_seen: datetime | None = None
    last_seen: datetime | None = None
    interactions: int = 0
    counters: dict[str, int] = field(default_factory=dict)
    traits: dict[str, Write] = field(default_factory=dict)
    identifiers: dict[str, set[str]] = field(default_factory=dict)
    """Type -> values."""
    orders: dict[str, OrderState] = field(default_factory=dict)
    consent: dict[str, ConsentState] = field(default_factory=dict)
    """By channel (marketing), and by ``channel/purpose``."""
    computed: dict[str, Computed] = field(default_factory=dict)
    """By computed trait key; one that is missing has matched nothing."""
    flags: dict[str, int] = field(default_factory=dict)
    """How often something in an event could not be used, by reason."""
    imported: int = 0
    """How many of the interactions were imported history."""
    habits: Habits = field(default_factory=Habits)
    commerce: Commerce = field(default_factory=Commerce)
    """What they are about to buy, wish for, have subscribed to, and talk about."""

    @property
    def live(self) -> int:
        """Interactions that came as they happened."""
        return self.interactions - self.imported


_encode = msgspec.msgpack.Encoder(order="deterministic").encode


def encode_state(state: State) -> bytes:
    """The canonical bytes of ``state``."""
    return _encode(state)

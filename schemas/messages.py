"""Every message that crosses a service border, one msgspec Struct each.

Events keep the names of Segment's public message format (camelCase on the wire); the
topics that Regulars itself defines use snake_case. Times are RFC 3339 in UTC. Money is
``{"amount": "12.50", "currency": "USD"}`` with an exact decimal. Adding an optional field
is compatible; readers ignore what they do not know, and events travel verbatim inside
interactions so that nothing a sender adds is lost.
"""

from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from msgspec import Raw, Struct, field

EventType = Literal["identify", "track", "page", "screen", "group", "alias"]
Channel = Literal["email", "sms", "push", "webhook"]


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


class Identifier(Struct, frozen=True, order=True):
    """A name by which a person is known: ``user_id``, ``email`` or ``anonymous_id``."""

    type: str
    value: str


class Interaction(Struct, kw_only=True, omit_defaults=True):
    """``regulars.interaction.recorded.v1`` on ``profile.interactions``: one event, once.

    ``event`` is the accepted event (or the ``MessageChanged``) verbatim.
    """

    interaction_id: str
    """The sender's messageId."""
    profile_id: str
    at: datetime
    """Event time."""
    received_at: datetime
    type: str
    """The Segment call (``track``...), or ``message`` for a step of a message of ours."""
    name: str
    """What happened: the track event's name, ``Page Viewed``, ``Identify``, ``Message Sent``."""
    source: str = ""
    identifiers: list[Identifier] = field(default_factory=list)
    """The event's identifiers that were accepted as the person's, normalised."""
    ignored: list[Identifier] = field(default_factory=list)
    """Identifiers of the event that limits or blocked values kept from linking."""
    history: bool = False
    """The event was imported: it happened long ago, and nobody is to be written to for it."""
    event: Raw = field(default_factory=lambda: Raw(b"{}"))


class IdentityMerged(Struct, kw_only=True, omit_defaults=True):
    """``regulars.identity.merged.v1`` on ``profile.interactions``, keyed by ``profile_id``.

    ``profile_id`` is no more: it is now ``into``. Written by resolve.
    """

    profile_id: str
    into: str
    message_id: str
    """The message that linked the two."""
    identifier: Identifier
    """The identifier that they were found to share."""
    at: datetime
    history: bool = False
    """The message that linked them was imported."""


class ProfileAbsorbed(Struct, kw_only=True, omit_defaults=True):
    """``regulars.profile.absorbed.v1`` on ``profile.interactions``, keyed by ``profile_id``.

    ``profile_id`` must be computed again, since it now includes ``absorbed``. Written by
    build once it has closed the absorbed profile, so that no interaction falls between.
    """

    profile_id: str
    absorbed: str
    message_id: str
    at: datetime
    history: bool = False
    """The message that linked them was imported."""
    live: int = 0
    """How many interactions that were not imported the absorbed profile was announced with."""


class Money(Struct, frozen=True):
    """An exact amount in one ISO 4217 currency."""

    amount: Decimal
    currency: str


class OrderLine(Struct, kw_only=True, omit_defaults=True):
    """One product line of an order."""

    product_id: str
    name: str | None = None
    category: str | None = None
    brand: str | None = None
    price: Decimal | None = None
    quantity: int = 1


class Refund(Struct, kw_only=True, omit_defaults=True):
    """One refund of an order; ``amount`` is positive, in the order's currency."""

    message_id: str
    amount: Decimal
    at: datetime


class Order(Struct, kw_only=True, omit_defaults=True):
    """An order as it stands: the latest version by event time, less what was taken back.

    ``revenue`` excludes shipping and tax (Segment's meaning); ``total`` is what was paid.
    """

    order_id: str
    currency: str
    ordered_at: datetime
    updated_at: datetime
    status: Literal["completed", "cancelled"] = "completed"
    revenue: Decimal = Decimal(0)
    total: Decimal = Decimal(0)
    refunds: list[Refund] = field(default_factory=list)
    cancelled_at: datetime | None = None
    products: list[OrderLine] = field(default_factory=list)


class Consent(Struct, kw_only=True, omit_defaults=True):
    """What a person last said of marketing on one channel, and by which message."""

    state: Literal["granted", "denied", "withdrawn"]
    at: datetime
    message_id: str
    source: str = ""


class ComputedValue(Struct, kw_only=True, omit_defaults=True):
    """The value of one computed trait for one person.

    All-time aggregates fill ``count``, or ``sums`` by currency (``""`` for a property that
    is no money: amounts of different currencies are never added). Windowed ones fill
    ``times`` (event times in milliseconds since 1970, ascending) and, where a property is
    aggregated, ``values`` in step with it; both hold what lies within the window before
    the person's latest event, at most ``MAX_WINDOW`` entries, and ``capped`` says that
    older ones were left out. ``currencies`` is in step with ``values`` where these are money:
    only values of one currency may be added.
    """

    count: int | None = None
    sums: dict[str, Decimal] | None = None
    times: list[int] | None = None
    values: list[Decimal] | None = None
    currencies: list[str] | None = None
    capped: bool = False


MAX_WINDOW = 1_000


class Profile(Struct, kw_only=True, omit_defaults=True):
    """What is known of one person, as other services and teams may read it."""

    profile_id: str
    identifiers: list[Identifier] = field(default_factory=list)
    traits: dict[str, Any] = field(default_factory=dict)
    consent: dict[str, Consent] = field(default_factory=dict)
    first_seen: datetime | None = None
    last_seen: datetime | None = None
    interactions: int = 0
    counters: dict[str, int] = field(default_factory=dict)
    """How often each event name occurred."""
    orders: list[Order] = field(default_factory=list)
    order_count: int = 0
    """Orders completed and not cancelled."""
    revenue: list[Money] = field(default_factory=list)
    """Revenue net of refunds and cancellations, one entry a currency."""
    first_order_at: datetime | None = None
    last_order_at: datetime | None = None
    computed: dict[str, ComputedValue] = field(default_factory=dict)
    """By computed trait key. A key that is missing is not computed yet for this person."""


class Cause(Struct, kw_only=True, omit_defaults=True):
    """The latest interaction behind a change; one that was not imported, if there is any."""

    message_id: str
    name: str
    at: datetime
    source: str = ""
    history: bool = False
    """Nothing but imported history is behind the change."""


class ProfileChanged(Struct, kw_only=True, omit_defaults=True):
    """``regulars.profile.changed.v1`` on ``profile.changes``: the whole profile, after.

    After a merge, the former profile's last record has ``merged_into`` and no profile.
    """

    profile_id: str
    version: int
    """Rises with each change of this profile; a smaller one is older."""
    changed_at: datetime
    cause: Cause
    changed: list[str] = field(default_factory=list)
    """What differs: ``traits.email``, ``orders``, ``computed.<key>``, ``consent.email``..."""
    merged_into: str | None = None
    merged_from: list[str] = field(default_factory=list)
    """Every former profile id of this person."""
    profile: Profile | None = None


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


MessageState = Literal[
    "decided",
    "skipped",
    "sent",
    "failed",
    "uncertain",
    "delivered",
    "opened",
    "clicked",
    "bounced",
    "complained",
    "unsubscribed",
    "converted",
]


class MessageChanged(Struct, kw_only=True, omit_defaults=True):
    """``regulars.message.<state>.v1`` on ``message.changes``: one step of a message's life."""

    change_id: str
    """Unique to this step: ``<message_id>/<state>`` and a counter where it can repeat."""
    message_id: str
    """The send key's id: one for each (campaign, step, profile, occurrence)."""
    profile_id: str
    campaign: str
    campaign_version: int
    state: MessageState
    at: datetime
    step: str = "start"
    occurrence: int = 1
    channel: Channel = "email"
    reason: str = ""
    """Why it was skipped or failed, as a code such as ``no_consent``."""
    detail: str = ""


class Definition(Struct, kw_only=True, omit_defaults=True):
    """``regulars.definition.changed.v1`` on ``control.definitions``, keyed ``kind/name``.

    No value (a tombstone) means that the definition was deleted.
    """

    kind: Literal["segment", "computed_trait", "campaign", "template", "source", "tracking_plan"]
    name: str
    version: int
    updated_at: datetime
    body: dict[str, Any]


class SubjectIdentity(Struct, kw_only=True, omit_defaults=True, frozen=True):
    """One name of the person whom a privacy request is about (OpenDSR ``subject_identities``)."""

    identity_type: str
    """``email``, ``phone_number``, ``controller_customer_id``, or another kind's own name."""
    identity_value: str
    identity_format: Literal["raw", "sha1", "md5", "sha256"] = "raw"


class PrivacyRequest(Struct, kw_only=True, omit_defaults=True):
    """``regulars.privacy.requested.v1`` on ``privacy.requests``: somebody's right, asked for.

    The fields of an OpenDSR 2.0 request where it has them.
    """

    subject_request_id: str
    """Unique to the request: the same one again is the same request."""
    subject_request_type: Literal["access", "portability", "erasure"]
    submitted_time: datetime
    regulation: str = "gdpr"
    subject_identities: list[SubjectIdentity] = field(default_factory=list)
    """Whom it is about; nobody in particular when ``scope`` is ``source``."""
    scope: Literal["person", "source"] = "person"
    """``source``: all that ever came from ``source``, since the shop itself has left."""
    source: str = ""
    """The name of the source that passed the request on."""
    extensions: dict[str, Any] = field(default_factory=dict)
    """What the provider said besides, by its name: orders to erase, the shop's id."""


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

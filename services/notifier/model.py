"""The notifier's types: campaigns as they are defined, and the send ledger. Pure data."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

from msgspec import Struct, field

from schemas.messages import Channel, Confirmation, Consent, Identifier

STEP = "start"
"""The only step of a campaign; journeys will have more."""

LedgerState = Literal["decided", "attempting", "sent", "skipped", "failed", "uncertain"]

RESPONSES = frozenset(
    {
        "delivered",
        "opened",
        "clicked",
        "bounced",
        "complained",
        "unsubscribed",
        "machine_opened",
        "machine_clicked",
    }
)
"""Steps that came back after a mail was handed over: each of them proves that it was."""


class Trigger(Struct, frozen=True, kw_only=True):
    """What starts a campaign: a person enters ``segment``."""

    segment: str
    on: Literal["entered"] = "entered"


class Campaign(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The body of a ``campaign`` definition. Subject, text and html are Liquid."""

    name: str
    trigger: Trigger
    from_: str = field(name="from")
    subject: str
    text: str
    channel: Literal["email"] = "email"
    reply_to: str | None = None
    html: str | None = None
    delay_seconds: int = 0
    once: bool = True
    """True: each person once, ever. False: at each entry into the segment."""
    enabled: bool = True
    expires_seconds: int | None = None
    """How long after it was due the message is still worth sending; None: always."""


class Live(Struct, frozen=True):
    """A campaign as the workers know it now."""

    key: str
    version: int
    campaign: Campaign


class Step(Struct, omit_defaults=True):
    """One entry of a message's history."""

    state: str
    at: datetime
    reason: str = ""
    detail: str = ""
    attempt: int = 0


class Entry(Struct, kw_only=True):
    """One decision of the send ledger: the message that a send key stands for.

    decided -> attempting -> sent, failed or uncertain; decided -> skipped; a refusal that
    may pass leads back to decided with a later ``due_at``. ``attempting`` is written by the
    sender immediately before DATA, so it means exactly "may have reached the server".
    """

    message_id: str
    profile_id: str
    source: str
    """The checkpoint (a partition of segment.changes) whose owner sends it."""
    campaign: str
    campaign_version: int
    segment: str
    occurrence: int
    once: bool = True
    step: str = STEP
    channel: Channel = "email"
    decided_at: datetime
    due_at: datetime
    expires_at: datetime | None = None
    state: LedgerState = "decided"
    attempt: int = 0
    """Rises with each attempt; a result names the attempt it is about."""
    tries: int = 0
    """Refusals that may pass since it was decided or sent again by hand."""
    owner: str = ""
    """The sender process of the latest attempt."""
    begun_at: datetime | None = None
    reason: str = ""
    address: str = ""
    """A keyed hash of the address last used, by which bounces and unsubscribes find it."""
    steps: list[Step] = field(default_factory=list)
    confirms: Confirmation | None = None
    """What the person is asked to confirm, where the message belongs to no campaign."""
    refused_at: datetime | None = None
    """The last refusal before what is to be confirmed: part of the send key."""
    again: str = ""
    """Of what is to be confirmed: the statement, or the hour, why it is asked once more."""


class Confirmed(Struct, frozen=True):
    """The reader of this message confirmed by its link what they had granted."""

    entry: Entry
    at: datetime
    ip: str
    told: bool
    """It is on message.changes."""


class Outcome(Struct, kw_only=True):
    """What became of one attempt, from the sender to the next turn."""

    message_id: str
    attempt: int
    kind: Literal["sent", "skipped", "failed", "retry", "postponed", "uncertain"]
    """``retry``: the server refused it for now. ``postponed``: it could not be tried."""
    at: datetime
    reason: str = ""
    detail: str = ""
    campaign_version: int = 0
    """The version that was rendered; 0 where none was."""
    address: str = ""
    bounced: bool = False
    """The server said that this address does not exist."""


class Response(Struct, frozen=True):
    """What a provider or the shop reports about one mail of ours."""

    message_id: str
    state: str
    """One of ``RESPONSES``."""
    at: datetime
    reason: str = ""
    """``hard`` or ``soft`` for a bounce."""


class Recover(Struct):
    """Ask a turn to look for attempts that a former owner left without a result."""


class Recipient(Struct, kw_only=True):
    """What the profile API answers about a person, as far as a message needs it."""

    profile_id: str
    traits: dict[str, Any] = field(default_factory=dict)
    identifiers: list[Identifier] = field(default_factory=list)
    consent: dict[str, Consent] = field(default_factory=dict)
    answer: dict[str, Any] = field(default_factory=dict)
    """The whole answer, for templates."""


class Retry(Struct, frozen=True, kw_only=True):
    """How often, and after how long, a refusal that may pass is tried again."""

    limit: int = 8
    first_seconds: float = 30.0
    cap_seconds: float = 3_600.0


class Suppression(Struct, kw_only=True):
    """Somebody or some address that must not be written to."""

    key: str
    reason: Literal["unsubscribed", "bounced", "complained"]
    at: datetime
    message_id: str = ""


class Start(Struct, frozen=True):
    """A message about to go: what the ledger must check and mark before DATA."""

    entry: Entry
    keys: Sequence[str]
    """The suppression keys of the person and the address."""
    consent_at: datetime
    """An unsubscribe older than this consent is void: the person has since agreed again."""
    twin: str | None = None
    """After a merge: the message that the surviving profile would get by the same key."""


Began = Literal["begun", "suppressed", "bounced", "complained", "merged", "gone"]
"""What the ledger says to a ``Start``; ``gone``: it is not ours to send any more."""


class CampaignDocument(Struct, kw_only=True):
    """A campaign as the API stores it; ``body`` None means deleted."""

    key: str
    version: int
    updated_at: datetime
    body: dict[str, Any] | None
    published: bool

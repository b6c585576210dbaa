"""What resolve passes on: events attributed to a person, and what became of persons."""

from datetime import datetime
from typing import Literal

from msgspec import Raw, Struct, field


class Identifier(Struct, frozen=True, order=True, gc=False):
    """A name by which a person is known: ``user_id``, ``email``, ``phone``, ``anonymous_id``..."""

    type: str
    value: str


class Interaction(Struct, kw_only=True, omit_defaults=True, gc=False):
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
    untrusted: bool = False
    """It came from a browser or an app, which cannot say that two known people are one."""
    handed_to: str | None = None
    """Of an order's event: a profile id of who has the order now, if it was handed on to another
    person. There the order counts, and not here."""
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


class IdentityRearranged(Struct, kw_only=True, omit_defaults=True):
    """``regulars.identity.rearranged.v1`` on ``profile.interactions``, keyed by ``profile_id``.

    Whose interactions are whose was decided anew: by a late message, or by people. This
    profile has others than before, or is now ``into``, or is a profile of its own again.
    Written by resolve; the truth is what resolve has stored.
    """

    profile_id: str
    into: str | None = None
    message_id: str = ""
    """The message, or the decision, that made the difference; empty: found by looking again."""
    at: datetime
    history: bool = False
    """Nobody is to be written to because of it."""


class IdentityDecision(Struct, kw_only=True, omit_defaults=True):
    """``regulars.identity.decided.v1`` on ``identity.decisions``: what people decide of people.

    A ``split`` says that no identifier of ``a`` is ever one person's with one of ``b``; a
    ``join``, that both sides are one person. Addresses are named by their SHA-256
    (``email_sha256``). Of two that contradict each other the later one holds.
    """

    decision_id: str
    kind: Literal["split", "join"]
    profile_id: str
    """The person whom it was asked of."""
    at: datetime
    a: list[Identifier]
    b: list[Identifier]
    actor: str = ""
    reason: str = ""

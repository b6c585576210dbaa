"""What is known of a dead letter: what it was, why it was refused, what became of it. Pure."""

from datetime import datetime
from typing import Literal

from msgspec import Struct, field

State = Literal["open", "edited", "replaying", "replayed", "dismissed", "erased"]
ACTIONABLE: tuple[State, ...] = ("open", "edited", "dismissed")
"""In these it may be edited, replayed and dismissed."""
OPEN: tuple[State, ...] = ("open", "edited")
"""In these something is yet to be done about it."""

Deed = Literal["edited", "refused", "replaying", "replayed", "dismissed", "erased"]

MAX_RAW = 1_000_000
"""Bytes of a record that are stored; a longer one is cut short and has to be edited."""
MAX_HISTORY = 50


class Action(Struct, kw_only=True, omit_defaults=True):
    """One thing that happened to a dead letter."""

    at: datetime
    deed: Deed
    by: str = ""
    """The role of whoever did it, or the stage that refused it again."""
    code: str = ""
    detail: str = ""
    place: str = ""
    """Of a refusal by a stage: the record that it refused, once."""


class Letter(Struct, kw_only=True):
    """One dead letter."""

    id: str
    home: str
    """The partition that it was read from, whose owner replays it: a ``Source.id``."""
    topic: str
    """Where the refused record was read; ``events.rejected`` for what ingest refused."""
    partition: int
    key: bytes | None
    source: str
    door: str
    call: str | None
    """As of ``services.ingest.model.Origin``."""
    shared: bytes
    """As of ``Origin``, as JSON; empty for nothing."""
    reason: str
    detail: str
    stage: str
    """Who refused it last."""
    at: datetime
    """When it was refused first."""
    expires: datetime
    """When it is forgotten."""
    name: str
    """The event's name, or its type; empty when that cannot be read."""
    message_id: str | None
    raw: bytes | None
    """None when there was no value, and once it is erased."""
    edited: bytes | None = None
    """The body as somebody has changed it last."""
    size: int = 0
    """Bytes of the record as it came."""
    headers: list[tuple[str, bytes]] = field(default_factory=list)
    """The record's own, without ``dl_*``."""
    state: State = "open"
    version: int = 0
    """Rises with each change: whoever changes it says which version they saw."""
    history: list[Action] = field(default_factory=list)
    outputs: bytes = b""
    """While ``replaying``: the records to publish, encoded."""
    people: list[bytes] = field(default_factory=list)
    """Hashes of the identifiers found in its bodies."""

    @property
    def truncated(self) -> bool:
        """Whether ``raw`` is only the beginning."""
        return self.raw is not None and len(self.raw) < self.size

    @property
    def body(self) -> bytes | None:
        """What a replay sends: the edited body, else the raw one."""
        return self.raw if self.edited is None else self.edited

    @property
    def kept(self) -> int:
        """Roughly what it costs to keep, in bytes."""
        return len(self.raw or b"") + len(self.edited or b"") + len(self.shared) + 500


class Returned(Struct):
    """A replayed record that was refused again: news of its letter, and no new one."""

    id: str
    """Of the letter that was replayed."""
    action: Action
    letter: Letter
    """What it is if that one is kept no more."""


class Suppressed(Struct):
    """Refused events that were only counted."""

    source: str
    at: datetime
    reasons: dict[str, int]


class Filter(Struct, kw_only=True, omit_defaults=True):
    """Which dead letters; what is None or empty does not matter."""

    source: str = ""
    topic: str = ""
    reason: str = ""
    states: tuple[State, ...] = ()
    start: datetime | None = None
    """Refused at that time or later."""
    end: datetime | None = None
    """Refused before."""
    text: str = ""
    """Within the event's name or the message id, in upper or lower case."""


class Tally(Struct, frozen=True):
    """What one day's refusals are counted by."""

    day: str
    """UTC, ISO 8601."""
    source: str
    topic: str
    reason: str


class Count(Struct):
    """Refusals by ``Tally``."""

    stored: int = 0
    suppressed: int = 0
    """Only counted: the source was refused too often."""
    dropped: int = 0
    """Stored once, and gone while still open: the source had too many."""

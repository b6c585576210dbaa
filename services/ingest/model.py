"""What ingest works with: an opened request, an accepted event, an answer."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Literal

from msgspec import Raw, Struct, field

from schemas.messages import Event
from schemas.payloads import EVENT_ACCEPTED
from schemas.validation import Fault

MAX_BODY = 500 * 1024
"""Bytes of a request, decompressed (Segment: 500 KB a batch)."""
MAX_EVENTS = 2_500
MAX_EVENT = 32 * 1024
MAX_SHARED = 8 * 1024
"""Bytes of a batch's ``context`` and ``integrations`` each, as every event repeats them."""

Call = Literal["identify", "track", "page", "screen", "group", "alias"]


class Envelope(Struct, rename="camel"):
    """The body of ``/v1/batch``; each event stays text until its own turn."""

    batch: list[Raw]
    # Not `Raw | None`, which msgspec takes for nothing but null.
    context: Raw = Raw(b"null")
    integrations: Raw = Raw(b"null")
    sent_at: Any = None
    write_key: Any = None


class Shared(Struct):
    """What a batch says once for all of its events."""

    context: dict[str, Any] = field(default_factory=dict)
    integrations: dict[str, Any] = field(default_factory=dict)
    sent_at: Any = None
    history: bool = False
    """These events are imported: they happened when they say, and nobody waits for them."""


class Origin(Struct, kw_only=True):
    """Where refused events came from: all that judging them again needs beside their text."""

    source: str
    at: datetime
    """When they were received, UTC."""
    door: str = "http"
    call: str | None = None
    """What the address said: a Segment call; ``sale``: one of a till's; ``batch``, ``hook`` or
    ``upload``: a whole body was refused."""
    shared: Shared = field(default_factory=Shared)


class Verdict(Struct, frozen=True):
    """An event does not fit its source's plan, and something shall follow."""

    blocked: bool
    """Else it is flagged."""
    detail: str
    """Places and rules; no values."""


Judge = Callable[[Event], Verdict | None]
"""Judges an event by a tracking plan, and counts; None: it fits."""


class Receipt(Struct):
    """Who sent a request, and when it arrived."""

    source: str
    at: datetime
    """UTC."""
    fresh_id: Callable[[], str]
    """Gives an unused id, for an event without ``messageId``."""
    currency: str | None = None
    """The source's default: that of amounts which come without one."""
    judge: Judge | None = None
    """Of the source's tracking plan."""


class Accepted(Struct):
    """One event, or a privacy request, ready for its topic."""

    topic: str
    """A name of ``schemas.topics``."""
    key: str
    value: bytes
    message_id: str
    at: datetime
    name: str
    """The event's name, for the header by which readers skip."""
    generated: bool = False
    """Whether ``message_id`` is ours, so that a repetition cannot be recognised."""
    type: str = EVENT_ACCEPTED
    """The CloudEvents type."""


Outcome = Accepted | tuple[Fault, str | None]
"""What was made of one event; or why it was refused, and its messageId if known."""


class Judged(Struct):
    """A request's events and, in the same order, what was made of each."""

    texts: Sequence[bytes]
    at: datetime
    outcomes: list[Outcome] = field(default_factory=list)


class Rejection(Struct, rename="camel", omit_defaults=True):
    """Why one event of a request was refused."""

    index: int
    code: str
    detail: str
    message_id: str | None = None


class Answer(Struct, rename="camel", omit_defaults=True):
    """The body of a 200. ``duplicates`` are repetitions within this request."""

    success: bool
    accepted: int
    duplicates: int
    rejected: list[Rejection]
    generated: int = 0
    """Events that came without messageId: sent again, they would count again."""

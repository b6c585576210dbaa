"""What the console reads of ingest's answers about rejected events."""

from datetime import datetime

from msgspec import Raw, Struct


class Content(Struct, frozen=True):
    """What a refused event holds, in the first of these forms that it has."""

    json: Raw = Raw(b"")
    """Verbatim, so that no digit is lost."""
    text: str | None = None
    base64: str | None = None


class Deed(Struct, frozen=True):
    at: datetime
    deed: str
    by: str = ""
    code: str = ""
    detail: str = ""


class Rejection(Struct, frozen=True):
    """A refused event. The contents are there for those whose role may see them."""

    id: str
    topic: str
    source: str
    reason: str
    detail: str
    stage: str
    at: datetime
    expires: datetime
    name: str
    message_id: str | None
    size: int
    truncated: bool
    state: str
    call: str | None = None
    door: str = ""
    history: list[Deed] = []
    content: Content | None = None
    edited: Content | None = None


class RejectionCount(Struct, frozen=True):
    day: str
    source: str
    topic: str
    reason: str
    stored: int
    suppressed: int
    dropped: int


class RejectionCounts(Struct, frozen=True):
    items: list[RejectionCount]
    states: dict[str, int]


class Verdict(Struct, frozen=True):
    """What a replay does, or would do."""

    id: str
    accepted: bool
    events: int
    state: str
    code: str | None = None
    detail: str | None = None
    after: Content | None = None


class Dismissed(Struct, frozen=True):
    dismissed: int

"""What the API of dead letters answers."""

import base64
from datetime import datetime
from typing import Any

import msgspec
from pydantic import BaseModel, Field

from services.ingest.dead_letters.desk import Outcome, Preview
from services.ingest.dead_letters.model import Count, Letter, State, Tally


class Deed(BaseModel):
    """Something that happened to a dead letter."""

    at: datetime
    deed: str
    by: str = Field(description="The role of whoever did it, or the stage that refused it.")
    code: str
    detail: str


class Summary(BaseModel):
    """A dead letter without its content."""

    id: str
    topic: str = Field(description="`events.rejected`: refused by ingest. Else where it was read.")
    source: str
    door: str
    call: str | None
    reason: str
    detail: str
    stage: str
    at: datetime
    expires: datetime
    name: str
    message_id: str | None
    size: int = Field(description="Bytes, as it came.")
    truncated: bool
    state: State
    history: list[Deed]

    @classmethod
    def of(cls, letter: Letter) -> "Summary":
        """The summary of ``letter``."""
        return cls.model_validate(summary_of(letter))


class Content(BaseModel):
    """Bytes, in the first of these forms that they have."""

    json_: Any = Field(None, alias="json", description="When it is JSON, to the last digit.")
    text: str | None = Field(None, description="When it is text, but not JSON.")
    base64: str | None = None


class Whole(Summary):
    """A dead letter. The content is for the roles support and admin."""

    content: Content | None = Field(None, description="As it came.")
    edited: Content | None = Field(None, description="As it was changed last.")
    headers: dict[str, str] | None = None


class Seen(BaseModel):
    """What a replay does, or would do, with one letter."""

    id: str
    accepted: bool
    code: str | None = Field(None, description="Why it is refused.")
    detail: str | None = None
    events: int = Field(description="How many events it becomes.")
    state: State
    before: Content | None = None
    after: Content | None = None


class Replayed(BaseModel):
    """What came of it. Letters that would be refused again are left as they are."""

    taken: int = Field(description="Will be published, each once.")
    refused: int
    conflicts: int = Field(description="Somebody else acted on these meanwhile.")
    letters: list[Seen]
    next: str | None = None


class Dismissed(BaseModel):
    """How many dead letters were dismissed, or would be."""

    dismissed: int


class Erased(BaseModel):
    """How many dead letters held something of the person."""

    erased: int


class Counted(BaseModel):
    """One day's refusals of a source, for one reason."""

    day: str
    source: str
    topic: str
    reason: str
    stored: int
    suppressed: int = Field(description="Only counted: the source was refused too often.")
    dropped: int = Field(description="Stored once, and gone while open: there were too many.")


class Counts(BaseModel):
    """Refusals by day, source, topic and reason; and how many letters are in each state."""

    items: list[Counted]
    states: dict[str, int]


def summary_of(letter: Letter) -> dict[str, Any]:
    """The fields of ``Summary``."""
    names = set(Summary.model_fields) - {"history", "truncated"}
    fields = {name: getattr(letter, name) for name in names}
    deeds = [
        {name: getattr(one, name) for name in ("at", "deed", "by", "code", "detail")}
        for one in letter.history
    ]
    return fields | {"truncated": letter.truncated, "history": deeds}


def whole_of(letter: Letter, *, raw: bool) -> bytes:
    """``Whole`` as JSON, with the content if ``raw``: verbatim, so that no digit is lost."""
    fields = summary_of(letter)
    if raw:
        fields["content"] = content_of(letter.raw)
        fields["edited"] = content_of(letter.edited)
        fields["headers"] = {
            name: value.decode("utf-8", "replace") for name, value in letter.headers
        }
    return msgspec.json.encode(fields)


def seen_of(preview: Preview, *, raw: bool) -> dict[str, Any]:
    """``Seen``, with the bodies if ``raw``."""
    fault = preview.fault
    fields: dict[str, Any] = {
        "id": preview.letter.id,
        "accepted": fault is None,
        "events": preview.events,
        "state": preview.letter.state,
    }
    if fault is not None:
        fields |= {"code": fault.code, "detail": fault.detail}
    if raw:
        fields |= {"before": content_of(preview.before), "after": content_of(preview.after)}
    return fields


def replayed_of(outcome: Outcome, cursor: str | None, *, raw: bool) -> bytes:
    """``Replayed`` as JSON."""
    refused = sum(one.fault is not None for one in outcome.letters)
    fields = {
        "taken": outcome.taken,
        "refused": refused,
        "conflicts": outcome.conflicts,
        "letters": [seen_of(one, raw=raw) for one in outcome.letters],
        "next": cursor,
    }
    return msgspec.json.encode(fields)


def counted_of(tally: Tally, count: Count) -> Counted:
    """One row of ``Counts``."""
    return Counted(**msgspec.structs.asdict(tally), **msgspec.structs.asdict(count))


def content_of(body: bytes | None) -> dict[str, Any] | None:
    """``Content`` of ``body``."""
    if body is None:
        return None
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(body).decode()}
    try:
        msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return {"text": text}
    return {"json": msgspec.Raw(body)}

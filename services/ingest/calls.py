"""The tracking calls as the OpenAPI document describes them.

No request is read by these models; they are the words for people and tools.
"""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from schemas.validation import LONGEST_MESSAGE_ID, LONGEST_NAME
from services.ingest.model import MAX_EVENTS


class Call(BaseModel):
    """Fields of every call. Others are kept as they are."""

    model_config = ConfigDict(extra="allow")
    messageId: str | None = Field(  # noqa: N815 - Segment's names
        None,
        max_length=LONGEST_MESSAGE_ID,
        description="Unique to the event: what is sent twice counts once. Made up when missing.",
    )
    userId: str | None = Field(None, description="Or `anonymousId`, or an email trait.")  # noqa: N815
    anonymousId: str | None = None  # noqa: N815
    timestamp: datetime | None = Field(None, description="When it happened, by your clock.")
    sentAt: datetime | None = Field(None, description="When you sent it, by the same clock.")  # noqa: N815
    context: dict[str, Any] | None = None
    integrations: dict[str, Any] | None = None
    writeKey: str | None = Field(None, description="Where no header names the key.")  # noqa: N815


class Identify(Call):
    """Who somebody is."""

    traits: dict[str, Any] | None = None


class Track(Call):
    """What somebody did. Order events need what their money is counted by."""

    event: str = Field(max_length=LONGEST_NAME)
    properties: dict[str, Any] | None = None


class Page(Call):
    """A page that somebody saw."""

    name: str | None = None
    category: str | None = None
    properties: dict[str, Any] | None = None


class Screen(Page):
    """A screen of an app that somebody saw."""


class Group(Call):
    """A group that somebody belongs to."""

    groupId: str  # noqa: N815
    traits: dict[str, Any] | None = None


class Alias(Call):
    """A former id of somebody."""

    previousId: str  # noqa: N815


class BatchItem(Call):
    """One call; `type` says which."""

    type: str


class Batch(BaseModel):
    """Many calls at once. `context` and `integrations` hold for each that has none itself."""

    batch: list[BatchItem] = Field(max_length=MAX_EVENTS)
    context: dict[str, Any] | None = None
    integrations: dict[str, Any] | None = None
    sentAt: datetime | None = None  # noqa: N815
    writeKey: str | None = None  # noqa: N815


class RejectedEvent(BaseModel):
    """An event of a batch that was refused, and why."""

    index: int
    code: str
    detail: str
    messageId: str | None = None  # noqa: N815


class Taken(BaseModel):
    """Every event but the rejected ones is stored, for good."""

    success: bool
    accepted: int
    duplicates: int = Field(description="Repetitions within the request.")
    rejected: list[RejectedEvent]
    generated: int = Field(0, description="Events that came without messageId.")

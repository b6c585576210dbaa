"""What the consent routes take and answer, as their documentation shows it."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from services.profile.answers import Instant

ChannelName = Literal["email", "sms", "push", "webhook", "web"]
Purpose = Annotated[str, Field(pattern="^[a-z0-9][a-z0-9_]{0,49}$", examples=["newsletter"])]


class Actor(BaseModel):
    """By whom a statement came to us."""

    kind: Literal["person", "agent", "import", "provider"]
    name: str = ""


class Statement(BaseModel):
    """One line of the ledger."""

    statement_id: str = Field(description="The messageId of the event that says it.")
    channel: str = Field(examples=["email"])
    purpose: str = Field(examples=["marketing"])
    state: Literal["granted", "pending", "denied", "withdrawn", "unclear", "confirmed"]
    at: datetime = Field(description="From when it is valid.")
    recorded_at: datetime = Field(description="Since when we know.")
    by: Actor
    source: str = Field(description="The write key's source, `notifier`, or `support`.")
    event: str = Field(examples=["Consent Updated"])
    text_version: str = Field(description="Of the words that were agreed to.")
    ip: str
    page: str = Field(description="The page that it was said on.")
    proof: Any = Field(description="As it was sent; null where there is none.")


class Permission(BaseModel):
    """May we message her on this channel for this purpose, and why (not)."""

    profile_id: str
    channel: str
    purpose: str
    allowed: bool
    state: Literal["granted", "pending", "denied", "withdrawn", "unclear", "none"]
    since: datetime | None
    reason: str = Field(examples=["consent_granted", "no_consent_recorded"])
    statement: Statement | None = Field(description="The word that decides, with its proof.")


class StatementBody(BaseModel):
    """What somebody told a support person, by phone for instance."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "channel": "email",
                "state": "withdrawn",
                "actor": "Bea Support",
                "proof": {"call": "2026-03-01/17"},
            }
        },
    )
    channel: ChannelName
    purpose: Purpose = "marketing"
    state: Literal["granted", "denied", "withdrawn"]
    actor: str = Field(
        min_length=1, max_length=200, pattern=r"\S", description="Who writes this down."
    )
    at: Instant | None = Field(None, description="When it was said; null: now.")
    text_version: str = Field("", max_length=200)
    proof: dict[str, Any] | str | None = Field(
        None, description="Of at most 4,000 bytes; a grant needs one."
    )


class Recorded(BaseModel):
    """The statement is on its way to the profile, and counts once however often it is sent."""

    statement_id: str
    profile_id: str
    at: datetime
    recorded_at: datetime

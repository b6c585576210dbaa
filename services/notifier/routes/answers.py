"""The bodies that the notifier's API takes and gives."""

from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from services.notifier.mail import usable_sender
from services.notifier.model import CampaignDocument, Entry, LedgerState

_EXAMPLE: dict[str, Any] = {
    "name": "Cart left behind",
    "trigger": {"segment": "cart-left", "on": "entered"},
    "channel": "email",
    "from": "Shop <hello@shop.example>",
    "subject": "{{ traits.firstName | default: 'Hello' }}, your cart is waiting",
    "text": "It is still there.\n\nNo more of these: {{ unsubscribe_url }}\n",
    "delay_seconds": 3600,
    "once": False,
    "enabled": True,
    "expires_seconds": 86400,
}
YEAR = 366 * 86_400


class TriggerBody(BaseModel):
    """What starts the campaign."""

    model_config = ConfigDict(extra="forbid")

    segment: str = Field(min_length=1, max_length=200)
    on: Literal["entered"] = "entered"


class CampaignBody(BaseModel):
    """A campaign. `subject`, `text` and `html` are Liquid templates.

    They see `traits`, `profile` (the profile API's answer), `campaign`, `segment` and
    `unsubscribe_url`.
    """

    model_config = ConfigDict(
        extra="forbid", populate_by_name=True, json_schema_extra={"example": _EXAMPLE}
    )

    name: str = Field(min_length=1, max_length=200)
    trigger: TriggerBody
    channel: Literal["email"] = "email"
    from_: str = Field(alias="from", max_length=300, description="`Shop <hello@shop.example>`")
    reply_to: str | None = Field(None, max_length=300)
    subject: str = Field(min_length=1, max_length=2_000)
    text: str = Field(min_length=1)
    html: str | None = None
    delay_seconds: int = Field(0, ge=0, le=YEAR)
    once: bool = Field(True, description="Each person once ever, or at each entry.")
    enabled: bool = True
    expires_seconds: int | None = Field(
        None, ge=1, le=YEAR, description="How long after it was due it is still worth sending."
    )

    @field_validator("from_", "reply_to")
    @classmethod
    def _is_address(cls, value: str | None) -> str | None:
        if value is not None and not usable_sender(value):
            raise ValueError("must be an address, or a name and an address: Shop <hi@shop.example>")
        return value


class CampaignAnswer(CampaignBody):
    """A campaign as it is stored."""

    key: str
    version: int
    updated_at: datetime
    published: bool = Field(description="Whether the workers have been told of this version.")
    notes: list[str] = Field([], description="What looks wrong but is allowed.")


class StepAnswer(BaseModel):
    """One step of a message's life."""

    state: str
    at: datetime
    reason: str = ""
    detail: str = ""
    attempt: int = 0


class MessageAnswer(BaseModel):
    """A message: one decision for a campaign, a person and an occurrence."""

    message_id: str
    profile_id: str
    campaign: str
    campaign_version: int
    segment: str
    channel: str
    occurrence: int
    state: LedgerState
    reason: str = Field(description="Why it was skipped, failed, or is tried again.")
    decided_at: datetime
    due_at: datetime
    expires_at: datetime | None
    sent_at: datetime | None
    unsubscribed_at: datetime | None


class MessageDetail(MessageAnswer):
    """A message with its history, the earliest step first."""

    steps: list[StepAnswer]


class PreviewBody(BaseModel):
    """For whom to render."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"profile_id": "p_1"}})

    profile_id: str = Field(min_length=1, max_length=200)


class PreviewAnswer(BaseModel):
    """The campaign as this person would get it; nothing is sent."""

    profile_id: str
    subject: str
    text: str
    html: str | None
    skip: str = Field(description="Why it would not be sent to them now; empty: it would.")


def campaign_answer(document: CampaignDocument, notes: list[str]) -> CampaignAnswer:
    """A stored campaign that was not deleted."""
    return CampaignAnswer(
        **(document.body or {}),
        key=document.key,
        version=document.version,
        updated_at=document.updated_at,
        published=document.published,
        notes=notes,
    )


def message_answer(entry: Entry, unsubscribed_at: datetime | None) -> MessageAnswer:
    """An entry of the ledger as a list shows it."""
    return MessageAnswer(**_message(entry, unsubscribed_at))


def message_detail(entry: Entry, unsubscribed_at: datetime | None) -> MessageDetail:
    """An entry of the ledger with its history."""
    steps = [
        StepAnswer(
            state=step.state,
            at=step.at,
            reason=step.reason,
            detail=step.detail,
            attempt=step.attempt,
        )
        for step in entry.steps
    ]
    if entry.state == "attempting" and entry.begun_at is not None:
        steps.append(StepAnswer(state="attempting", at=entry.begun_at, attempt=entry.attempt))
    if unsubscribed_at is not None and all(step.state != "unsubscribed" for step in steps):
        steps.append(StepAnswer(state="unsubscribed", at=unsubscribed_at, reason="one_click"))
    return MessageDetail(**_message(entry, unsubscribed_at), steps=steps)


def _message(entry: Entry, unsubscribed_at: datetime | None) -> dict[str, Any]:
    sent = [step.at for step in entry.steps if step.state == "sent"]
    names = set(MessageAnswer.model_fields) - {"sent_at", "unsubscribed_at"}
    return {
        **{name: getattr(entry, name) for name in names},
        "sent_at": sent[-1].astimezone(UTC) if sent else None,
        "unsubscribed_at": unsubscribed_at,
    }

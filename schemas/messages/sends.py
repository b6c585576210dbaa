"""The life of a message of ours, step by step."""

from datetime import datetime
from typing import Literal

from msgspec import Struct

from schemas.messages.consents import Confirmation

Channel = Literal["email", "sms", "push", "webhook"]

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
    confirms: Confirmation | None = None
    """Of ``clicked``: by this step the person has confirmed a consent (double opt-in)."""

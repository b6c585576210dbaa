"""What all mail providers' events become: email events of the catalogue, and a few beside.

The person is the recipient, by ``context.traits.email``. ``properties`` say, where known:
``email_id`` (our message id, where the provider carries it; else the mail's Message-ID, by
which the notifier knows its own too), ``provider_message_id``,
``email_subject``, ``link_url``, ``bounce_type`` (hard or soft), ``reason``, ``status``,
``user_agent``, ``ip``, ``list_id``, ``tags``, and ``machine: true`` for an open or a click
that the provider says was a machine's: kept, but no engagement.
"""

from datetime import datetime
from typing import Any

from msgspec import Struct

from schemas.validation import Fault
from services.ingest.hooks.body import present
from services.ingest.hooks.event import context, time_of

DELIVERED = "Email Delivered"
OPENED = "Email Opened"
CLICKED = "Email Link Clicked"
BOUNCED = "Email Bounced"
SPAM = "Email Marked as Spam"
UNSUBSCRIBED = "Unsubscribed"
PROCESSED = "Email Processed"
"""The provider has taken the message. This and the following are custom events."""
DEFERRED = "Email Deferred"
DROPPED = "Email Dropped"
RESUBSCRIBED = "Email Resubscribed"
"""The provider will send again. It is no consent."""
PREFERENCES = "Email Preferences Changed"
SUPPRESSED = "Email Suppressed"
"""The provider will not send any more, for a reason other than the person's wish."""

OUR_MESSAGE = "regulars_message_id"
"""The custom argument, variable, tag or metadata by which a provider carries our id."""
OUR_HEADER = "x-regulars-message"


class Happening(Struct, kw_only=True):
    """One thing that happened to one mail and one recipient."""

    name: str
    message_id: str
    at: datetime | None
    """None: when it arrived."""
    recipient: str
    properties: dict[str, Any]


def email_event(kind: str, happening: Happening) -> dict[str, Any] | Fault:
    """The event of ``happening``. Code: no_recipient."""
    if "@" not in happening.recipient:
        return Fault("no_recipient", "The event names no address.")
    return present(
        {
            "type": "track",
            "messageId": happening.message_id,
            "event": happening.name,
            "timestamp": time_of(happening.at),
            "properties": present(happening.properties),
            "context": context(kind, {"email": happening.recipient}),
        }
    )

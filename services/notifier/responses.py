"""What comes back of a mail: delivered, opened, clicked, bounced, complained, unsubscribed.

Pure. Mail providers, and shops that send their own, report these on ``events.emails`` (Segment's
email spec), with our message id as ``properties.email_id``. The notifier reads them there,
beside profile, and not behind it: the id says which message, and so whose, and the topic
holds nothing else.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Struct, field
from msgspec.structs import replace

from schemas.catalogue import canonical
from schemas.validation import Fault, clamp
from services.notifier.model import Entry, Response, Step, Suppression
from services.notifier.rules import confirm, suppression_keys

STATES: Mapping[str, str] = {
    "Email Delivered": "delivered",
    "Email Opened": "opened",
    "Email Link Clicked": "clicked",
    "Email Bounced": "bounced",
    "Email Marked as Spam": "complained",
    "Unsubscribed": "unsubscribed",
}
"""Event name -> the state that a message reaches by it."""

_AWAITED = frozenset({"attempting", "sent", "uncertain"})
_ENGAGEMENT = frozenset({"opened", "clicked"})
_SOFT = frozenset({"soft", "softbounce", "soft_bounce", "transient", "temporary", "blocked"})
_EMAIL_ID = re.compile(r"<?([0-9a-f]{32})(?:@[^<>\s]{1,255})?>?")


class _Properties(Struct):
    email_id: Any = None
    bounce_type: Any = None
    machine: Any = None


class _Event(Struct, rename="camel"):
    """What matters here of an ``Event``."""

    type: str
    timestamp: datetime
    received_at: datetime
    event: str | None = None
    properties: _Properties = field(default_factory=_Properties)


_decoder = msgspec.json.Decoder(_Event)


def read(body: bytes | None, now: datetime) -> Response | Fault:
    """The response in a record of ``events.emails``.

    Faults, none of which needs a dead letter, since profile reads the same record:
    ``malformed``; ``other_event``; ``foreign_email_id``: no message of ours has such an id.
    ``properties.email_id`` is the message id, or the whole Message-ID header that bears it.
    ``properties.machine`` true: a program opened it or followed the link, which is no
    engagement. ``properties.bounce_type`` soft: the address is good, so try it again with
    the next message.
    """
    try:
        event = _decoder.decode(body or b"")
        at = _instant(event, now)
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError, OverflowError):
        return Fault("malformed")
    state = STATES.get(canonical(event.event or "")) if event.type == "track" else None
    if state is None:
        return Fault("other_event")
    said = event.properties
    email_id = _EMAIL_ID.fullmatch(said.email_id) if isinstance(said.email_id, str) else None
    if email_id is None:
        return Fault("foreign_email_id")
    if state in _ENGAGEMENT and said.machine is True:
        state = f"machine_{state}"
    reason = ""
    if state == "bounced":
        reason = "soft" if str(said.bounce_type).lower() in _SOFT else "hard"
    return Response(email_id[1], state, at, reason)


def respond(entry: Entry, response: Response, now: datetime) -> Entry | None:
    """The entry after what came back; None when it says nothing new.

    Each state counts once, however often it is reported: the first report to arrive. What
    was held to be uncertain is thereby known to have been sent.
    """
    if entry.state not in _AWAITED or any(
        (step.state, step.reason) == (response.state, response.reason) for step in entry.steps
    ):
        return None
    if entry.state == "uncertain":
        entry = confirm(entry, now)
    step = Step(response.state, response.at, response.reason, attempt=entry.attempt)
    return replace(entry, steps=[*entry.steps, step])


def suppressions(entry: Entry) -> list[Suppression]:
    """Who must not be written to because of what came back of this message.

    A hard bounce says that the address is dead; a complaint and an unsubscribe are the
    person's word, and hold for the person as well.
    """
    found = []
    for step in entry.steps:
        people: tuple[str, ...] = (entry.profile_id,)
        if step.state == "bounced" and step.reason != "soft":
            people = ()
        elif step.state not in ("complained", "unsubscribed"):
            continue
        found += [
            Suppression(key=key, reason=step.state, at=step.at, message_id=entry.message_id)  # type: ignore[arg-type]
            for key in suppression_keys(entry.channel, people, entry.address)
        ]
    return found


def _instant(event: _Event, now: datetime) -> datetime:
    """The event's time in UTC, not later than it was received."""
    if event.timestamp.tzinfo is None or event.received_at.tzinfo is None:
        raise ValueError
    received = min(event.received_at.astimezone(UTC), now)
    return clamp(event.timestamp.astimezone(UTC), received)[0]

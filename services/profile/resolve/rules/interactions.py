"""From an event, and whose it is, to the interaction that all later stages read."""

from collections.abc import Mapping
from typing import Any

from msgspec import Raw
from msgspec.json import Encoder
from msgspec.structs import replace

from schemas.messages import Event, IdentityMerged, Interaction, MessageChanged
from services.profile.resolve.model import Link, Merge, Shown, Stored

NAMES: Mapping[str, str] = {
    "page": "Page Viewed",
    "screen": "Screen Viewed",
    "identify": "Identify",
    "group": "Group",
    "alias": "Alias",
}
"""What a call that has no event name is called on a timeline."""

STEPS: Mapping[str, str] = {
    "sent": "Message Sent",
    "delivered": "Message Delivered",
    "opened": "Message Opened",
    "clicked": "Message Clicked",
    "bounced": "Message Bounced",
    "complained": "Message Complained",
    "unsubscribed": "Message Unsubscribed",
    "converted": "Message Converted",
}
"""The steps of a message that its reader lived through. Decisions, skips and failures are
the notifier's affair: nothing happened between the shop and the person."""

STEP_TYPES = frozenset(f"regulars.message.{state}.v1".encode() for state in STEPS)
"""The ``ce_type`` headers of these steps."""

HISTORY = "history"
"""The flag by which ingest marks what was imported."""

_encoder = Encoder()


def name_of(event: Event) -> str:
    """What happened, in the words of a timeline."""
    if event.type == "track" and event.event:
        return event.event
    return NAMES.get(event.type, event.type)


def draft(event: Event, body: bytes, link: Link) -> Interaction:
    """The interaction of an accepted event but for whose it is.

    ``body`` is the event verbatim. The decoded event is not kept: of a batch of them, the
    garbage collector would walk every dictionary.
    """
    return Interaction(
        interaction_id=event.message_id,
        profile_id="",
        at=event.timestamp,
        received_at=event.received_at,
        type=event.type,
        name=name_of(event),
        source=event.source,
        identifiers=link.identifiers,
        ignored=link.blocked,
        history=HISTORY in event.flags,
        untrusted=link.untrusted,
        event=Raw(body),
    )


def draft_step(step: MessageChanged, body: bytes) -> Interaction:
    """The interaction of a step of ours; it names no identifiers, its profile is known."""
    return Interaction(
        interaction_id=step.change_id,
        profile_id=step.profile_id,
        at=step.at,
        received_at=step.at,
        type="message",
        name=STEPS[step.state],
        source="notifier",
        event=Raw(body),
    )


def rewritten(said: Interaction, shown: Shown) -> Interaction:
    """What was stored, as it shows whose it is now."""
    whose: dict[str, Any] = {"profile_id": shown.profile_id, "handed_to": shown.handed_to}
    if said.type != "message":
        whose |= {"identifiers": shown.accepted, "ignored": shown.ignored}
    return replace(said, **whose)


def stored(interaction: Interaction, *, consent: bool) -> Stored:
    """The finished interaction, encoded once for the database and the topic.

    ``consent``: it may speak of it (``services.profile.consent.rules``).
    """
    return Stored(
        interaction.interaction_id,
        interaction.profile_id,
        interaction.at,
        interaction.name,
        _encoder.encode(interaction),
        consent,
        interaction.handed_to,
    )


def merged(merge: Merge, *, history: bool) -> bytes:
    """The record that tells the absorbed profile's owner that it is no more."""
    return _encoder.encode(
        IdentityMerged(
            profile_id=merge.from_,
            into=merge.into,
            message_id=merge.message_id,
            identifier=merge.identifier,
            at=merge.at,
            history=history,
        )
    )

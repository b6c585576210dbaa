"""From an event, and whose it is, to the interaction that all later stages read."""

from collections.abc import Mapping

from msgspec import Raw
from msgspec.json import Encoder

from schemas.messages import Event, IdentityMerged, Interaction, MessageChanged
from services.profile.resolve.model import Attribution, Merge, Stored

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

_encoder = Encoder()


def name_of(event: Event) -> str:
    """What happened, in the words of a timeline."""
    if event.type == "track" and event.event:
        return event.event
    return NAMES.get(event.type, event.type)


def of_event(event: Event, body: bytes, whose: Attribution) -> Stored:
    """The interaction of an accepted event; ``body`` is the event verbatim."""
    name = name_of(event)
    interaction = Interaction(
        interaction_id=event.message_id,
        profile_id=whose.profile_id,
        at=event.timestamp,
        received_at=event.received_at,
        type=event.type,
        name=name,
        source=event.source,
        identifiers=whose.accepted,
        ignored=whose.ignored,
        event=Raw(body),
    )
    return _stored(interaction)


def of_step(step: MessageChanged, body: bytes, profile_id: str) -> Stored:
    """The interaction of a step of ours; it names no identifiers, the profile is known."""
    interaction = Interaction(
        interaction_id=step.change_id,
        profile_id=profile_id,
        at=step.at,
        received_at=step.at,
        type="message",
        name=STEPS[step.state],
        source="notifier",
        event=Raw(body),
    )
    return _stored(interaction)


def merged(merge: Merge) -> bytes:
    """The record that tells the absorbed profile's owner that it is no more."""
    return _encoder.encode(
        IdentityMerged(
            profile_id=merge.from_,
            into=merge.into,
            message_id=merge.message_id,
            identifier=merge.identifier,
            at=merge.at,
        )
    )


def _stored(interaction: Interaction) -> Stored:
    return Stored(
        interaction.interaction_id,
        interaction.profile_id,
        interaction.at,
        interaction.name,
        _encoder.encode(interaction),
    )

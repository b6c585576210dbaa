"""What lies on each topic: kinds of bodies, and the CloudEvents types under which they travel."""

from typing import get_args

from msgspec import Struct

from schemas.messages import MessageState
from schemas.topics import (
    CONSENT_REQUESTS,
    DECISIONS,
    DEFINITIONS,
    EVENTS,
    INTERACTIONS,
    MESSAGE_CHANGES,
    PRIVACY_REQUESTS,
    PROFILE_CHANGES,
    SEGMENT_CHANGES,
)


class Payload(Struct, frozen=True, kw_only=True):
    """One kind of body on a topic, and the CloudEvents types under which it travels."""

    body: str
    """The name of a Struct of ``schemas.messages``; empty: no value, a tombstone."""
    types: tuple[str, ...]
    summary: str


EVENT_ACCEPTED = "regulars.event.accepted.v1"
PRIVACY_REQUESTED = "regulars.privacy.requested.v1"

MESSAGES: dict[str, tuple[Payload, ...]] = {
    **{
        topic.name: (Payload(body="Event", types=(EVENT_ACCEPTED,), summary="An accepted event."),)
        for topic in EVENTS
    },
    INTERACTIONS.name: (
        Payload(
            body="Interaction",
            types=("regulars.interaction.recorded.v1",),
            summary="One event, once, with the person it belongs to.",
        ),
        Payload(
            body="IdentityMerged",
            types=("regulars.identity.merged.v1",),
            summary="The key's profile is no more: it is now another one.",
        ),
        Payload(
            body="IdentityRearranged",
            types=("regulars.identity.rearranged.v1",),
            summary="The key's profile has other interactions now, or lives again.",
        ),
        Payload(
            body="ProfileAbsorbed",
            types=("regulars.profile.absorbed.v1",),
            summary="The key's profile now includes another one.",
        ),
    ),
    DECISIONS.name: (
        Payload(
            body="IdentityDecision",
            types=("regulars.identity.decided.v1",),
            summary="A split or a join.",
        ),
    ),
    PROFILE_CHANGES.name: (
        Payload(
            body="ProfileChanged",
            types=("regulars.profile.changed.v1",),
            summary="The whole profile after the change, or a redirect after a merge.",
        ),
        Payload(
            body="",
            types=("regulars.profile.erased.v1",),
            summary="The person was erased: forget the key.",
        ),
    ),
    SEGMENT_CHANGES.name: (
        Payload(
            body="SegmentChanged",
            types=("regulars.segment.entered.v1", "regulars.segment.exited.v1"),
            summary="A person entered or left a segment.",
        ),
    ),
    MESSAGE_CHANGES.name: (
        Payload(
            body="MessageChanged",
            types=tuple(f"regulars.message.{state}.v1" for state in get_args(MessageState)),
            summary="One step of a message's life.",
        ),
    ),
    CONSENT_REQUESTS.name: (
        Payload(
            body="ConsentRequested",
            types=("regulars.consent.requested.v1",),
            summary="A grant that the person has to confirm.",
        ),
    ),
    DEFINITIONS.name: (
        Payload(
            body="Definition",
            types=("regulars.definition.changed.v1",),
            summary="The definition as it now is.",
        ),
        Payload(
            body="",
            types=("regulars.definition.changed.v1",),
            summary="The definition was deleted.",
        ),
    ),
    PRIVACY_REQUESTS.name: (
        Payload(
            body="PrivacyRequest",
            types=(PRIVACY_REQUESTED,),
            summary="Somebody asks for their data, or to be forgotten.",
        ),
    ),
}
"""What lies on each topic. A dead-letter topic holds what its source topic held."""

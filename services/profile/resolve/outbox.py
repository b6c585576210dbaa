"""What resolve publishes: interactions with their persons, and what became of persons."""

from datetime import datetime
from functools import lru_cache

from msgspec import Struct
from msgspec.json import Encoder

from schemas.messages import IdentityRearranged
from schemas.topics import INTERACTIONS
from services.profile.resolve.model import Merge, Stored
from services.profile.resolve.rules import interactions
from services.runtime.turn import Message

RECORDED = "regulars.interaction.recorded.v1"
MERGED = "regulars.identity.merged.v1"
REARRANGED = "regulars.identity.rearranged.v1"

_encode = Encoder().encode


class Evidence(Struct, frozen=True):
    """What made somebody look at people anew."""

    message_id: str
    """Of a message, or of a decision."""
    at: datetime
    history: bool = False
    """It changes nothing that is live: imported, or decided by people."""


def recorded(interaction: Stored) -> Message:
    """One event, once, with its person."""
    return Message(
        topic=INTERACTIONS.name,
        key=interaction.profile_id,
        value=interaction.body,
        type=RECORDED,
        id=interaction.interaction_id,
        time=interaction.at,
        extra=_headers(interaction.name),
    )


@lru_cache(maxsize=1_000)
def _headers(name: str) -> tuple[tuple[str, bytes], ...]:
    return (("event", name.encode()),)


def merged(merge: Merge, *, history: bool) -> Message:
    """Keyed by the absorbed profile, whose owner closes it and tells the survivor."""
    return Message(
        topic=INTERACTIONS.name,
        key=merge.from_,
        value=interactions.merged(merge, history=history),
        type=MERGED,
        id=f"{merge.message_id}/merged/{merge.from_}",
        time=merge.at,
    )


def rearranged(profile_id: str, into: str | None, evidence: Evidence) -> Message:
    """Keyed by a profile that has other interactions now, or is another one's."""
    said = IdentityRearranged(
        profile_id=profile_id,
        into=into,
        message_id=evidence.message_id,
        at=evidence.at,
        history=evidence.history,
    )
    return Message(
        topic=INTERACTIONS.name,
        key=profile_id,
        value=_encode(said),
        type=REARRANGED,
        id=f"{evidence.message_id}/rearranged/{profile_id}",
        time=evidence.at,
    )

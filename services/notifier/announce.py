"""A message's step as a record of message.changes."""

import msgspec

from schemas.messages import MessageChanged
from schemas.topics import MESSAGE_CHANGES
from services.runtime.turn import Message

_encoder = msgspec.json.Encoder()


def message_of(change: MessageChanged) -> Message:
    """``regulars.message.<state>.v1``, keyed by profile id."""
    return Message(
        topic=MESSAGE_CHANGES.name,
        key=change.profile_id,
        value=_encoder.encode(change),
        type=f"regulars.message.{change.state}.v1",
        id=change.change_id,
        time=change.at,
        extra=(("event", f"Message {change.state.capitalize()}".encode()),),
    )

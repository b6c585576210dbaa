"""Live chat events (Segment's spec), seen from the customer: she sends and receives."""

from msgspec import Struct

from schemas.properties.kinds import Amount, Id


class ChatProperties(Struct, kw_only=True, omit_defaults=True):
    """Live Chat Conversation Started and Ended, Live Chat Message Sent and Received."""

    conversation_id: Id | None = None
    message_id: Id | None = None
    message_body: str | None = None
    agent_id: Id | None = None
    agent_name: str | None = None
    agent_username: str | None = None
    conversation_duration: Amount | None = None
    """Seconds so far."""

"""What all chat tools' events become: live chat events of the catalogue, and a few beside.

``Live Chat Message Sent`` is the visitor's, ``... Received`` an agent's. The visitor is
known by an anonymous id made of the tool's own id of her, so that all she says is one
person's, and by her email address where the tool knows it. ``properties`` say, where
known: ``conversation_id``, ``message_id``, ``text`` (bounded), ``channel``, ``agent_id``,
``agent_name``, ``attachments`` (their number).
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from msgspec import Struct

from services.ingest.hooks.body import present
from services.ingest.hooks.event import context, time_of

STARTED = "Live Chat Conversation Started"
ENDED = "Live Chat Conversation Ended"
REOPENED = "Live Chat Conversation Reopened"
"""A custom event."""
SENT = "Live Chat Message Sent"
RECEIVED = "Live Chat Message Received"
COMMENTED = "Social Comment Posted"
"""A custom event: a person's comment beneath something that the shop has published."""

LONGEST_TEXT = 5_000
"""Characters of a message that are kept."""


class Visitor(Struct, kw_only=True):
    """Who a conversation is with, as the tool knows her."""

    id: str
    """As an anonymous id: unique beyond the tool."""
    external: list[tuple[str, Any]]
    """(type, id) in the tool's own books."""
    user_id: str | None = None
    """The shop's id of her, where the tool vouches for it."""
    traits: dict[str, Any] = {}


class Said(Struct, kw_only=True):
    """One thing that happened in a conversation."""

    name: str
    message_id: str
    at: datetime | None
    properties: dict[str, Any]


def chat_event(kind: str, visitor: Visitor, said: Said) -> dict[str, Any]:
    """The event of ``said``."""
    return _call(kind, visitor, said) | {
        "type": "track",
        "event": said.name,
        "properties": present(said.properties),
    }


def chat_person(kind: str, visitor: Visitor, said: Said) -> dict[str, Any]:
    """The identify call of what a tool says of a person; ``said.properties`` are traits."""
    return _call(kind, visitor, said) | {"type": "identify", "traits": present(said.properties)}


def external(pairs: Iterable[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """The pairs that have an id."""
    return [(type, id) for type, id in pairs if id not in (None, "")]


def _call(kind: str, visitor: Visitor, said: Said) -> dict[str, Any]:
    return present(
        {
            "messageId": said.message_id,
            "timestamp": time_of(said.at),
            "anonymousId": visitor.id,
            "userId": visitor.user_id,
            "context": context(kind, present(visitor.traits), visitor.external),
        }
    )

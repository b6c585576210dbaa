"""Conversations: each one thing, from the live chat events about it, by event time."""

from datetime import datetime

from schemas.messages import Conversation
from services.profile.commerce.model import Commerce, ConversationState, Known, Told
from services.profile.commerce.rules.recent import is_later
from services.profile.commerce.rules.words import short

MOST = 20
"""In a published profile, the latest; all are kept, a few bytes each."""
_STARTED = "Live Chat Conversation Started"
_ENDED = "Live Chat Conversation Ended"
_REOPENED = "Live Chat Conversation Reopened"
_SENT = "Live Chat Message Sent"
_RECEIVED = "Live Chat Message Received"
EVENTS = frozenset([_STARTED, _ENDED, _REOPENED, _SENT, _RECEIVED])
_GOES_ON = frozenset([_STARTED, _REOPENED, _SENT])


def fold_conversation(kept: Commerce, told: Told) -> bool:
    """Take in one of ``EVENTS``; False if it does not say of which conversation it is."""
    said, at = told.properties, told.at
    id_ = short(said.get("conversation_id"))
    if not id_:
        return False
    key = f"{short(told.source)}\n{id_}"
    state = kept.conversations.get(key)
    if state is None:
        state = kept.conversations[key] = ConversationState(first_at=at, last_at=at)
    state.first_at, state.last_at = min(state.first_at, at), max(state.last_at, at)
    if told.name in (_SENT, _RECEIVED):
        state.sent += told.name == _SENT
        state.received += told.name == _RECEIVED
        state.last_message_at = _later(state.last_message_at, at)
    if told.name == _ENDED:
        state.ended_at = _later(state.ended_at, at)
    elif told.name in _GOES_ON:
        state.going_at = _later(state.going_at, at)
    state.channel = _known(state.channel, told, "channel")
    state.agent = _known(state.agent, told, "agent_id", "agent_name")
    return True


def _later(one: datetime | None, other: datetime) -> datetime:
    return other if one is None else max(one, other)


def _known(kept: Known | None, told: Told, id_: str, name: str = "") -> Known | None:
    known = Known(
        at=told.at,
        message_id=told.message_id,
        id=short(told.properties.get(id_)),
        name=short(told.properties.get(name)),
    )
    return known if (known.id or known.name) and is_later(known, kept) else kept


def conversations_of(kept: Commerce) -> list[Conversation]:
    """The latest ones, the latest first; what has ended is closed until it goes on."""
    known = sorted(
        kept.conversations.items(), key=lambda item: (item[1].last_at, item[0]), reverse=True
    )
    return [_conversation(key, state) for key, state in known[:MOST]]


def _conversation(key: str, state: ConversationState) -> Conversation:
    source, _, id_ = key.partition("\n")
    ended, going = state.ended_at, state.going_at
    closed = ended is not None and (going is None or ended >= going)
    return Conversation(
        conversation_id=id_,
        source=source,
        status="closed" if closed else "open",
        channel="" if state.channel is None else state.channel.id,
        opened_at=state.first_at,
        closed_at=ended if closed else None,
        updated_at=state.last_at,
        messages_sent=state.sent,
        messages_received=state.received,
        last_message_at=state.last_message_at,
        agent_id="" if state.agent is None else state.agent.id,
        agent_name="" if state.agent is None else state.agent.name,
    )

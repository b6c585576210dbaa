"""The consent ledger: every statement of a person, read from the interactions that say them.

Pure. An interaction is kept once and for good by resolve, so the ledger survives merges,
splits and rebuilds: it is read from them whenever somebody asks. It knows two times, the one
from which a statement is valid (event time) and the one at which it was recorded.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

from schemas.messages import Interaction, MessageChanged
from services.profile.build.model import State
from services.profile.build.rules.computed import Traits
from services.profile.build.rules.fold import fold
from services.profile.build.rules.values import utc
from services.profile.consent import rules
from services.profile.consent.model import Said, Statement, key_of, parts_of

_TEXT = 500
_PROOF_BYTES = 4_000
_NONE = Traits({})


class _Event(Struct):
    properties: Any = None
    context: Any = None


_interactions = msgspec.json.Decoder(Interaction)
_events = msgspec.json.Decoder(_Event)
_steps = msgspec.json.Decoder(MessageChanged)
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def decoded(bodies: Iterable[bytes]) -> Iterator[Interaction]:
    """The interactions that can be read; the fold flags the others."""
    for body in bodies:
        try:
            yield _interactions.decode(body)
        except _UNREADABLE:
            continue


def valid_at(said: Interaction, at: datetime | None) -> bool:
    """Whether it had been said at ``at``, to the microsecond; None: now."""
    return at is None or utc(said.at) <= at


def recorded_by(said: Interaction, as_of: datetime | None) -> bool:
    """Whether it was known at ``as_of``; None: now."""
    return as_of is None or utc(said.received_at) <= as_of


def state_of(said: Iterable[Interaction]) -> State:
    """What these interactions, in any order, leave of consent."""
    state = State()
    for interaction in said:
        take(state, interaction)
    return state


def take(state: State, said: Interaction) -> None:
    """One interaction more."""
    fold(state, said, _NONE, set())


def is_bound(state: State, channel: str, purpose: str) -> bool:
    """Whether the answer depends on the address that the person had, too."""
    kept = state.consent.get(key_of(channel, purpose))
    return kept is not None and kept.confirmed is not None


def statements_of(said: Interaction) -> list[Statement]:
    """What one interaction says; empty where nothing can be read in it."""
    try:
        if said.type == "message":
            return _of_step(said)
        event = _events.decode(said.event)
    except _UNREADABLE:
        return []
    properties, context = _object(event.properties), _object(event.context)
    preferences = _object(context.get("consent")).get("categoryPreferences")
    statements = [_statement(said, word, {}, context) for word in rules.preferences(preferences)]
    if said.name in rules.WITHDRAWALS:
        statements.append(_statement(said, ("email", "withdrawn"), properties, context))
    if said.type == "track" and said.name == rules.UPDATED:
        statements += [
            _statement(said, word, properties, context) for word in rules.updated(properties)
        ]
    return statements


def _of_step(said: Interaction) -> list[Statement]:
    step = _steps.decode(said.event)
    confirms = step.confirms
    if confirms is not None and said.name == rules.CONFIRMATION:
        return [
            Statement(
                **_origin(said, {}),
                channel=step.channel,
                purpose=confirms.purpose,
                state="confirmed",
                ip=confirms.ip,
                proof={
                    "message_id": step.message_id,
                    "statement_id": confirms.statement_id,
                    "email_sha256": confirms.address,
                },
            )
        ]
    if said.name not in rules.MESSAGE_WITHDRAWALS:
        return []
    proof = {"message_id": step.message_id, "campaign": step.campaign}
    word: Said = (step.channel, "withdrawn")
    return [_statement(said, word, {"proof": proof}, {})]


def _statement(
    said: Interaction, word: Said, properties: dict[str, Any], context: dict[str, Any]
) -> Statement:
    channel, purpose = parts_of(word[0])
    return Statement(
        **_origin(said, properties),
        channel=channel,
        purpose=purpose,
        state=word[1],
        text_version=_text(properties.get("text_version", properties.get("textVersion"))),
        ip=_text(properties.get("ip")) or _text(context.get("ip")),
        page=_text(_object(context.get("page")).get("url")),
        proof=_proof(properties.get("proof")),
    )


def _origin(said: Interaction, properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "statement_id": said.interaction_id,
        "at": utc(said.at),
        "recorded_at": utc(said.received_at),
        "by": rules.actor_of(said.name, said.history, properties),
        "source": said.source,
        "event": said.name,
    }


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    return value[:_TEXT] if isinstance(value, str) else ""


def _proof(value: Any) -> Any:
    """What was sent as proof, unless it is larger than the ledger shows."""
    return value if len(msgspec.json.encode(value)) <= _PROOF_BYTES else None

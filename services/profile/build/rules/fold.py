"""The fold: one interaction into the state of its person, in any order of arrival.

Counters add over distinct interactions (resolve lets each through once), first and last go
by event time, and where one write must win it is the latest by (event time, message id).
An event's body is decoded once, and no further than its name makes worth while.
"""

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Raw, Struct, field

from schemas.messages import Interaction, MessageChanged
from services.profile.build.model import State
from services.profile.build.rules import hearing
from services.profile.build.rules.aggregates import Occurrence
from services.profile.build.rules.body import (
    NOTHING,
    UNREADABLE,
    Body,
    Glanced,
    glance,
    glimpse_of,
    loose_properties,
    properties_of,
    read,
)
from services.profile.build.rules.computed import Concerned, Traits, fold_computed, matching
from services.profile.build.rules.habits import GLANCED, MESSAGE_RESPONSES, fold_habits, respond
from services.profile.build.rules.orders import ORDER_EVENTS, fold_order
from services.profile.build.rules.traits import Author, write_traits
from services.profile.build.rules.values import milliseconds, utc
from services.profile.build.rules.windows import prune
from services.profile.commerce.rules import fold as commerce
from services.profile.consent import rules as spoken
from services.profile.consent.model import Said

PASSIVE = frozenset(
    {
        "Email Delivered",
        "Email Bounced",
        "Push Notification Bounced",
        "Message Decided",
        "Message Skipped",
        "Message Sent",
        "Message Failed",
        "Message Uncertain",
        "Message Delivered",
        "Message Bounced",
        "Message Converted",
    }
)
"""What happens to a person rather than is done by them: no sign of life, so that a mail of
ours does not end "not seen for 30 days"."""

_ALWAYS_READ = ORDER_EVENTS | commerce.ALWAYS_READ | {spoken.UPDATED}
"""Track calls whose properties say what is folded here, whatever they are."""
_NONE: frozenset[str] = frozenset()
_WITHDRAWN: tuple[Said, ...] = (("email", "withdrawn"),)


class _Consent(Struct):
    category_preferences: Any = field(name="categoryPreferences", default_factory=dict)


_consent_decoder = msgspec.json.Decoder(_Consent)
_traits_decoder = msgspec.json.Decoder(dict[str, Raw])
_step_decoder = msgspec.json.Decoder(MessageChanged)


def fold(state: State, said: Interaction, traits: Traits, touched: set[str]) -> None:
    """Take in one interaction; adds to ``touched`` the names of what it changed.

    The names are those of ``ProfileChanged.changed``. Never raises for what an event
    holds: what cannot be used is counted in ``state.flags``.
    """
    at, name = said.at, said.name
    if at.tzinfo is not UTC:
        at = utc(at)
    state.interactions += 1
    if said.history:
        state.imported += 1
    counters = state.counters
    counters[name] = counters.get(name, 0) + 1
    touched.add("counters." + name)
    if name not in PASSIVE:
        _see(state, at, traits, touched)
    for identifier in said.identifiers:
        type_, value = identifier.type, identifier.value
        known = state.identifiers.get(type_, _NONE)
        if value not in known:
            state.identifiers[type_] = {*known, value}
            touched.add("identifiers." + type_)
    concerned = traits.concerned(name) if traits.keys else None
    if said.type == "message":
        _message_step(state, said, at, touched)
        if concerned is not None:
            _message_computed(state, said, concerned, touched)
    else:
        _event(state, said, (at, traits, concerned), touched)
    if concerned is not None and state.last_seen is not None:
        prune(state, traits.windows, milliseconds(state.last_seen))


def _see(state: State, at: datetime, traits: Traits, touched: set[str]) -> None:
    if state.first_seen is None or at < state.first_seen:
        state.first_seen = at
        touched.add("first_seen")
    if state.last_seen is None or at > state.last_seen:
        state.last_seen = at
        touched.add("last_seen")
        if state.computed and traits.windows:
            pruned = prune(state, traits.windows, milliseconds(at))
            touched.update("computed." + key for key in pruned)


def _event(
    state: State,
    said: Interaction,
    how: tuple[datetime, Traits, Concerned | None],
    touched: set[str],
) -> None:
    """``how``: when it happened, what is declared, and what of that is about such events."""
    (at, traits, concerned), name = how, said.name
    if name in spoken.WITHDRAWALS:
        hearing.hear(state, _WITHDRAWN, _voice(said, at), touched)
    special = said.type == "track" and (name in _ALWAYS_READ or commerce.names_a_list(said))
    wanted = concerned is not None and concerned.needs_body
    properties: dict[str, Any] = {}
    body: Body | Glanced
    try:
        if special or wanted:
            body = read(said.event)
            properties = properties_of(body)
        else:
            body = glance(said.event) if name in GLANCED else read(said.event)
    except UNREADABLE:
        _odd(state, said, (at, special, concerned), touched)
        return
    try:
        if special:  # First: odd traits beside it must not undo a withdrawal.
            _special(state, said, (at, properties), touched)
        if _tells(said, body):
            _tell(state, said, (at, body, traits), touched)
    except UNREADABLE:
        _flag(state, "unreadable_body")
    if name not in PASSIVE:
        glimpse = body.properties if isinstance(body, Glanced) else glimpse_of(properties)
        fold_habits(state.habits, said, (at, body.context, glimpse), touched)
    if concerned is not None:
        _computed(state, said, (concerned, properties), touched)


def _odd(
    state: State, said: Interaction, how: tuple[datetime, bool, Concerned | None], touched: set[str]
) -> None:
    """An event of the wrong shape: its properties, if these at least can be read."""
    at, special, concerned = how
    _flag(state, "unreadable_body")
    properties: dict[str, Any] | None = None
    with suppress(*UNREADABLE):
        properties = loose_properties(said.event)
        if special:
            _special(state, said, (at, properties), touched)
    if concerned is not None and (properties is not None or not concerned.needs_body):
        _computed(state, said, (concerned, properties or {}), touched)


def _tells(said: Interaction, body: Body | Glanced) -> bool:
    context = body.context
    if context.traits is not NOTHING or context.consent is not NOTHING:
        return True
    return said.type == "identify" and body.traits is not NOTHING


def _tell(
    state: State,
    said: Interaction,
    what: tuple[datetime, Body | Glanced, Traits],
    touched: set[str],
) -> None:
    """Consent and traits, which any event may carry."""
    at, body, traits = what
    context = body.context
    if context.consent is not NOTHING and b'"categoryPreferences"' in bytes(context.consent):
        preferences = _consent_decoder.decode(context.consent).category_preferences
        if not isinstance(preferences, dict):
            _flag(state, "unreadable_body")
        by, repeated = spoken.kind_of(said.name, said.history), said.name not in spoken.CHOSEN
        voice = hearing.Voice(at, said.interaction_id, said.source, by, repeated)
        hearing.hear(state, spoken.preferences(preferences), voice, touched)
    own = body.traits if said.type == "identify" else NOTHING
    if context.traits is NOTHING and own is NOTHING:
        return
    author = Author(at, said.interaction_id, said.source, traits.trust)
    _write(state, context.traits, author, touched)
    _write(state, own, author, touched)  # At the same message the later one wins.


def _write(state: State, written: Raw, author: Author, touched: set[str]) -> None:
    for reason in write_traits(state, _traits_decoder.decode(written), author, touched):
        _flag(state, reason)


def _special(
    state: State, said: Interaction, told: tuple[datetime, dict[str, Any]], touched: set[str]
) -> None:
    at, properties = told
    if said.name in ORDER_EVENTS:
        message, handed_on = (at, said.interaction_id), said.handed_to is not None
        flag = fold_order(state, said.name, message, properties, handed_on=handed_on)
        touched.add("orders")
        if state.commerce.carts:
            touched.add("carts")  # It may have been made of one.
        if flag:
            _flag(state, flag)
        return
    if said.name != spoken.UPDATED:
        changed = commerce.fold_commerce(state.commerce, said, at, properties)
        if changed:
            touched.add(changed)
        return
    words = spoken.updated(properties)
    if not words or any(word == "unclear" for _, word in words):
        _flag(state, "consent_not_understood")
    hearing.hear(state, words, _voice(said, at, properties), touched)


def _message_step(state: State, said: Interaction, at: datetime, touched: set[str]) -> None:
    answers = said.name in MESSAGE_RESPONSES
    speaks = said.name in spoken.STEPS and spoken.speaks(said.name, bytes(said.event))
    if not answers and not speaks:
        return
    try:
        step = _step_decoder.decode(said.event)
    except UNREADABLE:
        _flag(state, "unreadable_body")
        return
    if answers:
        respond(state.habits, step.channel, touched)
    if speaks and said.name in spoken.MESSAGE_WITHDRAWALS:
        hearing.hear(state, [(step.channel, "withdrawn")], _voice(said, at), touched)
    elif speaks and step.confirms is not None:
        hearing.confirm(state, step.channel, step.confirms, _voice(said, at), touched)


def _voice(
    said: Interaction, at: datetime, properties: dict[str, Any] | None = None
) -> hearing.Voice:
    by: str = spoken.kind_of(said.name, said.history)
    if properties is not None:
        by = spoken.actor_of(said.name, said.history, properties).kind
    return hearing.Voice(at, said.interaction_id, said.source, by)


def _message_computed(
    state: State, said: Interaction, concerned: Concerned, touched: set[str]
) -> None:
    properties: dict[str, Any] = {}
    if concerned.needs_body:
        try:
            properties = properties_of(read(said.event))
        except UNREADABLE:
            _flag(state, "unreadable_body")
            return
    _computed(state, said, (concerned, properties), touched)


def _computed(
    state: State,
    said: Interaction,
    how: tuple[Concerned, dict[str, Any]],
    touched: set[str],
) -> None:
    (concerned, properties), at = how, utc(said.at)
    event = Occurrence(at, milliseconds(at), said.interaction_id, properties)
    for trait in matching(concerned.traits, properties):
        if fold_computed(state, trait, event):
            touched.add("computed." + trait.key)


def _flag(state: State, reason: str) -> None:
    state.flags[reason] = state.flags.get(reason, 0) + 1

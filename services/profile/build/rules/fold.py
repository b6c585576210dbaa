"""The fold: one interaction into the state of its person, in any order of arrival.

Counters add over distinct interactions (resolve lets each through once), first and last go
by event time, and where one write must win it is the latest by (event time, message id).
An event's body is read only where its name, or what it carries, matters here.
"""

from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec
from msgspec import Raw, Struct, field

from schemas.messages import Interaction, MessageChanged
from services.profile.build.model import State
from services.profile.build.rules import consent
from services.profile.build.rules.aggregates import Occurrence
from services.profile.build.rules.computed import (
    Trait,
    Traits,
    event_key,
    fold_computed,
    matching,
)
from services.profile.build.rules.habits import MESSAGE_RESPONSES, fold_habits, respond
from services.profile.build.rules.orders import fold_order, is_order_event
from services.profile.build.rules.traits import Author, Trust, write_traits
from services.profile.build.rules.values import milliseconds, utc
from services.profile.build.rules.windows import prune
from services.profile.commerce.rules.fold import fold_commerce, matters
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

_NOTHING: frozenset[str] = frozenset()
_WITHDRAWN: tuple[Said, ...] = (("email", "withdrawn"),)


class Body(Struct):
    """The parts of an event that the fold may need, each still encoded."""

    properties: Raw = Raw(b"{}")
    traits: Raw = Raw(b"{}")
    context: Raw = Raw(b"{}")


class _Context(Struct):
    traits: Raw = Raw(b"{}")
    consent: Raw = Raw(b"{}")


class _Consent(Struct):
    category_preferences: Any = field(name="categoryPreferences", default_factory=dict)


_body_decoder = msgspec.json.Decoder(Body)
_context_decoder = msgspec.json.Decoder(_Context)
_consent_decoder = msgspec.json.Decoder(_Consent)
_traits_decoder = msgspec.json.Decoder(dict[str, Raw])
_properties_decoder = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)
_step_decoder = msgspec.json.Decoder(MessageChanged)

_UNREADABLE = (msgspec.MsgspecError, InvalidOperation, UnicodeDecodeError, RecursionError)


def fold(state: State, said: Interaction, traits: Traits, touched: set[str]) -> None:
    """Take in one interaction; adds to ``touched`` the names of what it changed.

    The names are those of ``ProfileChanged.changed``. Never raises for what an event
    holds: what cannot be used is counted in ``state.flags``.
    """
    at = utc(said.at)
    name = said.name
    state.interactions += 1
    state.imported += said.history
    state.counters[name] = state.counters.get(name, 0) + 1
    touched.add("counters." + name)
    if name not in PASSIVE:
        _see(state, at, traits, touched)
    for identifier in said.identifiers:
        known = state.identifiers.get(identifier.type, _NOTHING)
        if identifier.value not in known:
            state.identifiers[identifier.type] = {*known, identifier.value}
            touched.add("identifiers." + identifier.type)
    if said.type == "message":
        _message_step(state, said, at, touched)
    else:
        _event(state, said, (at, traits.trust), touched)
        if name not in PASSIVE:
            fold_habits(state.habits, said, at, touched)
    computed = traits.by_event.get(event_key(name))
    if computed is not None:
        _computed(state, said, computed, touched)
        if state.last_seen is not None:
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


def _event(state: State, said: Interaction, how: tuple[datetime, Trust], touched: set[str]) -> None:
    (at, trust), name, raw = how, said.name, bytes(said.event)
    message = (at, said.interaction_id)
    if name in spoken.WITHDRAWALS:
        consent.hear(state, _WITHDRAWN, _voice(said, at), touched)
    special = said.type == "track" and (
        is_order_event(name) or name == spoken.UPDATED or matters(said, raw)
    )
    # Looking for the names is far cheaper than decoding events that do not carry them.
    if not special and b'"traits"' not in raw and b'"categoryPreferences"' not in raw:
        return
    try:
        body = _body_decoder.decode(raw)
        if special:  # First: odd traits beside it must not undo a withdrawal.
            properties = _properties_decoder.decode(body.properties)
            _special(state, said, properties, message, touched)
        context = _context_decoder.decode(body.context)
        if b'"categoryPreferences"' in bytes(context.consent):
            preferences = _consent_decoder.decode(context.consent).category_preferences
            if not isinstance(preferences, dict):
                _flag(state, "unreadable_body")
            consent.hear(state, spoken.preferences(preferences), _voice(said, at), touched)
        author = Author(*message, said.source, trust)
        _write(state, context.traits, author, touched)
        if said.type == "identify":
            _write(state, body.traits, author, touched)
    except _UNREADABLE:
        _flag(state, "unreadable_body")


def _write(state: State, written: Raw, author: Author, touched: set[str]) -> None:
    for reason in write_traits(state, _traits_decoder.decode(written), author, touched):
        _flag(state, reason)


def _special(
    state: State,
    said: Interaction,
    properties: dict[str, Any],
    message: tuple[datetime, str],
    touched: set[str],
) -> None:
    if is_order_event(said.name):
        flag = fold_order(state, said.name, message, properties)
        touched.add("orders")
        if state.commerce.carts:
            touched.add("carts")  # It may have been made of one.
        if flag:
            _flag(state, flag)
        return
    if said.name != spoken.UPDATED:
        changed = fold_commerce(state.commerce, said, message[0], properties)
        if changed:
            touched.add(changed)
        return
    words = spoken.updated(properties)
    if not words or any(word == "unclear" for _, word in words):
        _flag(state, "consent_not_understood")
    consent.hear(state, words, _voice(said, message[0], properties), touched)


def _message_step(state: State, said: Interaction, at: datetime, touched: set[str]) -> None:
    answers = said.name in MESSAGE_RESPONSES
    speaks = said.name in spoken.STEPS and spoken.speaks(said.name, bytes(said.event))
    if not answers and not speaks:
        return
    try:
        step = _step_decoder.decode(said.event)
    except _UNREADABLE:
        _flag(state, "unreadable_body")
        return
    if answers:
        respond(state.habits, step.channel, touched)
    if speaks and said.name in spoken.MESSAGE_WITHDRAWALS:
        consent.hear(state, [(step.channel, "withdrawn")], _voice(said, at), touched)
    elif speaks and step.confirms is not None:
        consent.confirm(state, step.channel, step.confirms, _voice(said, at), touched)


def _voice(
    said: Interaction, at: datetime, properties: dict[str, Any] | None = None
) -> consent.Voice:
    by: str = spoken.kind_of(said.name, said.history)
    if properties is not None:
        by = spoken.actor_of(said.name, said.history, properties).kind
    return consent.Voice(at, said.interaction_id, said.source, by)


def _computed(
    state: State, said: Interaction, candidates: tuple[Trait, ...], touched: set[str]
) -> None:
    properties: dict[str, Any] = {}
    if any(trait.needs_body for trait in candidates):
        try:
            properties = _properties_decoder.decode(_body_decoder.decode(said.event).properties)
        except _UNREADABLE:
            _flag(state, "unreadable_body")
            return
    at = utc(said.at)
    event = Occurrence(at, milliseconds(at), said.interaction_id, properties)
    for trait in matching(candidates, properties):
        if fold_computed(state, trait, event):
            touched.add("computed." + trait.key)


def _flag(state: State, reason: str) -> None:
    state.flags[reason] = state.flags.get(reason, 0) + 1

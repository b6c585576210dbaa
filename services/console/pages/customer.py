"""One person: what is known, why it is one person, what they bought, what was said to them."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from nicegui import ui

from services.console import words
from services.console.answers import Message
from services.console.client import Trouble
from services.console.elements import (
    Cell,
    Column,
    Pill,
    Text,
    banner,
    box,
    card,
    empty,
    table,
)
from services.console.pages import (
    belonging,
    consent,
    habits,
    head,
    identity,
    orders,
    past,
    shopping,
    timeline,
    traits,
)
from services.console.pages.visit import Visit

TITLE = "Customer"
_MESSAGES = 50
T = TypeVar("T")

_MESSAGE_COLUMNS = (
    Column("Campaign"),
    Column("Decided (UTC)", whole=True),
    Column("State"),
    Column("Why"),
)
_TONES = {"sent": "good", "skipped": "plain", "failed": "bad", "uncertain": "bad"}


async def build(visit: Visit) -> None:
    """A part whose service gives no answer says so; the others are there all the same.

    ``at``: show them as they were at that instant.
    """
    apis = visit.apis
    if visit.query.get("at"):
        await past.build(visit)
        return
    profile = await apis.profiles.profile(str(visit.parts["profile_id"]))
    ids = [profile.profile_id, *profile.merged_from][:50]
    why, segments, memberships, messages, happened, said = await asyncio.gather(
        _tried(apis.profiles.identity(profile.profile_id)),
        _tried(apis.segments.segments()),
        _tried(apis.segments.memberships(profile.profile_id)),
        _tried(apis.messages.messages(ids, _MESSAGES)),
        _tried(apis.profiles.interactions(profile.profile_id, timeline.PAGE)),
        _tried(apis.profiles.consent(profile.profile_id, consent.LINES)),
    )
    name = words.name_of(profile)
    ui.page_title(f"{name} · Regulars")
    head.show(profile, name)
    past.ask(profile.profile_id)
    with box("div", "wide-and-narrow"):
        with box("div", "column"):
            orders.show(profile.orders)
            shopping.show_carts(profile)
            shopping.show_conversations(profile)
            _messages(messages)
            timeline.show(apis, profile.profile_id, happened)
        with box("div", "column"):
            traits.show(apis, profile)
            habits.show(profile)
            consent.show(apis, profile, said)
            belonging.show_segments(apis, profile.profile_id, segments, memberships)
            identity.show(apis, profile.profile_id, why)


async def _tried(answer: Coroutine[Any, Any, T]) -> T | Trouble:
    try:
        return await answer
    except Trouble as trouble:
        return trouble


def _messages(found: Any) -> None:
    with card("Messages"):
        if isinstance(found, Trouble):
            banner(found.message)
        elif found.items:
            rows = map(_message, found.items)
            table("Messages, the latest first", _MESSAGE_COLUMNS, rows, "stack")
            if found.next:
                Text("p", f"The latest {len(found.items)}.", "note")
        else:
            hint = "A campaign decides about them when they enter its segment."
            empty("No campaign was about them yet.", hint)


def _message(message: Message) -> list[Cell]:
    why = words.sentence(message.reason)
    if message.unsubscribed_at is not None:
        why = f"Unsubscribed {words.moment(message.unsubscribed_at)}"
    elif message.sent_at is not None and not why:
        why = f"Entered {message.segment}; sent {words.moment(message.sent_at)}"
    elif not why:
        why = f"Entered {message.segment}; due {words.moment(message.due_at)}"
    return [
        message.campaign,
        words.moment(message.decided_at).removesuffix(" UTC"),
        Pill(message.state, _TONES.get(message.state, "wait")),
        why,
    ]

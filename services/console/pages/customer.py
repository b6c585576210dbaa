"""One person: what is known, why it is one person, what they bought, what was said to them."""

import asyncio
from collections.abc import Coroutine, Sequence
from decimal import Decimal
from typing import Any, TypeVar

from nicegui import ui

from services.console import words
from services.console.answers import Amount, Message, Order, Profile
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
    facts,
    link,
    table,
)
from services.console.pages import belonging, consent, habits, shopping, timeline
from services.console.pages.visit import Visit

TITLE = "Customer"
_ORDERS = 5
_MORE_ORDERS = 100
_MESSAGES = 50
T = TypeVar("T")

_ORDER_COLUMNS = (
    Column("Order", whole=True),
    Column("Placed (UTC)"),
    Column("What"),
    Column("State"),
    Column("Revenue", numeric=True, hint="Without tax and shipping, before refunds"),
    Column("Refunded", numeric=True),
)
_MESSAGE_COLUMNS = (
    Column("Campaign"),
    Column("Decided (UTC)", whole=True),
    Column("State"),
    Column("Why"),
)
_TONES = {"sent": "good", "skipped": "plain", "failed": "bad", "uncertain": "bad"}


async def build(visit: Visit) -> None:
    """A part whose service gives no answer says so; the others are there all the same."""
    apis = visit.apis
    profile = await apis.profiles.profile(str(visit.parts["profile_id"]))
    ids = [profile.profile_id, *profile.merged_from][:50]
    identity, segments, memberships, messages, past, said = await asyncio.gather(
        _tried(apis.profiles.identity(profile.profile_id)),
        _tried(apis.segments.segments()),
        _tried(apis.segments.memberships(profile.profile_id)),
        _tried(apis.messages.messages(ids, _MESSAGES)),
        _tried(apis.profiles.interactions(profile.profile_id, timeline.PAGE)),
        _tried(apis.profiles.consent(profile.profile_id, consent.LINES)),
    )
    name = words.name_of(profile)
    ui.page_title(f"{name} · Regulars")
    _head(profile, name)
    with box("div", "wide-and-narrow"):
        with box("div", "column"):
            _orders(profile.orders)
            shopping.show_carts(profile)
            shopping.show_conversations(profile)
            _messages(messages)
            timeline.show(apis, profile.profile_id, past)
        with box("div", "column"):
            _traits(profile)
            habits.show(profile)
            consent.show(apis, profile, said)
            belonging.show_segments(apis, profile.profile_id, segments, memberships)
            belonging.show_identity(identity)


async def _tried(answer: Coroutine[Any, Any, T]) -> T | Trouble:
    try:
        return await answer
    except Trouble as trouble:
        return trouble


def _head(profile: Profile, name: str) -> None:
    with box("div", "title"):
        link("All customers", "/customers", "back")
        Text("h1", name)
        Text("p", f"Profile {profile.profile_id}, version {words.count(profile.version)}", "note")
    with box("dl", "strip"):
        for label, value in (
            ("Revenue", words.moneys(profile.revenue)),
            *_in_one_currency(profile),
            ("Orders", words.count(profile.order_count)),
            ("Interactions", words.count(profile.interactions)),
            ("First seen", words.moment(profile.first_seen)),
            ("Last seen", words.moment(profile.last_seen)),
        ):
            with box("div"):
                Text("dt", label)
                Text("dd", value)


def _in_one_currency(profile: Profile) -> list[tuple[str, str]]:
    """Only where it is another figure than the revenue itself."""
    base = profile.revenue_base
    if base is None or profile.revenue == [base]:
        return []
    return [("In one currency", words.money(base))]


def _orders(orders: Sequence[Order]) -> None:
    latest = sorted(orders, key=lambda order: (order.ordered_at, order.order_id), reverse=True)
    shown, more = latest[:_ORDERS], latest[_ORDERS : _ORDERS + _MORE_ORDERS]
    with card("Orders", note="The latest first" if len(orders) > 1 else ""):
        if not shown:
            empty("No orders yet.", "An Order Completed event of this person makes one.")
            return
        table("Orders, the latest first", _ORDER_COLUMNS, map(_order, shown), "stack")
        if more:
            with box("details", "more"):
                Text("summary", words.counted(len(more), "earlier order"))
                table("Earlier orders", _ORDER_COLUMNS, map(_order, more), "stack")
        if len(latest) > _ORDERS + _MORE_ORDERS:
            Text("p", f"Of {words.counted(len(latest), 'order')} in all.", "note")


def _order(order: Order) -> list[Cell]:
    back = sum((refund.amount for refund in order.refunds), Decimal(0))
    state = Pill("completed", "good")
    if order.status == "cancelled":
        when = words.day(order.cancelled_at) if order.cancelled_at else ""
        state = Pill(f"cancelled {when}".strip(), "bad")
    elif back:
        told = (one.amount if one.revenue is None else one.revenue for one in order.refunds)
        taken = sum(told, Decimal(0))
        state = Pill("refunded" if taken >= order.revenue else "partly refunded", "wait")
    what = ", ".join(
        f"{line.quantity} \u00d7 {line.name or line.product_id}" for line in order.products[:3]
    )
    if len(order.products) > 3:
        what += f" and {len(order.products) - 3} more"
    return [
        order.order_id,
        words.moment(order.ordered_at).removesuffix(" UTC"),
        what or words.NOTHING,
        state,
        words.money(Amount(order.revenue, order.currency)),
        words.money(Amount(back, order.currency)) if back else words.NOTHING,
    ]


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


def _traits(profile: Profile) -> None:
    with card("Traits"):
        if profile.traits:
            facts(
                (words.sentence(name), words.trait(value))
                for name, value in sorted(profile.traits.items())
            )
        else:
            empty("No traits are known.", "An identify call sets them.")

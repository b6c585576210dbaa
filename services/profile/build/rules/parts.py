"""The parts of a published profile that are worth keeping from one change to the next.

Most changes of a profile leave its orders and carts alone, and these are most of the work.
A part that is kept is encoded, so that it shares nothing with the state.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any

import msgspec
from msgspec import Raw

from schemas.messages import Cart
from services.profile.build.model import State
from services.profile.build.parts import Bought, Parts
from services.profile.build.rules.facts import days_between, favourites, gross_revenue
from services.profile.build.rules.orders import bought_from, net_revenue, orders_of
from services.profile.commerce.rules.carts import carts_of, closings_of
from services.profile.commerce.rules.conversations import conversations_of
from services.profile.commerce.rules.subscriptions import subscriptions_of
from services.profile.commerce.rules.wishlists import wishlists_of

_encode = msgspec.json.Encoder(order="deterministic").encode
_NO_ORDERS = Bought()


def forget(parts: Parts | None, touched: Collection[str]) -> None:
    """Let go of what is not as it was, now that what ``touched`` names has changed."""
    if parts is None:
        return
    if "orders" in touched:
        parts.bought = parts.closings = None
    if parts.commerce:
        for name in _COMMERCE:
            if name in touched:
                parts.commerce.pop(name, None)


def bought(state: State, parts: Parts | None) -> Bought:
    """All that is published of orders; with ``parts``, as kept there or to be kept there."""
    if not state.orders:
        return _NO_ORDERS
    if parts is not None and parts.bought is not None:
        return parts.bought
    orders = orders_of(state)
    standing = [order for order in orders if order.status == "completed"]
    gross, average = gross_revenue(standing) if standing else ([], [])
    category, brand = favourites(standing) if standing else (None, None)
    made = Bought(
        orders=orders,
        count=len(standing),
        revenue=net_revenue(orders),
        # By (ordered_at, order_id): the first and the last in time.
        first_at=standing[0].ordered_at if standing else None,
        last_at=standing[-1].ordered_at if standing else None,
        gross=gross,
        average=average,
        days_between=days_between(standing),
        category=category,
        brand=brand,
    )
    if parts is not None:
        made.orders = _encoded(orders)
        parts.bought = made
    return made


def commerce(state: State, parts: Parts | None) -> dict[str, Any]:
    """Carts, wishlists, subscriptions and conversations; as ``bought``."""
    if parts is None:
        return {name: make(state, Parts()) for name, make in _COMMERCE.items()}
    for name, make in _COMMERCE.items():
        if name not in parts.commerce:
            parts.commerce[name] = _encoded(make(state, parts))
    return parts.commerce


def _carts(state: State, parts: Parts) -> list[Cart]:
    kept = state.commerce
    if not kept.carts:
        return []
    if parts.closings is None:
        parts.closings = closings_of(bought_from(state))
    return carts_of(kept, parts.closings)


_COMMERCE: Mapping[str, Callable[[State, Parts], list[Any]]] = {
    "carts": _carts,
    "wishlists": lambda state, parts: wishlists_of(state.commerce),
    "subscriptions": lambda state, parts: subscriptions_of(state.commerce),
    "conversations": lambda state, parts: conversations_of(state.commerce),
}


def _encoded(items: list[Any]) -> Any:
    """What is empty stays a list: it is left out of a published profile."""
    return Raw(_encode(items)) if items else items

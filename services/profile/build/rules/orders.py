"""Orders as things with versions: content of the latest, less what was taken back.

Order Completed and Order Updated say what the order is, Order Refunded and Order Cancelled
take back, in whatever order they arrive: what precedes the order waits in its state. A
cancelled order stands again when a later version says so: a new completion, or an update
that names a state in which orders stand.
"""

from bisect import bisect_left
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

from schemas.messages import Money, Order, OrderLine, Refund
from services.profile.build.model import OrderState, Refunded, State, Version
from services.profile.build.rules.lines import lines_of, sum_of
from services.profile.build.rules.refunds import amount_of, revenue_parts
from services.profile.build.rules.values import canonical, currency, number, text
from services.profile.commerce.rules.words import short

_ZERO = Decimal("0.00")
_STANDS = frozenset(
    [
        *("active", "open", "reopened", "placed", "confirmed", "on-hold", "processing", "paid"),
        *("shipped", "delivered", "fulfilled", "complete", "completed"),
    ]
)
_CANCELLED = frozenset(["canceled", "cancelled", "voided"])
"""What ``status`` of a version may say; other words, such as ``refunded``, decide nothing."""
_MOST_CANCELLATIONS = 20

Properties = dict[str, Any]


def fold_order(
    state: State,
    name: str,
    message: tuple[datetime, str],
    said: Properties,
    *,
    handed_on: bool = False,
    received: bool = False,
) -> str:
    """Take in one order event, ``message`` being its (time, id).

    ``handed_on``: somebody else has the order now; ``received``: somebody else had it then.
    Returns ``""``, or why the event could not be used, as a code.
    """
    order_id = text(said.get("order_id"))
    if order_id is None:
        return "order_without_id"
    order = state.orders.get(order_id) or OrderState()
    flag = (_RECEIVED if received else _FOLDS)[name](order, message, said)
    if not flag:
        order.handed_on = order.handed_on or handed_on
        state.orders[order_id] = order
    return flag


def _complete(order: OrderState, message: tuple[datetime, str], said: Properties) -> str:
    flag = _placed(order, message, said)
    if not flag:
        order.completed_at = _earliest(order.completed_at, message[0])
        if text(said.get("channel")) != "store":
            order.cart = max(order.cart or "", short(said.get("cart_id")))
    return flag


def _receive(order: OrderState, message: tuple[datetime, str], said: Properties) -> str:
    flag = _placed(order, message, said)
    if not flag:
        order.placed_at = _earliest(order.placed_at, message[0])
    return flag


def _placed(order: OrderState, message: tuple[datetime, str], said: Properties) -> str:
    flag = _update(order, message, said)
    if not flag and _standing(said) is None:
        _stand(order, message[0])
    return flag


def _update(order: OrderState, message: tuple[datetime, str], said: Properties) -> str:
    code = currency(said.get("currency"))
    if code is None:
        return "order_bad_currency"
    order.first_at = _earliest(order.first_at, message[0])
    version = order.version
    if version is None or message > (version.at, version.message_id):
        lines = lines_of(said.get("products"))
        revenue, total = _amounts(said, lines)
        order.version = Version(*message, code, revenue, total, lines)
    stands = _standing(said)
    if stands:
        _stand(order, message[0])
    elif stands is not None:
        _cancel(order, message, said)
    return ""


def _refund(order: OrderState, message: tuple[datetime, str], said: Properties) -> str:
    code = currency(said["currency"]) if said.get("currency") else ""
    if code is None:
        return "refund_bad_currency"
    amount, revenue = amount_of(said)
    if not amount:
        return "refund_without_amount"
    at, message_id = message
    order.refunds[message_id] = Refunded(at, amount, code, revenue)
    return ""


def _cancel(order: OrderState, message: tuple[datetime, str], said: Properties) -> str:
    at = message[0]
    if order.stood_at is None or at >= order.stood_at:
        known = _cancellations(order)
        place = bisect_left(known, at)
        if known[place : place + 1] != [at]:
            known.insert(place, at)
            _set_cancellations(order, known)
    return ""


def _stand(order: OrderState, at: datetime) -> None:
    """Of one instant the cancellation counts."""
    if order.stood_at is None or at > order.stood_at:
        order.stood_at = at
        _set_cancellations(order, [one for one in _cancellations(order) if one >= at])


def _cancellations(order: OrderState) -> list[datetime]:
    return [] if order.cancelled_at is None else [order.cancelled_at, *order.cancelled_again]


def _set_cancellations(order: OrderState, ascending: list[datetime]) -> None:
    # The latest are kept: those that are let go could matter only if all of these were undone.
    kept = ascending[-_MOST_CANCELLATIONS:]
    order.cancelled_at, order.cancelled_again = (kept[0], kept[1:]) if kept else (None, [])


def _standing(said: Properties) -> bool | None:
    """Whether a version says that the order stands; None: it does not say."""
    cancelled = said.get("cancelled")
    if isinstance(cancelled, bool):
        return not cancelled
    status = said.get("status")
    word = status.strip().lower().replace("_", "-") if isinstance(status, str) else ""
    return True if word in _STANDS else False if word in _CANCELLED else None


_FOLDS: dict[str, Callable[[OrderState, tuple[datetime, str], Properties], str]] = {
    "Order Completed": _complete,
    "Order Updated": _update,
    "Order Refunded": _refund,
    "Order Cancelled": _cancel,
}
_RECEIVED = _FOLDS | {"Order Completed": _receive}
"""The same of an order that was somebody else's."""
ORDER_EVENTS = frozenset(_FOLDS)
"""The names that ``fold_order`` knows."""


def _earliest(one: datetime | None, other: datetime) -> datetime:
    return other if one is None else min(one, other)


def _amounts(said: Properties, lines: list[OrderLine]) -> tuple[Decimal, Decimal]:
    """(revenue, total). Revenue excludes tax and shipping: Segment's e-commerce spec v2."""
    revenue, total = number(said.get("revenue")), number(said.get("total"))
    extras = (number(said.get("tax")) or _ZERO) + (number(said.get("shipping")) or _ZERO)
    if revenue is None:
        revenue = sum_of(lines) if total is None else total - extras
    if total is None:
        total = revenue + extras
    return canonical(revenue), canonical(total)


def bought_from(state: State) -> list[tuple[datetime, str]]:
    """When online orders were made, and of which cart; empty where they do not say."""
    return [
        (order.completed_at, order.cart)
        for order in state.orders.values()
        if order.completed_at is not None and order.cart is not None
    ]


def orders_of(state: State) -> list[Order]:
    """The orders that are known by now and theirs, by (ordered_at, order_id)."""
    orders = [
        _order(order_id, order.version, order)
        for order_id, order in state.orders.items()
        if order.version is not None and not order.handed_on
    ]
    orders.sort(key=lambda order: (order.ordered_at, order.order_id))
    return orders


def _order(order_id: str, version: Version, order: OrderState) -> Order:
    # A refund in another currency cannot be subtracted without a rate, so it is left out.
    known = [
        (refund.at, message_id, refund)
        for message_id, refund in order.refunds.items()
        if refund.currency in ("", version.currency)
    ]
    known.sort(key=lambda one: one[:2])
    parts = revenue_parts(version, (refund for _, _, refund in known))
    refunds = [
        Refund(message_id=message_id, amount=refund.amount, at=at, revenue=part)
        for (at, message_id, refund), part in zip(known, parts, strict=True)
    ]
    taken_back = [refund.at for refund in refunds]
    if order.cancelled_at is not None:
        taken_back.append(order.cancelled_at)
    placed_at = order.completed_at
    if order.placed_at is not None:
        placed_at = _earliest(placed_at, order.placed_at)
    return Order(
        order_id=order_id,
        currency=version.currency,
        ordered_at=placed_at or order.first_at or version.at,
        updated_at=max(version.at, *taken_back) if taken_back else version.at,
        status="completed" if order.cancelled_at is None else "cancelled",
        revenue=version.revenue,
        total=version.total,
        refunds=refunds,
        cancelled_at=order.cancelled_at,
        products=version.products,
    )


def net_revenue(orders: list[Order]) -> list[Money]:
    """Revenue of the orders that stand, less refunds, a currency each, by its code."""
    sums: dict[str, Decimal] = {}
    for order in orders:
        if order.status == "completed":
            sums[order.currency] = sums.get(order.currency, _ZERO) + net_of(order)
    return [Money(canonical(sums[code]), code) for code in sorted(sums)]


def net_of(order: Order) -> Decimal:
    """What refunds have left of the revenue of one of ``orders_of``."""
    return order.revenue - sum((refund.revenue or _ZERO for refund in order.refunds), _ZERO)

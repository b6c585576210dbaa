"""Orders as things with versions: content of the latest, less what was taken back.

Order Completed and Order Updated say what the order is, Order Refunded and Order Cancelled
take back, in whatever order they arrive: what precedes the order waits in its state.
"""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

from schemas.messages import Money, Order, OrderLine, Refund
from services.profile.build.model import OrderState, Refunded, State, Version
from services.profile.build.rules.values import canonical, currency, number, text

_ZERO = Decimal("0.00")
_REFUND_AMOUNTS = ("total", "revenue", "amount")

Properties = dict[str, Any]


def fold_order(state: State, name: str, message: tuple[datetime, str], said: Properties) -> str:
    """Take in one order event, ``message`` being its (time, id).

    Returns ``""``, or why the event could not be used, as a code.
    """
    order_id = text(said.get("order_id"))
    if order_id is None:
        return "order_without_id"
    order = state.orders.get(order_id) or OrderState()
    flag = _FOLDS[name](order, message, said)
    if not flag:
        state.orders[order_id] = order
    return flag


def is_order_event(name: str) -> bool:
    """Whether ``fold_order`` knows the event name."""
    return name in _FOLDS


def _complete(order: OrderState, message: tuple[datetime, str], said: Properties) -> str:
    flag = _update(order, message, said)
    if not flag:
        order.completed_at = _earliest(order.completed_at, message[0])
    return flag


def _update(order: OrderState, message: tuple[datetime, str], said: Properties) -> str:
    code = currency(said.get("currency"))
    if code is None:
        return "order_bad_currency"
    order.first_at = _earliest(order.first_at, message[0])
    version = order.version
    if version is None or message > (version.at, version.message_id):
        lines = _lines(said.get("products"))
        revenue, total = _amounts(said, lines)
        order.version = Version(*message, code, revenue, total, lines)
    return ""


def _refund(order: OrderState, message: tuple[datetime, str], said: Properties) -> str:
    code = currency(said["currency"]) if said.get("currency") else ""
    if code is None:
        return "refund_bad_currency"
    given = (number(said.get(name)) for name in _REFUND_AMOUNTS)
    amount = next((value for value in given if value is not None), None)
    if amount is None:
        amount = _sum(_lines(said.get("products")))
    if not amount:
        return "refund_without_amount"
    at, message_id = message
    order.refunds[message_id] = Refunded(at, abs(amount), code)
    return ""


def _cancel(order: OrderState, message: tuple[datetime, str], said: Properties) -> str:
    order.cancelled_at = _earliest(order.cancelled_at, message[0])
    return ""


_FOLDS: dict[str, Callable[[OrderState, tuple[datetime, str], Properties], str]] = {
    "Order Completed": _complete,
    "Order Updated": _update,
    "Order Refunded": _refund,
    "Order Cancelled": _cancel,
}


def _earliest(one: datetime | None, other: datetime) -> datetime:
    return other if one is None else min(one, other)


def _amounts(said: Properties, lines: list[OrderLine]) -> tuple[Decimal, Decimal]:
    """(revenue, total). Revenue excludes tax and shipping: Segment's e-commerce spec v2."""
    revenue, total = number(said.get("revenue")), number(said.get("total"))
    extras = (number(said.get("tax")) or _ZERO) + (number(said.get("shipping")) or _ZERO)
    if revenue is None:
        revenue = _sum(lines) if total is None else total - extras
    if total is None:
        total = revenue + extras
    return canonical(revenue), canonical(total)


def _lines(products: Any) -> list[OrderLine]:
    if not isinstance(products, list):
        return []
    return [_line(product) for product in products if isinstance(product, dict)]


def _line(product: dict[str, Any]) -> OrderLine:
    quantity = number(product.get("quantity"))
    return OrderLine(
        product_id=text(product.get("product_id")) or text(product.get("sku")) or "",
        name=text(product.get("name")),
        category=text(product.get("category")),
        brand=text(product.get("brand")),
        price=number(product.get("price")),
        quantity=1 if quantity is None else int(quantity),
    )


def _sum(lines: list[OrderLine]) -> Decimal:
    total = sum((line.price * line.quantity for line in lines if line.price), _ZERO)
    return number(total) or _ZERO


def orders_of(state: State) -> list[Order]:
    """The orders that are known by now, by (ordered_at, order_id)."""
    orders = [
        _order(order_id, order.version, order)
        for order_id, order in state.orders.items()
        if order.version is not None
    ]
    orders.sort(key=lambda order: (order.ordered_at, order.order_id))
    return orders


def _order(order_id: str, version: Version, order: OrderState) -> Order:
    # A refund in another currency cannot be subtracted without a rate, so it is left out.
    refunds = [
        Refund(message_id=message_id, amount=refund.amount, at=refund.at)
        for message_id, refund in order.refunds.items()
        if refund.currency in ("", version.currency)
    ]
    refunds.sort(key=lambda refund: (refund.at, refund.message_id))
    taken_back = [refund.at for refund in refunds]
    if order.cancelled_at is not None:
        taken_back.append(order.cancelled_at)
    return Order(
        order_id=order_id,
        currency=version.currency,
        ordered_at=order.completed_at or order.first_at or version.at,
        updated_at=max(version.at, *taken_back) if taken_back else version.at,
        status="completed" if order.cancelled_at is None else "cancelled",
        revenue=version.revenue,
        total=version.total,
        refunds=refunds,
        cancelled_at=order.cancelled_at,
        products=version.products,
    )


def net_revenue(orders: list[Order]) -> list[Money]:
    """Revenue of the orders that stand, less refunds, a currency each, by its code.

    An order's refunds count up to its revenue: a refund of the total includes the tax and
    shipping that revenue excludes.
    """
    sums: dict[str, Decimal] = {}
    for order in orders:
        if order.status == "completed":
            refunded = sum((refund.amount for refund in order.refunds), _ZERO)
            net = order.revenue - min(refunded, max(order.revenue, _ZERO))
            sums[order.currency] = sums.get(order.currency, _ZERO) + net
    return [Money(canonical(sums[code]), code) for code in sorted(sums)]

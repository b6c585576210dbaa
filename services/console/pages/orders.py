"""What a person ordered: a part of their page."""

from collections.abc import Sequence
from decimal import Decimal

from services.console import words
from services.console.answers import Amount, Order
from services.console.elements import Cell, Column, Pill, Text, box, card, empty, table

_ORDERS = 5
_MORE_ORDERS = 100
_ORDER_COLUMNS = (
    Column("Order", whole=True),
    Column("Placed (UTC)"),
    Column("What"),
    Column("State"),
    Column("Revenue", numeric=True, hint="Without tax and shipping, before refunds"),
    Column("Refunded", numeric=True),
)


def show(orders: Sequence[Order]) -> None:
    """The latest ones, and the others when they are asked for."""
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

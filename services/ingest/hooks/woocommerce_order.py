"""WooCommerce's orders by their state: placed, refunded, cancelled, or not yet an order. Pure.

``pending`` waits for the payment at the checkout, ``failed`` had it declined, and a
``checkout-draft`` is a cart: none of them is an order yet. ``on-hold`` waits for a transfer,
``processing`` is paid, ``completed`` delivered, ``refunded`` wholly given back: WooCommerce's
own reports count these, and so do we. What happens once has one messageId, whichever
delivery says it, and of versions the latest ``date_modified_gmt`` stands.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from schemas.catalogue import ORDER_CANCELLED, ORDER_COMPLETED, ORDER_REFUNDED, ORDER_UPDATED
from schemas.validation import Fault
from services.ingest.hooks.body import money, parts, present, text
from services.ingest.hooks.event import later, time_of
from services.ingest.hooks.model import Translated
from services.ingest.hooks.woocommerce_model import Call, gmt, person

Order = Mapping[str, Any]

_ZERO = Decimal(0)
_PLACED = "-placed"
"""Sorts before every digest: of one second, a version's content wins over the first word."""


def changed(order: Order, call: Call) -> Translated:
    """order.created, updated and restored: whatever the state makes of it."""
    state = (text(order.get("status")) or "").removeprefix("wc-")
    created, modified = gmt(order, "date_created"), gmt(order, "date_modified")
    at = modified or created or call.at
    if state in call.options.placed:
        events = [
            _event(ORDER_COMPLETED, order, call, (_PLACED, created or at)),
            _event(ORDER_UPDATED, order, call, (call.digest, at)),
            *_refunds(order, call, at),
        ]
        return Translated(events=events)
    if state == "cancelled":
        # By the moment: an order may be reopened, and cancelled again.
        mark = f"cancelled-{time_of(modified)}" if modified else "cancelled"
        cancelled = _event(ORDER_CANCELLED, order, call, (mark, at))
        return Translated(events=[cancelled, *_refunds(order, call, at)])
    detail = f"An order that is {state[:40] or '(in no state)'} has not been placed."
    return Translated(ignored=[Fault("order_not_placed", detail)])


def deleted(order: Order, call: Call) -> Translated:
    """order.deleted has the order's number alone: whose it was is not said."""
    detail = "A deleted order names no customer; cancel it first, and it counts no more."
    return Translated(ignored=[Fault("names_nobody", detail)])


def _event(name: str, order: Order, call: Call, known: tuple[str, datetime]) -> dict[str, Any]:
    """One event of an order; ``known`` is by what in its messageId, and when it happened."""
    (mark, at), who = known, person(order, call)
    return {
        "type": "track",
        "event": name,
        "messageId": call.id("order", text(order.get("id")) or call.digest, mark),
        "timestamp": time_of(at),
        **(who if name == ORDER_COMPLETED else later(who)),
        "properties": _properties(order, call)
        if name != ORDER_CANCELLED
        else {"order_id": call.local(order.get("id"))},
    }


def _refunds(order: Order, call: Call, at: datetime) -> Iterator[dict[str, Any]]:
    """Each refund once. WooCommerce dates none of them: the first word of it is its time."""
    for refund in parts(order, "refunds"):
        said = refund.get("total")
        amount = money(said)
        if amount == 0:
            continue  # Restocked, and nothing paid back.
        refund_id = text(refund.get("id"))
        yield {
            "type": "track",
            "event": ORDER_REFUNDED,
            "messageId": call.id("refund", refund_id or f"{order.get('id')}/{said}"),
            "timestamp": time_of(at),
            **later(person(order, call)),
            "properties": present(
                {
                    "order_id": call.local(order.get("id")),
                    "refund_id": refund_id,
                    "total": said if amount is None else format(abs(amount), "f"),
                    "currency": order.get("currency"),
                }
            ),
        }


def _properties(order: Order, call: Call) -> dict[str, Any]:
    coupons = [code for one in parts(order, "coupon_lines") if (code := text(one.get("code")))]
    return present(
        {
            "order_id": call.local(order.get("id")),
            "order_number": text(order.get("number")),
            "affiliation": text(order.get("created_via")),
            **_amounts(order),
            "currency": order.get("currency"),
            "coupon": coupons[0] if coupons else None,
            "coupons": coupons[1:] and coupons,
            "products": [_line(line) for line in parts(order, "line_items")],
            "status": text(order.get("status")),
            # Said of every state that the source calls placed, a plugin's own too.
            "cancelled": False,
            "payment_method": text(order.get("payment_method")),
        }
    )


def _amounts(order: Order) -> dict[str, Any]:
    """``total`` is with all, ``shipping_total`` without its tax, which ``total_tax`` includes.

    Revenue is what is left of the total, so that fees are part of it. What cannot be read
    stays as it was sent, so that the event is refused and not guessed.
    """
    total, tax, shipping = (
        money(order.get(name)) for name in ("total", "total_tax", "shipping_total")
    )
    said = {
        "total": order.get("total"),
        "tax": order.get("total_tax"),
        "shipping": order.get("shipping_total"),
        "discount": order.get("discount_total"),
    }
    if total is None:
        return said
    revenue = total - (tax or _ZERO) - (shipping or _ZERO)
    return said | {"revenue": format(revenue, "f"), "subtotal": format(revenue, "f")}


def _line(line: Mapping[str, Any]) -> dict[str, Any]:
    """A line's price is what one piece cost after discounts, without tax."""
    total, quantity = money(line.get("total")), money(line.get("quantity"))
    price: Any = line.get("price")
    if total is not None and quantity and total % quantity == 0:
        price = format(total / quantity, "f")
    return present(
        {
            "product_id": text(line.get("product_id")),
            "sku": text(line.get("sku")),
            "name": text(line.get("name")),
            "variant": text(line.get("variation_id")) if line.get("variation_id") else None,
            "price": price,
            "quantity": line.get("quantity"),
        }
    )

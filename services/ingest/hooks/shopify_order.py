"""Shopify's orders: versions, cancellations and refunds as events. Pure.

Every topic carries the whole order as it was at ``updated_at``, and so one order's deliveries
may come in any order and any number: the version of the latest ``updated_at`` stands, and what
happens once (a cancellation, money given back) has one messageId whichever delivery says it.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from schemas.catalogue import ORDER_CANCELLED, ORDER_COMPLETED, ORDER_UPDATED
from schemas.validation import Fault
from services.ingest.hooks.body import instant, part, parts, present, text
from services.ingest.hooks.event import context, later, message_id, time_of
from services.ingest.hooks.model import Translated
from services.ingest.hooks.shopify_amounts import amounts
from services.ingest.hooks.shopify_model import (
    KIND,
    Call,
    order_name,
    person,
    products,
)
from services.ingest.hooks.shopify_people import consents
from services.ingest.hooks.shopify_refund import refunds

Order = Mapping[str, Any]

_PLACING = timedelta(minutes=1)
"""From when an order is created until what placing it entails (payment, tags) is done."""


def created(order: Order, call: Call) -> Translated:
    """orders/create: Order Completed, at the time of the sale."""
    sold = instant(order.get("processed_at")) or instant(order.get("created_at"))
    return _whole(order, call, (ORDER_COMPLETED, sold or call.at))


def updated(order: Order, call: Call) -> Translated:
    """orders/updated, paid and fulfilled: Order Updated, at ``updated_at``."""
    return _whole(order, call, (ORDER_UPDATED, call.within(instant(order.get("updated_at")))))


def cancelled(order: Order, call: Call) -> Translated:
    """orders/cancelled: Order Cancelled; the order's content comes with its update."""
    return _whole(order, call, None)


def _whole(order: Order, call: Call, version: tuple[str, datetime] | None) -> Translated:
    if order.get("test") is True and not call.options.test_orders:
        detail = "Paid through a test gateway; the option test_orders lets such orders count."
        return Translated(ignored=[Fault("test_order", detail)])
    order_id = text(order.get("id"))
    who = person(order, call, order_name(order_id))
    others = later(who)
    events: list[dict[str, Any]] = []
    if version is not None:
        name, at = version
        placed = name == ORDER_COMPLETED or _is_new(order)
        once = name == ORDER_COMPLETED and order_id is not None
        events.append(
            {
                "type": "track",
                "event": name,
                # Two subscriptions to the same topic would otherwise make two sales of it.
                "messageId": message_id(KIND, "completed", order_id) if once else call.id(),
                "timestamp": time_of(at),
                **(who if placed else others),
                "properties": _properties(order),
            }
        )
    brief = {**others, "context": _brief(who)}
    events.extend(_cancellation(order, brief, call))
    events.extend(refunds(order, brief))
    events.extend(consents(part(order, "customer"), call))
    return Translated(events=events)


def _is_new(order: Order) -> bool:
    """Whether this is how the order was placed. Without orders/create nothing else tells so:
    orders/updated comes at that, too, some seconds after ``created_at``."""
    placed, changed = instant(order.get("created_at")), instant(order.get("updated_at"))
    return placed is not None and changed is not None and changed - placed <= _PLACING


def _brief(who: Mapping[str, Any]) -> dict[str, Any]:
    """The person's address alone: names are told by the version."""
    email = part(part(who, "context"), "traits").get("email")
    ids = [(one["type"], one["id"]) for one in part(who, "context").get("externalIds", ())]
    return context(KIND, present({"email": email}), ids)


def _properties(order: Order) -> dict[str, Any]:
    codes = [text(one.get("code")) for one in parts(order, "discount_codes")]
    coupons = [code for code in codes if code]
    theirs = part(part(order, "total_price_set"), "presentment_money")
    foreign = theirs.get("currency_code") not in (None, order.get("currency"))
    return present(
        {
            "order_id": text(order.get("id")),
            "order_number": text(order.get("name")) or text(order.get("order_number")),
            "checkout_id": text(order.get("checkout_token")) or text(order.get("checkout_id")),
            "cart_id": text(order.get("cart_token")),
            "affiliation": text(order.get("source_name")),
            **amounts(order),
            "currency": order.get("currency"),
            "presentment_currency": theirs.get("currency_code") if foreign else None,
            "presentment_total": theirs.get("amount") if foreign else None,
            "coupon": coupons[0] if coupons else None,
            "coupons": coupons[1:] and coupons,
            "products": products(order),
            "financial_status": text(order.get("financial_status")),
            "fulfillment_status": text(order.get("fulfillment_status")),
            "tags": text(order.get("tags")),
        }
    )


def _cancellation(order: Order, who: Mapping[str, Any], call: Call) -> Iterator[dict[str, Any]]:
    at = instant(order.get("cancelled_at"))
    if at is None and call.topic == "orders/cancelled":
        at = call.within(instant(order.get("updated_at")))
    if at is None:
        return
    order_id = text(order.get("id"))
    yield {
        "type": "track",
        "event": ORDER_CANCELLED,
        "messageId": message_id(KIND, "cancelled", order_id),
        "timestamp": time_of(at),
        **who,
        "properties": present({"order_id": order_id, "reason": text(order.get("cancel_reason"))}),
    }

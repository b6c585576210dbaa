"""Shopify's refunds: one event for each time that money went back. Pure.

They come within every topic of their order, and by themselves (refunds/create), where they name
no customer but the order. Either way it is one event with one messageId, and says the same of
money, whichever comes first.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from schemas.catalogue import ORDER_REFUNDED
from schemas.validation import Fault
from services.ingest.hooks.body import instant, parts, present, text
from services.ingest.hooks.event import context, message_id, time_of
from services.ingest.hooks.model import Translated
from services.ingest.hooks.shopify_amounts import given_back, paid_back, refunded, shop_currency
from services.ingest.hooks.shopify_model import KIND, Call, order_name

Refund = Mapping[str, Any]


def created(refund: Refund, call: Call) -> Translated:
    """refunds/create: Order Refunded of the order that it names.

    What the refund does not tell by itself (money that is only on its way, or in the customer's
    currency, which is valued at the order's rate) is left to orders/updated, which has it too.
    """
    if not call.options.test_orders and any(
        one.get("test") is True for one in parts(refund, "transactions")
    ):
        detail = "Paid through a test gateway; the option test_orders lets such orders count."
        return Translated(ignored=[Fault("test_order", detail)])
    order_id = text(refund.get("order_id"))
    order = present({"id": order_id, "currency": shop_currency(refund)})
    worths = [refunded(one, order) for one in paid_back(refund)]
    if not worths or None in worths or "currency" not in order:
        detail = "It does not say by itself what was paid back: orders/updated will."
        return Translated(ignored=[Fault("refund_with_order", detail)])
    who = {"context": context(KIND, {}, [order_name(order_id)])}
    return Translated(events=list(_events(refund, order, who)))


def refunds(order: Mapping[str, Any], who: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Those within an order: what is pending today may fail tomorrow, and is none yet."""
    for refund in parts(order, "refunds"):
        yield from _events(refund, order, who)


def _events(
    refund: Refund, order: Mapping[str, Any], who: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    transactions = list(paid_back(refund))
    refund_id = text(refund.get("id"))
    for number, transaction in enumerate(transactions):
        own_id = text(transaction.get("id")) or f"{order.get('id')}/{refund_id}/{number}"
        times = (
            place.get(name)
            for place in (transaction, refund)
            for name in ("processed_at", "created_at")
        )
        at = next((found for time in times if (found := instant(time))), None)
        split = given_back(refund) if len(transactions) == 1 else {}
        yield {
            "type": "track",
            "event": ORDER_REFUNDED,
            "messageId": message_id(KIND, "refund", own_id),
            "timestamp": time_of(at),
            **who,
            "properties": present(
                {
                    "order_id": text(order.get("id")),
                    "refund_id": refund_id,
                    **_worth(transaction, order),
                    **split,
                }
            ),
        }


def _worth(transaction: Mapping[str, Any], order: Mapping[str, Any]) -> dict[str, Any]:
    """In the order's currency; as it was sent where it cannot be valued in that."""
    amount = refunded(transaction, order)
    if amount is None:
        return {"total": transaction.get("amount"), "currency": transaction.get("currency")}
    return {"total": format(amount, "f"), "currency": order.get("currency")}

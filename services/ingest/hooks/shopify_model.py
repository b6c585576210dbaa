"""What every Shopify topic has in common: the call around it, whose it is, its lines. Pure."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from typing import Any

from msgspec import Struct

from services.ingest.hooks.body import instant, money, part, parts, present, text
from services.ingest.hooks.event import context, message_id
from services.ingest.hooks.model import Delivery

KIND = "shopify"
_WITHIN = timedelta(milliseconds=999)


class ShopifyOptions(Struct, frozen=True, forbid_unknown_fields=True):
    """``Source.options`` of a Shopify source."""

    shop_domain: str | None = None
    """``<name>.myshopify.com``; when given, no other shop's deliveries are taken."""
    anonymous_id_attribute: str = "anonymousId"
    """The cart attribute in which the storefront leaves its visitor's anonymous id."""
    test_orders: bool = False
    """Whether orders of Shopify's test gateways count."""


class Call(Struct, frozen=True):
    """What the headers of a delivery say, and the source's options."""

    topic: str
    webhook_id: str
    """The same for every repetition."""
    at: datetime
    """When it was triggered."""
    options: ShopifyOptions

    @classmethod
    def of(cls, delivery: Delivery, topic: str, options: ShopifyOptions) -> "Call":
        """The call of a delivery; one without an id has its body's digest for one."""
        headers = delivery.headers
        return cls(
            topic=topic,
            webhook_id=headers.get("x-shopify-webhook-id", "").strip()
            or f"{topic}:{sha256(delivery.body).hexdigest()[:32]}",
            at=instant(headers.get("x-shopify-triggered-at")) or delivery.received_at,
            options=options,
        )

    def id(self, *more: Any) -> str:
        """The messageId of this delivery's event, or with ``more`` of one of several."""
        return message_id(KIND, self.webhook_id, *more)

    def within(self, second: datetime | None) -> datetime:
        """A time that Shopify cuts to the second, with this delivery's place within it.

        Versions of one second would otherwise have no order. Never more than the second.
        """
        if second is None:
            return self.at
        return second + min(max(self.at - second, timedelta()), _WITHIN)


def order_name(order_id: str | None) -> tuple[str, str | None]:
    """The order among the external ids of its events: so a refund, which names it alone, finds
    whose it is."""
    return "shopify_order_id", order_id


def person(
    said: Mapping[str, Any], call: Call, *external: tuple[str, str | None]
) -> dict[str, Any]:
    """``userId``, ``anonymousId`` and ``context`` of whom an order or checkout is.

    A customer's own words win over the order's, which keep the address of their day.
    ``external`` are (type, id) of further names.
    """
    customer = part(said, "customer")
    customer_id = text(customer.get("id"))
    addresses = (part(said, "billing_address"), part(said, "shipping_address"))

    def known(name: str) -> str | None:
        places = (customer, said, *addresses)
        return next((found for place in places if (found := text(place.get(name)))), None)

    traits = present(
        {
            "email": text(customer.get("email"))
            or text(said.get("email"))
            or text(said.get("contact_email")),
            "firstName": known("first_name"),
            "lastName": known("last_name"),
            "phone": known("phone"),
        }
    )
    return present(
        {
            "userId": customer_id,
            "anonymousId": visitor(said, call),
            "context": context(KIND, traits, [("shopify_customer_id", customer_id), *external]),
        }
    )


def visitor(said: Mapping[str, Any], call: Call) -> str | None:
    """The storefront's anonymous id, where it was left in the cart's attributes."""
    wanted = call.options.anonymous_id_attribute
    for note in parts(said, "note_attributes"):
        if note.get("name") == wanted:
            return text(note.get("value"))
    return text(part(said, "attributes").get(wanted))


def products(said: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The lines of an order, checkout or cart; prices are those of one piece."""
    return [
        present(
            {
                "product_id": text(line.get("product_id")) or text(line.get("variant_id")),
                "sku": text(line.get("sku")),
                "name": text(line.get("title")) or text(line.get("name")),
                "variant": text(line.get("variant_title")),
                "brand": text(line.get("vendor")),
                "price": line.get("price"),
                "quantity": line.get("quantity"),
            }
        )
        for line in parts(said, "line_items")
    ]


def shop_money(said: Mapping[str, Any], name: str) -> Decimal | None:
    """The amount of a ``..._set`` in the shop's own currency."""
    return money(part(part(said, name), "shop_money").get("amount"))


def plain(amount: Decimal | None) -> str | None:
    """An amount as events carry it: a text, exact."""
    return None if amount is None else format(amount, "f")

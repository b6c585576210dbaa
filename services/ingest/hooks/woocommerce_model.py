"""What every WooCommerce topic has in common: the call around it, ids, and whose it is. Pure.

A shop counts its orders and customers from 1, so that ids are told apart by the source, and
where two shops share their people, by a prefix.
"""

from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any

from msgspec import Struct

from services.ingest.hooks.body import instant, part, parts, present, text
from services.ingest.hooks.event import context, message_id
from services.ingest.hooks.model import Delivery

KIND = "woocommerce"


class WooCommerceOptions(Struct, frozen=True, forbid_unknown_fields=True):
    """``Source.options`` of a WooCommerce source."""

    shop_url: str | None = None
    """``https://shop.example``; when given, no other shop's deliveries are taken."""
    id_prefix: str = ""
    """Put before customer and order ids, where two shops have the same ones."""
    anonymous_id_meta: str = "anonymousId"
    """The order's meta field in which the storefront leaves its visitor's anonymous id."""
    placed: tuple[str, ...] = ("on-hold", "processing", "completed", "refunded")
    """The states in which an order counts as placed; add a plugin's own here."""


class Call(Struct, frozen=True):
    """The delivery around a payload."""

    source: str
    digest: str
    """Of the body: the same for the same words, whenever they are sent."""
    at: datetime
    options: WooCommerceOptions

    @classmethod
    def of(cls, delivery: Delivery, options: WooCommerceOptions) -> "Call":
        digest = sha256(delivery.body).hexdigest()[:20]
        return cls(delivery.source, digest, delivery.received_at, options)

    def id(self, *more: Any) -> str:
        """A messageId of this source's shop."""
        return message_id(KIND, self.source, *more)

    def local(self, value: Any) -> str | None:
        """A customer's or order's id as it is unique to us; 0 is nobody's."""
        number = text(value)
        return None if number in (None, "0") else f"{self.options.id_prefix}{number}"


def gmt(said: Mapping[str, Any], name: str) -> datetime | None:
    """A time of a payload: ``<name>_gmt`` carries no offset and is UTC."""
    return instant(said.get(f"{name}_gmt"))


def person(order: Mapping[str, Any], call: Call) -> dict[str, Any]:
    """``userId``, ``anonymousId`` and ``context`` of whom an order is; guests by their mail.

    The order is named besides: so it is known when another customer is written on it.
    """
    billing = part(order, "billing")
    customer_id = call.local(order.get("customer_id"))
    traits = present(
        {
            "email": text(billing.get("email")),
            "firstName": text(billing.get("first_name")),
            "lastName": text(billing.get("last_name")),
            "phone": text(billing.get("phone")),
        }
    )
    external = [("woocommerce_customer_id", customer_id), ("order", call.local(order.get("id")))]
    left = (
        text(meta.get("value"))
        for meta in parts(order, "meta_data")
        if meta.get("key") == call.options.anonymous_id_meta
    )
    return present(
        {
            "userId": customer_id,
            "anonymousId": next(left, None),
            "context": context(KIND, traits, external),
        }
    )

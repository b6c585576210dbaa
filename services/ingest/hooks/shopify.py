"""Shopify's webhooks: who signed them, and which topic becomes what. Pure.

Shopify.dev, "About webhooks": base64 of HMAC-SHA256 over the raw body in
``X-Shopify-Hmac-Sha256``; deliveries repeat (``X-Shopify-Webhook-Id`` stays), come in any
order and up to a day late. The headers are signed by nobody, so that nothing is believed of
them that could do harm: privacy requests are known by their bodies too.
"""

from collections.abc import Callable, Mapping
from typing import Any

from schemas.validation import Fault
from services.ingest.hooks import (
    body,
    shopify_browsing,
    shopify_order,
    shopify_people,
    shopify_refund,
)
from services.ingest.hooks.model import Delivery, Options, Secrets, Translated, Verdict
from services.ingest.hooks.reading import faults, settled
from services.ingest.hooks.shopify_model import Call, ShopifyOptions
from services.ingest.hooks.signature import check

Body = Mapping[str, Any]

TOPICS: Mapping[str, Callable[[Body, Call], Translated | Fault]] = {
    "orders/create": shopify_order.created,
    "orders/updated": shopify_order.updated,
    "orders/paid": shopify_order.updated,
    "orders/fulfilled": shopify_order.updated,
    "orders/cancelled": shopify_order.cancelled,
    "refunds/create": shopify_refund.created,
    "checkouts/create": shopify_browsing.checkout_started,
    "checkouts/update": shopify_browsing.checkout_updated,
    "carts/create": shopify_browsing.cart_created,
    "carts/update": shopify_browsing.cart_updated,
    "customers/create": shopify_people.changed,
    "customers/update": shopify_people.changed,
    "customers/delete": shopify_people.deleted,
    "customers_email_marketing_consent/update": shopify_people.email_consent,
    "customers_marketing_consent/update": shopify_people.sms_consent,
    "customers/data_request": shopify_people.data_request,
    "customers/redact": shopify_people.redact,
    "shop/redact": shopify_people.shop_redact,
}


class Shopify:
    """``services.ingest.hooks.model.Hook`` for Shopify."""

    kind = "shopify"
    secrets = ("app_secret",)
    methods = frozenset({"POST"})

    def check(self, options: Any) -> list[Fault]:
        """Every fault of a source's options."""
        return faults(options, ShopifyOptions)

    def verify(self, delivery: Delivery, secrets: Secrets, options: Options) -> Verdict:
        """Codes: bad_options, missing_secret, bad_signature, wrong_shop."""
        given = settled(options, ShopifyOptions)
        if isinstance(given, Fault):
            return given
        keys = [secret.encode() for secret in secrets("app_secret")]
        fault = check(keys, delivery.body, [delivery.headers.get("x-shopify-hmac-sha256", "")])
        if fault is not None:
            return fault
        wanted = given.shop_domain
        shop = delivery.headers.get("x-shopify-shop-domain", "")
        if wanted is not None and shop.strip().lower() != wanted.strip().lower():
            return Fault("wrong_shop", "This source is for another shop.")
        return None

    def translate(self, delivery: Delivery, options: Options) -> Translated | Fault:
        """What it says. Codes: bad_options, bad_privacy_request, those of ``body.read_object``."""
        given, payload = settled(options, ShopifyOptions), body.read_object(delivery.body)
        if isinstance(given, Fault):
            return given
        if isinstance(payload, Fault):
            return payload
        topic = delivery.headers.get("x-shopify-topic", "").strip().lower()
        translate = TOPICS.get(topic)
        if translate is None:
            detail = f"The topic {topic[:60] or '(none)'} says nothing that is needed here."
            return Translated(ignored=[Fault("topic_not_used", detail)])
        if delivery.headers.get("x-shopify-test", "").lower() == "true":
            return Translated(ignored=[Fault("test_delivery", "Sent to try the connection.")])
        return translate(payload, Call.of(delivery, topic, given))

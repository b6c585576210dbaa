"""WooCommerce's webhooks: who signed them, and which topic becomes what. Pure.

WooCommerce REST API docs, "Webhooks": base64 of HMAC-SHA256 over the raw body in
``X-WC-Webhook-Signature``. A delivery that fails is not sent again by itself, and its id
differs when somebody sends it by hand, so that events are known by what they say.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from schemas.validation import Fault
from services.ingest.hooks import body, woocommerce_order, woocommerce_people
from services.ingest.hooks.model import Delivery, Options, Reply, Secrets, Translated, Verdict
from services.ingest.hooks.reading import faults, settled
from services.ingest.hooks.signature import check
from services.ingest.hooks.woocommerce_model import Call, WooCommerceOptions

_PING = re.compile(rb"webhook_id=[0-9]{1,20}")

TOPICS: Mapping[str, Callable[[Mapping[str, Any], Call], Translated]] = {
    "order.created": woocommerce_order.changed,
    "order.updated": woocommerce_order.changed,
    "order.restored": woocommerce_order.changed,
    "order.deleted": woocommerce_order.deleted,
    "customer.created": woocommerce_people.changed,
    "customer.updated": woocommerce_people.changed,
    "customer.deleted": woocommerce_people.deleted,
}


class WooCommerce:
    """``services.ingest.hooks.model.Hook`` for WooCommerce."""

    kind = "woocommerce"
    secrets = ("webhook_secret",)
    methods = frozenset({"POST"})

    def check(self, options: Any) -> list[Fault]:
        """Every fault of a source's options."""
        return faults(options, WooCommerceOptions)

    def verify(self, delivery: Delivery, secrets: Secrets, options: Options) -> Verdict:
        """Codes: bad_options, missing_secret, bad_signature, wrong_shop.

        The ping that WooCommerce sends when a webhook is saved is not signed and says nothing
        but the webhook's number: it is answered, and that is all.
        """
        given = settled(options, WooCommerceOptions)
        if isinstance(given, Fault):
            return given
        sent = delivery.headers.get("x-wc-webhook-signature")
        if sent is None and _PING.fullmatch(delivery.body.strip()):
            return Reply(b"pong")
        keys = [secret.encode() for secret in secrets("webhook_secret")]
        fault = check(keys, delivery.body, [sent or ""])
        shop = delivery.headers.get("x-wc-webhook-source", "")
        if fault is None and given.shop_url and _host(shop) != _host(given.shop_url):
            return Fault("wrong_shop", "This source is for another shop.")
        return fault

    def translate(self, delivery: Delivery, options: Options) -> Translated | Fault:
        """What it says. Codes: bad_options, and those of ``body.read_object``."""
        given = settled(options, WooCommerceOptions)
        if isinstance(given, Fault):
            return given
        if _PING.fullmatch(delivery.body.strip()):
            return Translated(ignored=[Fault("ping", "Sent to try the connection.")])
        payload = body.read_object(delivery.body)
        if isinstance(payload, Fault):
            return payload
        topic = delivery.headers.get("x-wc-webhook-topic", "").strip().lower()
        translate = TOPICS.get(topic)
        if translate is None:
            detail = f"The topic {topic[:60] or '(none)'} says nothing that is needed here."
            return Translated(ignored=[Fault("topic_not_used", detail)])
        return translate(payload, Call.of(delivery, given))


def _host(url: str) -> str:
    """A shop's address without the parts in which people write it differently."""
    return url.strip().lower().partition("://")[2].rstrip("/").removeprefix("www.")

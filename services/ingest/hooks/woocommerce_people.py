"""WooCommerce's customers: who they are. It keeps no consent that could be told. Pure."""

from collections.abc import Mapping
from typing import Any

from services.ingest.hooks.body import part, present, text
from services.ingest.hooks.event import context, time_of
from services.ingest.hooks.model import Translated
from services.ingest.hooks.woocommerce_model import KIND, Call, gmt

Customer = Mapping[str, Any]


def changed(customer: Customer, call: Call) -> Translated:
    """customer.created and updated: an identify."""
    billing = part(customer, "billing")
    traits = present(
        {
            "email": text(customer.get("email")) or text(billing.get("email")),
            "firstName": text(customer.get("first_name")) or text(billing.get("first_name")),
            "lastName": text(customer.get("last_name")) or text(billing.get("last_name")),
            "username": text(customer.get("username")),
            "phone": text(billing.get("phone")),
            "createdAt": time_of(gmt(customer, "date_created")),
            "address": present(
                {
                    "street": text(billing.get("address_1")),
                    "city": text(billing.get("city")),
                    "state": text(billing.get("state")),
                    "postalCode": text(billing.get("postcode")),
                    "country": text(billing.get("country")),
                }
            ),
        }
    )
    at = gmt(customer, "date_modified") or gmt(customer, "date_created") or call.at
    event = _known(customer, call, call.digest) | {
        "type": "identify",
        "timestamp": time_of(at),
        "traits": traits,
    }
    return Translated(events=[event])


def deleted(customer: Customer, call: Call) -> Translated:
    """customer.deleted has the id alone: the shop forgot an account, nobody asked us to."""
    event = _known(customer, call, "deleted") | {
        "type": "track",
        "event": "Customer Deleted",
        "timestamp": time_of(call.at),
        "properties": {},
    }
    return Translated(events=[event])


def _known(customer: Customer, call: Call, mark: str) -> dict[str, Any]:
    customer_id = call.local(customer.get("id"))
    traits = present({"email": text(customer.get("email"))})
    return present(
        {
            "messageId": call.id("customer", customer_id or call.digest, mark),
            "userId": customer_id,
            "context": context(KIND, traits, [("woocommerce_customer_id", customer_id)]),
        }
    )

"""Shopify's carts and checkouts: what somebody was about to buy. Pure."""

from collections.abc import Mapping
from typing import Any

from schemas.validation import Fault
from services.ingest.hooks.body import instant, part, present, text
from services.ingest.hooks.event import context, message_id, named, time_of
from services.ingest.hooks.model import Translated
from services.ingest.hooks.shopify_amounts import amounts
from services.ingest.hooks.shopify_model import KIND, Call, person, products, visitor

_STEPS = (("email", "contact"), ("shipping_address", "address"), ("shipping_line", "shipping"))
"""What a checkout has by then, and the step that asked for it; the last one found counts."""


def checkout_started(said: Mapping[str, Any], call: Call) -> Translated:
    """checkouts/create: Checkout Started, once it is known who."""
    return _checkout(said, call, [])


def checkout_updated(said: Mapping[str, Any], call: Call) -> Translated:
    """checkouts/update: Checkout Step Completed; and Checkout Started, where nobody was known."""
    if said.get("completed_at"):
        detail = "The order that it became says the same, and for good."
        return Translated(ignored=[Fault("checkout_completed", detail)])
    done = [(number, step) for number, (name, step) in enumerate(_STEPS, 1) if said.get(name)]
    number, step = done[-1] if done else (0, "cart")
    event = {
        "event": "Checkout Step Completed",
        "messageId": call.id(),
        "timestamp": time_of(call.within(instant(said.get("updated_at")))),
        "properties": {"step": number, "step_name": step},
    }
    return _checkout(said, call, [event])


def _checkout(said: Mapping[str, Any], call: Call, more: list[dict[str, Any]]) -> Translated:
    who = person(said, call)
    token = text(said.get("token")) or text(said.get("id"))
    if not named(who):
        return Translated(
            ignored=[Fault("nobody_yet", "The checkout does not say yet whose it is.")]
        )
    started: dict[str, Any] = {
        "event": "Checkout Started",
        "messageId": message_id(KIND, "checkout", token) if token else call.id("started"),
        "timestamp": time_of(instant(said.get("created_at")) or call.at),
        "properties": {},
    }
    content = present(
        {
            "checkout_id": token,
            "cart_id": text(said.get("cart_token")),
            "url": text(said.get("abandoned_checkout_url")),
            **amounts(said),
            "currency": said.get("currency"),
            "products": products(said),
        }
    )
    events = [
        {"type": "track", **event, **who, "properties": {**event["properties"], **content}}
        for event in (started, *more)
    ]
    return Translated(events=events)


def cart_created(said: Mapping[str, Any], call: Call) -> Translated:
    """carts/create: Product Added for each line with which the cart begins."""
    token = text(said.get("token")) or text(said.get("id"))
    events = [
        _cart_event("Product Added", call.id(number), said, call)
        | {"properties": {"cart_id": token, **line}}
        for number, line in enumerate(products(said))
    ]
    return Translated(events=events)


def cart_updated(said: Mapping[str, Any], call: Call) -> Translated:
    """carts/update: Cart Viewed, with all that is in it now."""
    token = text(said.get("token")) or text(said.get("id"))
    event = _cart_event("Cart Viewed", call.id(), said, call)
    return Translated(
        events=[event | {"properties": {"cart_id": token, "products": products(said)}}]
    )


def _cart_event(name: str, id: str, said: Mapping[str, Any], call: Call) -> dict[str, Any]:
    token = text(said.get("token")) or text(said.get("id"))
    customer_id = text(part(said, "customer").get("id"))
    return present(
        {
            "type": "track",
            "event": name,
            "messageId": id,
            "timestamp": time_of(call.within(instant(said.get("updated_at")))),
            "userId": customer_id,
            "anonymousId": visitor(said, call) or (token and f"shopify-cart-{token}"),
            "context": context(KIND),
        }
    )

"""The catalogue of event names, and where an event goes: its topic and its key.

Names are Segment's (spec: e-commerce v2, email, live chat, mobile) and our own ``Cart
Updated``, ``Subscribed`` and ``Consent Updated``. Every other name is a custom event, which is
as welcome; the catalogue only settles spelling and topic. Ingest routes by it, resolve checks
by it.
"""

from hashlib import sha256
from typing import Any

from schemas.messages import Event

ORDER_COMPLETED = "Order Completed"
ORDER_UPDATED = "Order Updated"
ORDER_REFUNDED = "Order Refunded"
ORDER_CANCELLED = "Order Cancelled"
CONSENT_UPDATED = "Consent Updated"

ORDER_EVENTS = frozenset({ORDER_COMPLETED, ORDER_UPDATED, ORDER_REFUNDED, ORDER_CANCELLED})
EMAIL_EVENTS = frozenset(
    {
        "Email Delivered",
        "Email Opened",
        "Email Link Clicked",
        "Email Bounced",
        "Email Marked as Spam",
        "Subscribed",
        "Unsubscribed",
    }
)
CHAT_EVENTS = frozenset(
    {
        "Live Chat Conversation Started",
        "Live Chat Conversation Ended",
        "Live Chat Message Sent",
        "Live Chat Message Received",
    }
)
CONSENT_EVENTS = frozenset({CONSENT_UPDATED})
BROWSING_EVENTS = frozenset(
    {
        "Products Searched",
        "Product List Viewed",
        "Product List Filtered",
        "Promotion Viewed",
        "Promotion Clicked",
        "Product Clicked",
        "Product Viewed",
        "Product Added",
        "Product Removed",
        "Cart Viewed",
        "Cart Updated",
        "Checkout Started",
        "Checkout Step Viewed",
        "Checkout Step Completed",
        "Payment Info Entered",
        "Coupon Entered",
        "Coupon Applied",
        "Coupon Denied",
        "Coupon Removed",
        "Product Added to Wishlist",
        "Product Removed from Wishlist",
        "Wishlist Product Added to Cart",
        "Product Shared",
        "Cart Shared",
        "Product Reviewed",
        "Application Installed",
        "Application Opened",
        "Application Updated",
        "Application Backgrounded",
        "Application Crashed",
        "Application Uninstalled",
        "Install Attributed",
        "Deep Link Opened",
        "Deep Link Clicked",
        "Push Notification Received",
        "Push Notification Tapped",
        "Push Notification Bounced",
    }
)
ORDER_IDS = frozenset({"order", "shopify_order_id"})
"""Types of ``context.externalIds`` that name an order, in lower case."""
NAMES = ORDER_EVENTS | EMAIL_EVENTS | CHAT_EVENTS | CONSENT_EVENTS | BROWSING_EVENTS

_BY_FOLDED = {name.lower(): name for name in NAMES}
_TOPICS = (
    dict.fromkeys(ORDER_EVENTS, "events.orders")
    | dict.fromkeys(EMAIL_EVENTS, "events.emails")
    | dict.fromkeys(CHAT_EVENTS, "events.chats")
    | dict.fromkeys(CONSENT_EVENTS, "events.people")
    | dict.fromkeys(BROWSING_EVENTS, "events.clicks")
)
_PREFIXES = (
    ("live chat ", "events.chats"),
    ("social ", "events.chats"),
    ("email ", "events.emails"),
)
_PEOPLE = frozenset({"identify", "alias", "group"})


def canonical(name: str) -> str:
    """``name`` trimmed, and in the catalogue's spelling where only letter case differs."""
    name = name.strip()
    if name in _TOPICS:
        return name
    return _BY_FOLDED.get(name.lower(), name)


def topic_of(type: str, event: str | None) -> str:
    """The topic of ``schemas.topics`` for a call ``type`` and a canonical track name."""
    if type in _PEOPLE:
        return "events.people"
    if type != "track" or event is None:
        return "events.clicks"
    topic = _TOPICS.get(event)
    if topic is None:
        folded = event.lower()
        topic = next((to for start, to in _PREFIXES if folded.startswith(start)), "events.clicks")
    return topic


def email_of(event: Event) -> str | None:
    """The address that an event gives for its person, as sent; None without one.

    ``traits.email`` of an identify call, ``context.traits.email`` of any, and
    ``properties.email`` of an order. A group's traits are the group's.
    """
    places: list[Any] = [event.context.get("traits")]
    if event.type == "identify":
        places.insert(0, event.traits)
    elif event.event in ORDER_EVENTS:
        places.append(event.properties)
    for place in places:
        address = place.get("email") if isinstance(place, dict) else None
        if isinstance(address, str) and "@" in address:
            return address
    return None


def key_of(event: Event) -> str | None:
    """The record key, which keeps a sender's events in order; None when nobody is named.

    anonymousId, else userId, else SHA-256 (hex) of the trimmed, lower-case email address; of a
    refund, else the order that ``context.externalIds`` names: whose it is, others tell.
    """
    if event.anonymous_id:
        return event.anonymous_id
    if event.user_id:
        return event.user_id
    email = email_of(event)
    if email:
        return sha256(email.strip().lower().encode()).hexdigest()
    return _order_of(event) if event.event == ORDER_REFUNDED else None


def _order_of(event: Event) -> str | None:
    said = event.context.get("externalIds")
    for one in said if isinstance(said, list) else ():
        if isinstance(one, dict) and str(one.get("type")).strip().lower() in ORDER_IDS:
            order_id = one.get("id")
            if isinstance(order_id, str | int) and str(order_id).strip():
                return f"order:{str(order_id).strip()}"
    return None

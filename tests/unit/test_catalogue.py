"""Where an event goes, and under which key."""

from datetime import UTC, datetime
from typing import Any

import pytest

from schemas.catalogue import NAMES, canonical, key_of, topic_of
from schemas.messages import Event
from schemas.topics import BY_NAME

AT = datetime(2026, 3, 14, tzinfo=UTC)


def event(**fields: Any) -> Event:
    return Event(
        **({"message_id": "m", "type": "track", "timestamp": AT, "received_at": AT} | fields)
    )


@pytest.mark.parametrize(
    ("call", "name", "topic"),
    [
        ("identify", None, "events.people"),
        ("alias", None, "events.people"),
        ("group", None, "events.people"),
        ("track", "Consent Updated", "events.people"),
        ("track", "Order Refunded", "events.orders"),
        ("track", "Live Chat Message Sent", "events.chats"),
        ("track", "Live Chat Rated", "events.chats"),
        ("track", "Unsubscribed", "events.emails"),
        ("track", "email forwarded", "events.emails"),
        ("track", "Product Viewed", "events.clicks"),
        ("track", "Loyalty Card Scanned", "events.clicks"),
        ("page", None, "events.clicks"),
        ("screen", None, "events.clicks"),
    ],
)
def test_every_event_has_its_topic(call: str, name: str | None, topic: str) -> None:
    assert topic_of(call, name) == topic


def test_every_known_name_is_found_however_it_is_written() -> None:
    for name in NAMES:
        assert canonical(f" {name.upper()}\t") == name
        assert topic_of("track", name) in BY_NAME


def test_the_key_is_the_anonymous_id_else_the_user_id_else_the_hashed_address() -> None:
    traits = {"email": " Ada@Shop.example"}
    hashed = key_of(event(type="identify", traits=traits))
    assert hashed == key_of(event(type="identify", traits={"email": "ada@shop.example"}))
    assert hashed is not None
    assert len(hashed) == 64
    assert key_of(event(type="identify", traits=traits, user_id="u")) == "u"
    assert key_of(event(user_id="u", anonymous_id="a")) == "a"
    assert key_of(event(type="group", group_id="g", traits=traits)) is None
    assert key_of(event(context={"traits": traits})) == hashed


def test_the_key_of_a_refund_without_a_name_is_its_order() -> None:
    def refund(*ids: Any, **fields: Any) -> str | None:
        return key_of(event(event="Order Refunded", context={"externalIds": [*ids]}, **fields))

    order = {"type": "Shopify_Order_Id", "id": " 5510001 "}
    assert refund(order) == refund({"type": "order", "id": 5510001}) == "order:5510001"
    assert refund(order, user_id="u") == "u"
    assert refund({"type": "x", "id": "1"}, "order", {"type": "order", "id": " "}) is None
    assert key_of(event(event="Order Completed", context={"externalIds": [order]})) is None
    assert key_of(event(event="Order Refunded", context={"externalIds": 7})) is None

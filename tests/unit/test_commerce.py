"""Carts, wishlists, subscriptions and conversations: each one thing, by event time."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from schemas.messages import Interaction, OrderLine, Profile, Subscription, Wished, Wishlist
from services.profile.build.model import State
from services.profile.build.rules.computed import Traits
from services.profile.build.rules.consent import Policy
from services.profile.build.rules.fold import fold
from services.profile.build.rules.view import profile_of
from services.profile.commerce.rules import carts, wishlists
from tests.people import at, did, ordered

NONE = Traits({})
TEA = {"product_id": "tea", "name": "Tea", "price": "2.50"}
POT = {"product_id": "pot", "price": 20}


def said(event: str, seconds: float, /, **properties: Any) -> Interaction:
    return did(event, seconds, properties=properties)


def profile(*interactions: Interaction) -> Profile:
    state = State()
    for interaction in interactions:
        fold(state, interaction, NONE, set())
    return profile_of("p1", state, NONE, Policy())


def changed(interaction: Interaction) -> set[str]:
    touched: set[str] = set()
    fold(State(), interaction, NONE, touched)
    return touched & {"carts", "wishlists", "subscriptions", "conversations"}


def contents(*interactions: Interaction) -> dict[str, dict[str, int]]:
    return {
        cart.cart_id: {line.product_id: line.quantity for line in cart.products}
        for cart in profile(*interactions).carts
    }


# Carts


def test_a_cart_is_what_was_put_in_less_what_was_taken_out():
    [cart] = profile(
        said("Product Removed", 4, **TEA, quantity=1),
        said("Product Added", 1, **TEA, quantity=3, currency="eur"),
        said("Product Added", 2, **POT),
        said("Wishlist Product Added to Cart", 3, **TEA),
    ).carts
    assert (cart.items, cart.value, cart.currency) == (4, Decimal("27.50"), "EUR")
    assert cart.products == [
        OrderLine(product_id="tea", name="Tea", price=Decimal("2.50"), quantity=3),
        OrderLine(product_id="pot", price=Decimal("20.00"), quantity=1),
    ]
    assert (cart.updated_at, cart.checkout_at, cart.capped) == (at(4), None, False)


def test_a_removal_without_a_quantity_takes_the_line_and_an_empty_cart_is_none():
    taken = (said("Product Added", 1, **TEA, quantity=3), said("Product Removed", 2, **TEA))
    assert contents(*taken) == {}
    assert contents(*taken, said("Product Added", 3, **TEA)) == {"": {"tea": 1}}


def test_a_view_with_products_is_all_that_is_in_the_cart():
    view = said("Cart Viewed", 5, cart_id="c", products=[POT], value=18, currency="USD")
    late = said("Product Added", 4, cart_id="c", **TEA)
    after = said("Product Added", 6, cart_id="c", **TEA, quantity=2)
    assert contents(view, late) == contents(late, view) == {"c": {"pot": 1}}
    assert contents(view, late, after) == {"c": {"pot": 1, "tea": 2}}
    assert [cart.value for cart in profile(view, late).carts] == [Decimal("18.00")]
    assert [cart.value for cart in profile(view, late, after).carts] == [Decimal("25.00")]
    assert contents(view, late, after, said("Cart Updated", 7, cart_id="c", products=[])) == {}


def test_a_view_without_products_only_shows_that_the_cart_is_thought_of():
    [cart] = profile(said("Product Added", 1, **TEA), said("Cart Viewed", 9)).carts
    assert (cart.updated_at, cart.items) == (at(9), 1)
    assert changed(said("Cart Viewed", 9)) == set()


def test_a_checkout_says_where_it_can_be_gone_on_with():
    [cart] = profile(
        said("Checkout Started", 2, checkout_id="k", url="https://x.io/k", products=[TEA]),
        said("Checkout Step Viewed", 3, checkout_id="k", step=2),
    ).carts
    assert (cart.checkout_at, cart.checkout_id, cart.url) == (at(3), "k", "https://x.io/k")
    assert (cart.items, cart.value, cart.currency) == (1, Decimal("2.50"), "USD")


@pytest.mark.parametrize(
    ("order", "left"),
    [
        (ordered(5), {}),
        (ordered(5, cart_id="c1"), {"c2": {"pot": 1}}),
        (ordered(5, channel="store"), {"": {"tea": 1}, "c1": {"tea": 1}, "c2": {"pot": 1}}),
        (ordered(2, cart_id="c2"), {"c1": {"tea": 1}}),
        (ordered(5, name="Order Updated"), {"": {"tea": 1}, "c1": {"tea": 1}, "c2": {"pot": 1}}),
    ],
)
def test_what_was_in_a_cart_before_its_order_is_bought(order, left):
    filled = (
        said("Product Added", 1, **TEA),
        said("Product Added", 3, **TEA, cart_id="c1"),
        said("Product Added", 2, **POT, cart_id="c2"),
    )
    assert contents(order, *filled) == contents(*filled, order) == left
    assert contents(*filled, order, said("Product Added", 6, **POT))[""]["pot"] == 1


def test_prices_of_several_currencies_are_not_added():
    [cart] = profile(
        said("Product Added", 1, **TEA, currency="EUR"),
        said("Product Added", 2, **POT, currency="USD"),
    ).carts
    assert (cart.items, cart.value) == (2, None)


def test_a_cart_with_more_than_is_kept_says_so(monkeypatch):
    monkeypatch.setattr(carts, "MOST_ENTRIES", 3)
    many = [said("Product Added", n, product_id=f"p{n}") for n in range(5)]
    [cart] = profile(*many).carts
    assert ([line.product_id for line in cart.products], cart.capped) == (["p2", "p3", "p4"], True)
    [cart] = profile(*many, said("Cart Viewed", 3.5, products=[POT])).carts
    assert ([line.product_id for line in cart.products], cart.capped) == (["pot", "p4"], False)


def test_an_order_says_that_the_cart_may_have_changed():
    state, touched = State(), set[str]()
    fold(state, said("Product Added", 1, **TEA), NONE, set())
    fold(state, ordered(2), NONE, touched)
    assert {"orders", "carts"} <= touched


# Wishlists


def test_a_wish_stands_until_it_is_taken_off_by_event_time():
    wish = said("Product Added to Wishlist", 2, **TEA, wishlist_id="w", wishlist_name="Mine")
    off = said("Product Removed from Wishlist", 3, product_id="tea", wishlist_id="w")
    other = said("Product Added to Wishlist", 1, sku="pot", wishlist_id="w", currency="EUR")
    tea = Wished(
        product_id="tea", added_at=at(2), name="Tea", price=Decimal("2.50"), currency="USD"
    )
    pot = Wished(product_id="pot", added_at=at(1), currency="EUR")
    mine = Wishlist(wishlist_id="w", name="Mine", updated_at=at(2), products=[pot, tea])
    assert profile(wish, other).wishlists == [mine]
    later = Wishlist(wishlist_id="w", updated_at=at(3), products=[pot])
    assert profile(off, other, wish).wishlists == [later]
    assert profile(wish, off).wishlists == []
    assert changed(said("Product Added to Wishlist", 1, name="a wish for nothing")) == set()


def test_the_latest_wishes_are_kept(monkeypatch):
    monkeypatch.setattr(wishlists, "MOST", 2)
    many = [said("Product Added to Wishlist", n, product_id=f"p{n}") for n in range(4)]
    [kept] = profile(*reversed(many)).wishlists
    assert [wished.product_id for wished in kept.products] == ["p2", "p3"]


# Subscriptions


@pytest.mark.parametrize("channel", [{}, {"channel": "email"}, {"channel": "Email"}])
def test_a_subscription_by_mail_is_published_alike_whether_it_says_so_or_not(channel):
    (one,) = profile(said("Subscribed", 1, list_id="7", **channel)).subscriptions
    assert "channel" not in msgspec.json.decode(msgspec.json.encode(one))


def test_a_subscription_is_the_last_word_on_its_list_and_no_consent():
    on = said("Subscribed", 1, list_id=7, list_name="News", channel="SMS")
    off = said("Unsubscribed", 2, list_id="7")
    known = Subscription(
        list_id="7", name="News", channel="sms", state="subscribed", at=at(1),
        message_id="Subscribed@1", source="shop",
    )  # fmt: skip
    person = profile(on)
    assert (person.subscriptions, person.consent) == ([known], {})
    for told in ((on, off), (off, on)):
        [left] = profile(*told).subscriptions
        assert (left.state, left.at) == ("unsubscribed", at(2))
        assert profile(*told).consent["email"].state == "withdrawn"
    assert changed(said("Unsubscribed", 2)) == set()


# Conversations

STARTED, ENDED = "Live Chat Conversation Started", "Live Chat Conversation Ended"
SENT, RECEIVED = "Live Chat Message Sent", "Live Chat Message Received"


def test_a_conversation_is_one_thing_whatever_order_its_events_come_in():
    told = (
        said(RECEIVED, 4, conversation_id=9, agent_id="a2", agent_name="Bo"),
        said(ENDED, 5, conversation_id="9", conversation_duration=4),
        said(SENT, 2, conversation_id="9"),
        said(STARTED, 1, conversation_id="9", channel="whatsapp"),
        said(RECEIVED, 3, conversation_id="9", agent_id="a1", agent_name="Al"),
    )
    [talk] = profile(*told).conversations
    assert [talk] == profile(*reversed(told)).conversations
    assert (talk.conversation_id, talk.source, talk.channel) == ("9", "shop", "whatsapp")
    assert (talk.status, talk.opened_at, talk.closed_at) == ("closed", at(1), at(5))
    assert (talk.messages_sent, talk.messages_received) == (1, 2)
    assert (talk.last_message_at, talk.updated_at) == (at(4), at(5))
    assert (talk.agent_id, talk.agent_name) == ("a2", "Bo")


@pytest.mark.parametrize(
    ("name", "status"),
    [
        (SENT, "open"),
        (RECEIVED, "closed"),  # a farewell, or a question how it was
        ("Live Chat Conversation Reopened", "open"),
    ],
)
def test_a_word_of_the_person_opens_a_conversation_again(name, status):
    ended = said(ENDED, 5, conversation_id="9")
    [talk] = profile(said(name, 6, conversation_id="9"), ended).conversations
    assert (talk.status, talk.closed_at) == (status, at(5) if status == "closed" else None)


def test_conversations_are_told_apart_by_source_and_those_without_an_id_are_none():
    there = said(SENT, 2, conversation_id="9")
    there.source = "desk"
    talks = profile(said(SENT, 1, conversation_id="9"), there).conversations
    assert [(talk.source, talk.conversation_id) for talk in talks] == [("desk", "9"), ("shop", "9")]
    assert changed(said(SENT, 1)) == set()


# All of them


NAMES = ["cart_id", "product_id", "quantity", "price", "currency", "products", "list_id", "url",
         "conversation_id", "agent_name", "channel", "wishlist_id", "value", "name"]  # fmt: skip


@pytest.mark.parametrize("value", [{"a": 1}, [1], True, 1e300, "x" * 5_000, -5])
def test_wild_values_never_stop_the_fold_and_are_bounded(value):
    events = sorted(carts.EVENTS | wishlists.EVENTS | {"Subscribed", SENT})
    wild = dict.fromkeys(NAMES, value)
    lines = wild | {"products": [wild, 7, TEA]}
    person = profile(
        *(did(name, n, properties=wild) for n, name in enumerate(events)),
        *(did(name, n + 0.5, properties=lines) for n, name in enumerate(events)),
    )
    assert person.interactions == 2 * len(events)
    for cart in person.carts:
        assert len(cart.cart_id) <= 200
        assert len(cart.url) <= 1_000

"""Carts and the like depend on what happened, not on how it arrived; bounds do not either."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from schemas.messages import Interaction
from services.profile.build.model import State, encode_state
from services.profile.build.rules.computed import Traits
from services.profile.build.rules.consent import Policy
from services.profile.build.rules.fold import fold
from services.profile.build.rules.view import profile_of
from services.profile.commerce.rules import carts, subscriptions, wishlists
from tests.shopping import CART_EVENTS, SHOPPING, numbered
from tests.tried import tried

NONE = Traits({})


@contextmanager
def bounded(most: int) -> Iterator[None]:
    """Every bound, lowered to what a short history meets."""
    with (
        patch.object(carts, "MOST_ENTRIES", most),
        patch.object(wishlists, "MOST", most),
        patch.object(subscriptions, "MOST", most),
    ):
        yield


def state_of(said: list[Interaction]) -> State:
    state = State()
    for interaction in said:
        fold(state, interaction, NONE, set())
    return state


@tried(300)
@given(
    st.lists(SHOPPING, max_size=14).map(numbered),
    st.randoms(use_true_random=False),
    st.integers(1, 4),
)
def test_no_bound_on_what_is_kept_depends_on_the_order(history, random, most):
    with bounded(most):
        expected = encode_state(state_of(history))
        assert encode_state(state_of(random.sample(history, len(history)))) == expected


def replayed(history: list[Interaction], most: int) -> dict[str, dict[str, int]]:
    """What is in each cart, by going through the latest ``most`` cart events one by one."""
    told = sorted(history, key=lambda one: (one.at, one.interaction_id))
    about = [one for one in told if one.name != "Order Completed"][-most:]
    firsts: dict[str, Interaction] = {}
    causes: dict[str, set[str]] = {}
    for one in told:
        said = json.loads(bytes(one.event))["properties"]
        if one.name == "Order Completed":
            firsts.setdefault(said["order_id"], one)
            if said["channel"] != "store":
                causes.setdefault(said["order_id"], set()).add(said["cart_id"] or "")
    ends = {(firsts[order].at, max(made_of)) for order, made_of in causes.items()}
    inside: dict[str, dict[str, int]] = {}
    for one in about:
        said = json.loads(bytes(one.event))["properties"]
        cart = said.get("cart_id") or ""
        if any(end >= one.at and made_of in ("", cart) for end, made_of in ends) or (
            cart == "" and any(end >= one.at for end, _ in ends)
        ):
            continue
        lines = inside.setdefault(cart, {})
        product, quantity = said.get("product_id"), said.get("quantity")
        if "products" in said:
            lines.clear()
            lines |= {line["product_id"]: line["quantity"] or 1 for line in said["products"]}
        elif product and "Removed" not in one.name:
            lines[product] = lines.get(product, 0) + (quantity or 1)
        elif product and lines.get(product, 0) > (quantity or 1_000):
            lines[product] -= quantity
        elif product:
            lines.pop(product, None)
    return {cart: lines for cart, lines in inside.items() if lines}


@tried(500)
@given(
    st.lists(CART_EVENTS, max_size=14).map(numbered),
    st.randoms(use_true_random=False),
    st.sampled_from([3, 100]),
)
def test_carts_hold_what_a_replay_in_the_order_of_events_puts_into_them(history, random, most):
    with bounded(most):
        state = state_of(random.sample(history, len(history)))
        shown = profile_of("p", state, NONE, Policy()).carts
    inside = {
        cart.cart_id: {one.product_id: one.quantity for one in cart.products} for cart in shown
    }
    assert inside == replayed(history, most)


@tried(300)
@given(st.lists(SHOPPING, max_size=14).map(numbered))
def test_whatever_changes_in_the_published_profile_is_named(history):
    state = State()
    parts = ("carts", "wishlists", "subscriptions", "conversations")
    with bounded(3):
        for interaction in history:
            before = profile_of("p", state, NONE, Policy())
            touched: set[str] = set()
            fold(state, interaction, NONE, touched)
            after = profile_of("p", state, NONE, Policy())
            changed = {name for name in parts if getattr(before, name) != getattr(after, name)}
            assert changed <= touched

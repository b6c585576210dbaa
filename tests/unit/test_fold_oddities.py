"""The fold where events are odd, and who said what: no word is lost, none is made up."""

import pytest
from msgspec import Raw

from schemas.messages import ComputedTrait, Interaction, PropertyCondition
from services.profile.build.model import State
from services.profile.build.rules.computed import Traits
from services.profile.build.rules.consent import standing
from services.profile.build.rules.fold import fold
from tests.people import at, confirmed, did, ordered

VIEWS = ComputedTrait(event="Product Viewed")
SHOES = ComputedTrait(
    event="Product Viewed", where=(PropertyCondition(property="kind", op="equals", value="shoes"),)
)
NO_KIND = ComputedTrait(
    event="Product Viewed", where=(PropertyCondition(property="kind", op="exists", value=False),)
)


def folded(*said: Interaction, **declared: ComputedTrait) -> State:
    state, traits = State(), Traits(declared)
    for interaction in said:
        fold(state, interaction, traits, set())
    return state


def counts(state: State) -> dict[str, int]:
    return {key: kept.count for key, kept in state.computed.items()}


def odd(**properties: object) -> Interaction:
    """A view of which the context is none."""
    return did("Product Viewed", 1, context=7, **properties)


def test_of_an_odd_event_what_can_be_read_is_counted() -> None:
    kind = {"properties": {"kind": "shoes"}}
    assert counts(folded(odd(**kind), shoes=SHOES, none=NO_KIND)) == {"shoes": 1}
    assert counts(folded(odd(properties=5), views=VIEWS)) == {"views": 1}
    assert counts(folded(odd(properties=5), none=NO_KIND)) == {}
    assert folded(odd(**kind), shoes=SHOES).flags == {"unreadable_body": 1}


@pytest.mark.parametrize(
    ("context", "flags"),
    [
        ({"traits": 5}, {"unreadable_body": 1}),
        ({"consent": {"categoryPreferences": ["email"]}}, {"unreadable_body": 1}),
        ({"consent": "yes"}, {}),
    ],
)
def test_traits_and_consent_of_another_shape_are_flagged_and_say_nothing(context, flags) -> None:
    state = folded(did("Signed Up", 1, context=context))
    assert (state.flags, state.traits, state.consent) == (flags, {}, {})


def test_only_identify_calls_have_traits_of_their_own() -> None:
    assert folded(did("Signed Up", 1, traits={"plan": "gold"})).traits == {}


def test_an_order_that_cannot_be_counted_is_flagged() -> None:
    assert folded(ordered(1, order_id=None)).flags == {"order_without_id": 1}


@pytest.mark.parametrize(
    "name",
    ["Email Delivered", "Email Bounced", "Push Notification Bounced", "Message Sent",
     "Message Delivered", "Message Bounced", "Message Converted"],
)  # fmt: skip
def test_what_only_happens_to_a_person_is_no_sign_of_life(name) -> None:
    state = folded(did(name, 5), did("Page Viewed", 1))
    assert (state.first_seen, state.last_seen) == (at(1), at(1))


def test_steps_of_our_messages_are_counted_as_computed_traits_too() -> None:
    clicks = ComputedTrait(event="Message Clicked")
    assert counts(folded(confirmed(1, at(0)), clicks=clicks)) == {"clicks": 1}
    broken = did("Message Clicked", 1, type="message")
    broken.event = Raw(b"[]")
    asks = ComputedTrait(event="Message Clicked", where=NO_KIND.where)
    state = folded(broken, asks=asks)
    assert (counts(state), state.flags) == ({}, {"unreadable_body": 2})


def test_only_a_click_confirms() -> None:
    opened = confirmed(2, at(1))
    opened.name = "Message Opened"
    assert folded(opened).consent == {}
    assert folded(confirmed(2, at(1))).consent["email"].confirmed is not None


@pytest.mark.parametrize(
    ("name", "history", "by"),
    [("Unsubscribed", False, "provider"), ("Unsubscribed", True, "import"),
     ("Message Unsubscribed", False, "person")],
)  # fmt: skip
def test_a_withdrawal_names_by_whom_it_was_said(name, history, by) -> None:
    said = confirmed(1, at(0)) if name.startswith("Message") else did(name, 1, history=history)
    said.name = name
    assert standing(folded(said), "email").by == by

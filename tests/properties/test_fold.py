"""Shuffle what happened, split it into any batches, replay it: the same state comes out."""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from schemas.messages import ComputedTrait, Interaction, PropertyCondition, TraitSources
from services.profile.build.kept import Kept, decode, encode
from services.profile.build.model import State, encode_state
from services.profile.build.rules import aggregates, consent, edits, hearing, windows
from services.profile.build.rules import habits as habit_rules
from services.profile.build.rules.computed import Traits
from services.profile.build.rules.fold import fold
from services.profile.consent import ledger
from services.profile.consent.model import parts_of
from services.profile.consent.rules import speaks
from tests.people import at, confirmed, did, ordered
from tests.shopping import SHOPPING, numbered
from tests.tried import tried

TRAITS = Traits(
    {
        "orders": ComputedTrait(event="Order Completed"),
        "spent": ComputedTrait(event="order completed", aggregate="sum", property="revenue"),
        "views": ComputedTrait(event="Product Viewed", window_seconds=4),
        "shoes": ComputedTrait(
            event="Product Viewed",
            window_seconds=9,
            aggregate="sum",
            property="price",
            where=(PropertyCondition(property="category", op="equals", value="shoes"),),
        ),
    }
    | {
        f"{aggregate}_{window}": ComputedTrait(
            event="Product Viewed", aggregate=aggregate, property=name, window_seconds=window
        )
        for aggregate, name in {
            "average": "price",
            "min": "price",
            "max": "price",
            "first": "tags",
            "last": "tags",
            "most_frequent": "tags",
            "unique_list": "tags",
            "unique_count": "tags",
        }.items()
        for window in (None, 3)
    },
    {"plan": TraitSources(sources=("till", "crm")), "*": TraitSources(sources=("crm",))},
)
TAGS = st.sampled_from(["a", " a ", "b", 1, 1.0, True, None, {}, ["c", "a", 2.5], "x" * 201])
ADDRESSES = ["ann@example.com", "bob@example.com", "cyd@example.com"]
PURPOSES = st.sampled_from(["marketing", "newsletter", "research"])
INSTANTS = st.integers(0, 12).map(lambda step: step / 2)
AMOUNTS = st.sampled_from([1, "2.50", 0.1, 59.970000000000006, "12,50", None, 3.005])
CURRENCIES = st.sampled_from(["USD", "eur", None, "nonsense"])
PREFERENCES = st.dictionaries(
    st.sampled_from(["email", "sms", "newsletter", "ads", "c1", "c2"]),
    st.sampled_from([True, True, False, "yes"]),
)


CONTEXTS = st.fixed_dictionaries(
    {},
    optional={
        "locale": st.sampled_from(["en", "de-DE", 7]),
        "timezone": st.sampled_from(["Asia/Kolkata", "UTC", "Nowhere"]),
        "device": st.sampled_from("abcd").map(lambda model: {"model": model}),
    },
)


@st.composite
def order_events(draw: st.DrawFn) -> Interaction:
    name = draw(st.sampled_from(["Completed", "Updated", "Refunded", "Cancelled"]))
    return ordered(
        draw(INSTANTS),
        name=f"Order {name}",
        order_id=draw(st.sampled_from(["o1", "o2", None])),
        revenue=draw(AMOUNTS),
        currency=draw(CURRENCIES),
        tax=draw(st.sampled_from([None, 0.2])),
        status=draw(st.sampled_from([None, "paid", "cancelled"])),
    )


ITEMS = st.sampled_from(["a", "b", 1.0, {"id": 1, "n": 2}, {"id": 2}])
MATCH = {"$identifier_key": "id", "$identifier_value": 1}
OPERATIONS = st.fixed_dictionaries(
    {},
    optional={
        "$add": st.lists(ITEMS, max_size=3),
        "$remove": st.lists(ITEMS | st.just(MATCH), max_size=2),
        "$update": st.sampled_from([{}, {"n": 3}, {"id": 2}]).map(
            lambda new: [MATCH | {"$new_object": new}]
        ),
        "$merge": st.dictionaries(
            st.sampled_from("xy"), st.sampled_from([None, 1, {"z": 2}, {"z": None}, {}])
        ),
    },
)


@st.composite
def identifies(draw: st.DrawFn) -> Interaction:
    names = st.sampled_from(["plan", "city", "tags"])
    traits = draw(st.dictionaries(names, st.sampled_from([None, "a", [1.0]]) | OPERATIONS))
    if draw(st.booleans()):
        traits["email"] = draw(st.sampled_from([*ADDRESSES, None]))
    pairs = draw(st.lists(st.sampled_from([("email", "e"), ("email", "d"), ("user_id", "u")])))
    said = did(
        "Identify",
        draw(INSTANTS),
        type="identify",
        traits=dict(reversed(traits.items())),
        context=draw(
            st.fixed_dictionaries(
                {},
                optional={
                    "consent": st.builds(dict, categoryPreferences=PREFERENCES),
                    "traits": st.dictionaries(names, OPERATIONS | st.just("b")),
                },
            )
        ),
        identifiers=tuple(pairs),
    )
    said.source = draw(st.sampled_from(["shop", "till", "crm"]))
    return said


@st.composite
def others(draw: st.DrawFn) -> Interaction:
    name = draw(
        st.sampled_from(["Product Viewed", "Unsubscribed", "Consent Updated", "Message Sent"])
    )
    properties = {
        "category": draw(st.sampled_from(["shoes", "hats"])),
        "price": draw(AMOUNTS),
        "currency": draw(CURRENCIES),
        "tags": draw(TAGS),
        "channel": "email",
        "granted": draw(st.booleans()),
    }
    return did(name, draw(INSTANTS), properties=properties, context=draw(CONTEXTS))


@st.composite
def habits(draw: st.DrawFn) -> Interaction:
    name = draw(st.sampled_from(["Product Viewed", "Email Opened", "Cart Viewed"]))
    properties = {
        "category": draw(st.sampled_from(["shoes", "hats", "tea", "mugs"])),
        "brand": draw(st.sampled_from(["a", "b", None])),
    }
    at = draw(st.integers(0, 30)) * 3_600
    history = draw(st.booleans())
    return did(name, at, properties=properties, context=draw(CONTEXTS), history=history)


@st.composite
def consents(draw: st.DrawFn) -> Interaction:
    if draw(st.booleans()):
        said = (draw(INSTANTS), at(draw(INSTANTS)), draw(PURPOSES))
        return confirmed(*said, address=draw(st.sampled_from(ADDRESSES)))
    state = draw(st.sampled_from(["granted", "granted", "pending", "denied", "withdrawn", "?"]))
    said = {"channel": draw(st.sampled_from(["email", None])), "state": state}
    said |= {"purpose": draw(PURPOSES)} if draw(st.booleans()) else {}
    told = did("Consent Updated", draw(INSTANTS), properties=said)
    told.source = draw(st.sampled_from(["shop", "till"]))
    return told


VIEWS = st.builds(
    lambda at, price, tags: did(
        "Product Viewed", at, properties={"category": "shoes", "price": price, "tags": tags}
    ),
    INSTANTS,
    AMOUNTS,
    TAGS,
)
EVENTS = order_events() | identifies() | others() | consents() | habits() | VIEWS | SHOPPING
HISTORIES = st.lists(EVENTS, max_size=25).map(numbered)


@contextmanager
def bounded(most: int) -> Iterator[None]:
    """Every bound of what is kept, lowered to what a short history meets."""
    with (
        patch.object(windows, "MAX_WINDOW", most),
        patch.object(aggregates, "MAX_ITEMS", most),
        patch.object(aggregates, "MAX_VALUES", most),
        patch.multiple(hearing, MOST_PURPOSES=most, MOST_ADDRESSES=most),
        patch.object(edits, "MOST_EDITS", most),
        patch.multiple(habit_rules, MOST_NAMES=most, MOST_DEVICES=most),
    ):
        yield


def state_of(said: list[Interaction]) -> State:
    state = State()
    for interaction in said:
        fold(state, interaction, TRAITS, set())
    return state


@tried(300)
@given(HISTORIES, st.randoms(use_true_random=False), st.integers(1, 6))
def test_any_order_and_any_batches_give_the_same_bytes(history, random, batch):
    expected = encode_state(state_of(history))
    shuffled = random.sample(history, len(history))
    kept = Kept()
    for start in range(0, len(shuffled), batch):
        kept = decode(encode(kept))  # as between two turns without a cache
        for interaction in shuffled[start : start + batch]:
            fold(kept.state, interaction, TRAITS, set())
    assert encode_state(kept.state) == expected


@tried(300)
@given(
    st.lists(VIEWS | habits() | identifies(), max_size=14).map(numbered),
    st.randoms(use_true_random=False),
    st.integers(1, 4),
)
def test_no_bound_depends_on_the_order_either(history, random, most):
    with bounded(most):
        expected = encode_state(state_of(history))
        assert encode_state(state_of(random.sample(history, len(history)))) == expected


@tried(300)
@given(HISTORIES, st.randoms(use_true_random=False), st.integers(1, 3))
def test_the_ledger_alone_tells_what_stands_and_never_permits_on_a_tie(history, random, most):
    with bounded(most):
        state = state_of(history)
        spoken = [said for said in history if speaks(said.name, bytes(said.event))]
        assert state_of(random.sample(spoken, len(spoken))).consent == state.consent
    told = [line for said in spoken for line in ledger.statements_of(said)]
    for key in state.consent:
        channel, purpose = parts_of(key)
        words = [one for one in told if (one.channel, one.purpose) == (channel, purpose)]
        confirms = any(one.state == "confirmed" for one in words)
        spoken_at = [one.at for one in words if one.state != "confirmed"]
        last = {one.state for one in words if one.at == max(spoken_at, default=None)}
        willing = last <= {"granted", "confirmed"} | ({"pending"} if confirms else set())
        assert not consent.permission(state, channel, purpose).allowed or willing

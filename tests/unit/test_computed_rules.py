"""Computed traits: conditions on properties, each aggregate's published value, and bounds."""

from typing import Any

import msgspec
import pytest
from msgspec import Raw

from schemas.messages import MAX_ITEMS, MAX_VALUES, ComputedTrait, Interaction, PropertyCondition
from services.profile.build.model import State, encode_state
from services.profile.build.rules.computed import Traits, digest_of
from services.profile.build.rules.conditions import Condition
from services.profile.build.rules.fold import fold
from tests.people import did


def computed(*said: Interaction, **definition: Any) -> Any:
    """The published value as JSON."""
    traits, state = Traits({"t": ComputedTrait(event="B", **definition)}), State()
    for interaction in said:
        fold(state, interaction, traits, set())
    return msgspec.json.decode(msgspec.json.encode(traits.values(state)["t"]))


def bought(second: float, **properties: Any) -> Interaction:
    return did("B", second, properties=properties)


@pytest.mark.parametrize(
    ("op", "value", "properties", "holds"),
    [
        ("in", ["shoes", 7], {"p": "shoes"}, True),
        ("in", ["shoes", 7], {"p": "7.0"}, True),
        ("in", ["shoes", 7], {"p": ["hats", 7]}, True),
        ("in", ["shoes", 7], {"p": "hats"}, False),
        ("in", [1], {"p": True}, False),
        ("in", [True], {"p": 1}, False),
        ("in", [True], {"p": True}, True),
        ("between", [10, 20], {"p": "10.00"}, True),
        ("between", [10, 20], {"p": 20}, True),
        ("between", [10, 20], {"p": 20.01}, False),
        ("between", [10, 20], {"p": "many"}, False),
        ("between", [10], {"p": 10}, False),
        ("between", "10", {"p": 10}, False),
        ("starts_with", "Sho", {"p": "shoes"}, True),
        ("starts_with", "hoe", {"p": "shoes"}, False),
        ("starts_with", "7", {"p": 7}, False),
        ("contains", "HOE", {"p": ["x", "shoes"]}, True),
        ("before", "2026-01-02", {"p": "2026-01-01T23:59:59Z"}, True),
        ("before", "2026-01-02", {"p": "2026-01-02"}, False),
        ("after", "2026-01-02T00:00:00+01:00", {"p": "2026-01-02"}, True),
        ("after", "2026-01-02", {"p": "yesterday"}, False),
        ("after", "yesterday", {"p": "2026-01-02"}, False),
        ("after", "2026-01-02", {"p": 1767312000}, False),
        ("not_equals", "shoes", {"p": ["hats", "shoes"]}, False),
        ("not_equals", "shoes", {}, True),
        ("equals", None, {"p": "x"}, False),
        ("gte", "much", {"p": 5}, False),
        ("exists", False, {"p": None}, True),
        ("exists", None, {"p": 0}, True),
    ],
)
def test_a_condition_compares_as_documented(op, value, properties, holds):
    condition = Condition.of(PropertyCondition(property="p", op=op, value=value))
    assert condition.holds(properties) is holds


@pytest.mark.parametrize(
    ("aggregate", "whole", "within"),
    [
        ("count", {"count": 0}, {"times": []}),
        ("sum", {"sums": {}}, {"times": [], "values": []}),
        ("average", {"amounts": {}}, {"times": [], "values": []}),
        ("min", {"amounts": {}}, {"times": [], "values": []}),
        ("max", {"amounts": {}}, {"times": [], "values": []}),
        ("first", {}, {"times": [], "items": []}),
        ("last", {}, {"times": [], "items": []}),
        ("most_frequent", {"count": 0}, {"times": [], "items": []}),
        ("unique_list", {"items": []}, {"times": [], "items": []}),
        ("unique_count", {"count": 0}, {"times": [], "items": []}),
    ],
)
def test_what_nothing_matched_is_empty_rather_than_missing(aggregate, whole, within):
    of = {} if aggregate == "count" else {"property": "p"}
    assert computed(aggregate=aggregate, **of) == whole
    other = did("Other", 1, properties={"p": 1})
    assert computed(other, aggregate=aggregate, window_seconds=9, **of) == within


ORDERS = (
    bought(3, total="10.00", brand="Ox", currency="USD"),
    bought(1, total=2.5, brand=["Elm", " Ox "], currency="usd"),
    bought(2, total="7", brand="Elm", currency="EUR"),
    bought(4, total="12,50", brand={"name": "Ox"}),
)


@pytest.mark.parametrize(
    ("aggregate", "name", "value"),
    [
        ("sum", "total", {"sums": {"USD": "12.50", "EUR": "7.00"}}),
        ("average", "total", {"amounts": {"USD": "6.25", "EUR": "7.00"}}),
        ("min", "total", {"amounts": {"USD": "2.50", "EUR": "7.00"}}),
        ("max", "total", {"amounts": {"USD": "10.00", "EUR": "7.00"}}),
        ("first", "brand", {"value": "Elm", "at": "2026-03-01T12:00:01Z"}),
        ("last", "brand", {"value": "Ox", "at": "2026-03-01T12:00:03Z"}),
        ("last", "total", {"value": "12,50", "at": "2026-03-01T12:00:04Z"}),
        ("most_frequent", "brand", {"value": "Elm", "count": 2}),
        ("unique_list", "brand", {"items": ["Ox", "Elm"]}),
        ("unique_count", "brand", {"count": 2}),
    ],
)
def test_an_aggregate_over_all_time(aggregate, name, value):
    assert computed(*ORDERS, aggregate=aggregate, property=name) == value


def test_an_average_of_several_values_in_one_event_counts_each():
    lines = bought(1, products=[{"price": 1}, {"price": "2"}, {"price": 2}])
    assert computed(lines, aggregate="average", property="products.price") == {
        "amounts": {"USD": "1.666667"}
    }


def test_a_window_keeps_values_with_their_times():
    value = computed(*ORDERS, aggregate="unique_list", property="brand", window_seconds=3)
    start = 1772366400_000
    assert value == {"times": [start + 2_000, start + 3_000], "items": ["Elm", "Ox"]}


def test_a_unique_count_is_exact_up_to_its_bound_and_an_estimate_beyond():
    views = [bought(1, id=f"v{number}", sku=f"sku-{number}") for number in range(3 * MAX_VALUES)]
    exact = computed(*views[:MAX_VALUES], aggregate="unique_count", property="sku")
    assert exact == {"count": MAX_VALUES}
    beyond = computed(*views, *views, aggregate="unique_count", property="sku")
    assert beyond["capped"] is True
    assert abs(beyond["count"] / (3 * MAX_VALUES) - 1) < 0.1  # three standard errors


def test_a_unique_list_keeps_the_latest_values_and_says_so():
    views = [bought(second, sku=second) for second in range(MAX_ITEMS + 2)]
    value = computed(*reversed(views), aggregate="unique_list", property="sku")
    assert value == {"items": list(range(MAX_ITEMS + 1, 1, -1)), "capped": True}


def test_whatever_is_aggregated_the_state_of_one_person_stays_small():
    traits = Traits(
        {
            aggregate: ComputedTrait(event="B", aggregate=aggregate, property="sku")
            for aggregate in ("most_frequent", "unique_list", "unique_count")
        }
    )
    state = State()
    for number in range(2_000):
        fold(state, bought(number, sku=f"{number:>0200}"), traits, set())
    assert len(encode_state(state)) < 1.1 * (200 * (MAX_VALUES + MAX_ITEMS) + 9 * MAX_VALUES)


def test_a_changed_value_is_told_and_an_unchanged_one_is_not():
    traits = Traits({"t": ComputedTrait(event="B", aggregate="max", property="n")})
    state = State()
    touched = [set(), set(), set()]
    for number, names in zip((2, 1, 3), touched, strict=True):
        fold(state, bought(number, n=number), traits, names)
    assert ["computed.t" in names for names in touched] == [True, False, True]


def test_a_property_of_the_wrong_shape_changes_nothing():
    odd = did("B", 1)
    odd.event = Raw(
        b'{"properties": {"n": [1, [2], {"n": 3}, null, 1e400, "NaN", 12345678901234]}}'
    )
    assert computed(odd, aggregate="max", property="n") == {"amounts": {"": "1.00"}}


def test_two_spellings_of_one_definition_are_one() -> None:
    def declared(event: str, *where: PropertyCondition) -> str:
        return digest_of(ComputedTrait(event=event, where=where))

    price = PropertyCondition(property="price", op="between", value=[10, 50])
    exact = PropertyCondition(property="price", op="between", value=[10.0, 50.0])
    brand = PropertyCondition(property="brand", op="in", value=["b", "a", "a"])
    sorted_ = PropertyCondition(property="brand", op="in", value=["a", "b"])
    there = PropertyCondition(property="sku", op="exists", value=True)
    said = PropertyCondition(property="sku", op="exists")
    one = declared("Cart Viewed", price, brand, there)
    assert one == declared(" cart viewed", said, sorted_, exact, price)
    others = [
        PropertyCondition(property="price", op="between", value=[50, 10]),
        PropertyCondition(property="price", op="between", value=[10.5, 50]),
        PropertyCondition(property="sku", op="exists", value=False),
        PropertyCondition(property="sku", op="equals", value=True),
        PropertyCondition(property="sku", op="equals", value="1"),
        PropertyCondition(property="sku", op="equals", value=1),
    ]
    assert len({one, *(declared("Cart Viewed", other) for other in others)}) == 7

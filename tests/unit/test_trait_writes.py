"""Traits: whom to believe, and operations on lists and maps."""

from typing import Any

import msgspec
import pytest

from schemas.messages import Interaction, TraitSources
from services.profile.build.kept import Kept
from services.profile.build.model import State
from services.profile.build.rules import edits as edit_rules
from services.profile.build.rules.before import Earlier, told
from services.profile.build.rules.computed import Traits
from services.profile.build.rules.consent import OPEN
from services.profile.build.rules.fold import fold
from services.profile.build.rules.view import differences, profile_of
from tests.people import did, identified

NONE = Traits({})


def folded(*said: Interaction, traits: Traits = NONE) -> State:
    state = State()
    for interaction in said:
        fold(state, interaction, traits, set())
    return state


def shown(*said: Interaction, traits: Traits = NONE) -> dict[str, Any]:
    """The published traits, from either order of arrival."""
    forward, backward = folded(*said, traits=traits), folded(*reversed(said), traits=traits)
    assert forward == backward
    encoded = msgspec.json.encode(profile_of("p1", forward, traits, OPEN))
    return msgspec.json.decode(encoded).get("traits", {})


def by(source: str, second: float, **traits: Any) -> Interaction:
    said = identified(second, **traits)
    said.source = source
    return said


# -- sources ------------------------------------------------------------------------------

CRM_FIRST = Traits({}, {"plan": TraitSources(sources=("crm", "shop"))})


def test_a_more_trusted_source_holds_however_old_it_is_and_the_latest_among_equals():
    crm, newer = by("crm", 1, plan="gold"), by("crm", 2, plan="silver")
    shop, till = by("shop", 8, plan="free"), by("till", 9, plan="none")
    assert shown(crm, newer, shop, till, traits=CRM_FIRST) == {"plan": "silver"}
    assert shown(shop, till, traits=CRM_FIRST) == {"plan": "free"}
    assert shown(till, by("web", 10, plan="x"), traits=CRM_FIRST) == {"plan": "x"}
    assert shown(crm, shop, till) == {"plan": "none"}


def test_an_unset_is_the_word_of_its_source_as_well():
    said = by("crm", 1, plan=None), by("shop", 8, plan="free")
    assert shown(*said, traits=CRM_FIRST) == {}


def test_a_star_is_for_every_trait_that_has_no_sources_of_its_own():
    declared = {
        "*": TraitSources(sources=("crm",)),
        "city": TraitSources(sources=("shop",)),
        "plan": TraitSources(),
    }
    traits = Traits({}, declared)
    crm = by("crm", 1, plan="gold", city="Rome", age=30)
    shop = by("shop", 2, plan="free", city="Bern", age=31)
    assert shown(crm, shop, traits=traits) == {"plan": "free", "city": "Bern", "age": 30}


def test_other_sources_are_another_fingerprint_and_the_same_ones_are_not():
    same = Traits({}, {"plan": TraitSources(sources=("crm", "shop"))})
    swapped = Traits({}, {"plan": TraitSources(sources=("shop", "crm"))})
    assert same.fingerprint == CRM_FIRST.fingerprint
    assert len({NONE.fingerprint, same.fingerprint, swapped.fingerprint}) == 3


def test_what_a_less_trusted_source_does_to_a_list_does_not_count():
    crm = by("crm", 1, plan=["a"])
    shop = by("shop", 2, plan={"$add": ["b"]})
    early = by("crm", 0, plan={"$add": ["c"]})
    late = by("crm", 3, plan={"$add": ["d"]})
    assert shown(crm, shop, early, late, traits=CRM_FIRST) == {"plan": ["a", "d"]}


PET = {"$identifier_key": "id", "$identifier_value": 1}


# -- lists --------------------------------------------------------------------------------


def test_items_are_added_once_and_removed_in_the_order_of_event_time():
    said = (
        identified(1, tags=["a", "b"]),
        identified(2, tags={"$add": ["c", "a"]}),
        identified(3, tags={"$remove": ["b"], "$add": "d"}),
        identified(4, tags={"$remove": "c"}),
    )
    assert shown(*said) == {"tags": ["a", "d"]}


def test_a_whole_write_ends_what_was_done_before_it_and_nothing_later():
    said = (
        identified(1, tags={"$add": ["before"]}),
        identified(2, tags=["whole"]),
        identified(3, tags={"$add": ["after"]}),
    )
    assert shown(*said) == {"tags": ["whole", "after"]}
    assert shown(*said, identified(4, tags=None)) == {}


def test_an_identifys_own_words_hold_over_what_its_context_does_to_the_same_trait():
    both = did("Identify", 1, type="identify", traits={"tags": ["whole"]},
               context={"traits": {"tags": {"$add": ["part"]}}})  # fmt: skip
    assert shown(both) == {"tags": ["whole"]}


def test_what_is_done_later_by_event_time_comes_on_top():
    assert shown(
        identified(1, tags={"$add": ["z"]}),
        identified(2, tags={"$add": ["b", "a"]}),
        identified(3, tags={"$update": [PET | {"$new_object": {"a": 1}}], "$add": {"id": 1}}),
    ) == {"tags": ["z", "b", "a", {"a": 1, "id": 1}]}
    key, below = {"$merge": {"fit": "slim"}}, {"$merge": {"fit": {"leg": "wide"}}}
    assert shown(identified(1, a=key), identified(2, a=below)) == {"a": {"fit": {"leg": "wide"}}}
    assert shown(identified(2, a=key), identified(1, a=below)) == {"a": {"fit": "slim"}}


def test_items_are_compared_by_what_they_say():
    box = {"b": 1, "a": [1.5]}
    said = (
        did("Identify", 1, type="identify", traits={"seen": [box, 1, "1", True, None]}),
        identified(2, seen={"$remove": [{"a": [1.5], "b": 1}, 1, True]}),
    )
    assert shown(*said) == {"seen": ["1", None]}


def test_objects_are_updated_and_removed_by_one_of_their_fields():
    pets = [{"id": 1, "name": "Rex"}, {"id": 2, "name": "Tom", "age": 3}, "fish", {"id": "1"}]
    update = {"$identifier_key": "id", "$identifier_value": 1}
    said = (
        identified(1, pets=pets),
        identified(2, pets={"$update": [update | {"$new_object": {"name": "Max", "age": 1}}]}),
        identified(3, pets={"$remove": [{"$identifier_key": "name", "$identifier_value": "Tom"}]}),
        identified(4, pets={"$update": [update | {"$new_object": {"age": 2}}]}),
    )
    assert shown(*said) == {"pets": [{"age": 2, "id": 1, "name": "Max"}, "fish", {"id": "1"}]}


def test_operations_on_what_is_no_list_begin_one_and_taking_from_nothing_sets_nothing():
    assert shown(identified(1, tags={"$add": "a"})) == {"tags": ["a"]}
    assert shown(identified(1, tags="x"), identified(2, tags={"$add": "a"})) == {"tags": ["a"]}
    assert shown(identified(1, tags={"$remove": "a"})) == {}
    assert shown(identified(1, tags=["a"]), identified(2, tags={"$remove": "a"})) == {"tags": []}


# -- maps ---------------------------------------------------------------------------------


def test_a_map_is_merged_key_by_key_and_null_takes_a_key_away():
    said = (
        identified(1, sizes={"shoe": 42, "shirt": "M", "fit": {"leg": "slim", "arm": "long"}}),
        identified(3, sizes={"$merge": {"shoe": 43, "fit": {"leg": None}}}),
        identified(2, sizes={"$merge": {"shoe": 41, "hat": 57, "fit": {"leg": "wide"}}}),
        identified(4, sizes={"$merge": {"shirt": None}}),
    )
    assert shown(*said) == {"sizes": {"shoe": 43, "hat": 57, "fit": {"arm": "long"}}}


def test_numbers_stay_as_they_were_sent():
    said = did("Identify", 1, type="identify")
    body = b'{"traits": {"at": {"$merge": {"lat": 50.9375310, "big": 12345678901234567890123}}}}'
    said.event = msgspec.Raw(body)
    encoded = msgspec.json.encode(profile_of("p1", folded(said), NONE, OPEN).traits["at"])
    assert encoded == b'{"big":12345678901234567890123,"lat":50.9375310}'


# -- what is not understood, bounds, what is told -----------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        {"$add": ["a"], "other": 1},
        {"$update": [{"id": 1}]},
        {"$update": [{"$identifier_key": 1, "$identifier_value": 1, "$new_object": {}}]},
        {"$update": [{"$identifier_key": "id", "$identifier_value": 1, "$new_object": []}]},
        {"$remove": [{"$identifier_key": "id"}]},
        {"$merge": ["a"]},
        {"$merge": {}},
        {"$add": []},
        {"$add": ["x" * 501]},
        {"$merge": {"x" * 501: 1}},
        {"$add": list(range(201))},
    ],
)
def test_an_operation_that_is_not_understood_changes_nothing_and_is_flagged(value):
    state = folded(identified(1, tags=["a"]), identified(2, id="odd", tags=value))
    assert state.flags == {"trait_operation_not_understood": 1}
    assert state.traits["tags"].edits is None


def test_a_map_with_a_dollar_elsewhere_is_a_value():
    price = {"currency": "$", "$set": 1, "note": "$add"}
    assert shown(identified(1, price=price)) == {"price": price}


def test_deeply_nested_values_break_nothing():
    said = did("Identify", 1, type="identify")
    deep = b"[" * 3_000 + b"]" * 3_000
    said.event = msgspec.Raw(b'{"traits": {"t": {"$add": [' + deep + b"]}}}")
    assert shown(said, identified(2, id="next", u=1))["u"] == 1


def test_of_too_many_edits_the_latest_stay_in_any_order(monkeypatch):
    monkeypatch.setattr(edit_rules, "MOST_EDITS", 3)
    said = [identified(n, tags={"$add": [9 - n]}) for n in range(6)]
    assert shown(*said) == {"tags": [6, 5, 4]}


def test_a_trait_is_told_as_changed_with_what_it_was_only_when_it_is_another():
    kept = Kept()
    fold(kept.state, identified(1, tags=["a"]), NONE, set())
    fold(kept.state, identified(2, tags={"$add": "b"}), NONE, set())
    earlier, touched = Earlier(kept), set[str]()
    fold(kept.state, identified(3, tags={"$add": "b"}), NONE, touched)
    assert "traits.tags" not in touched
    fold(kept.state, identified(4, tags={"$add": "c"}), NONE, touched)
    assert "traits.tags" in touched
    before = told(earlier, ["traits.tags"], OPEN, Traits({}))
    assert msgspec.json.encode(before) == b'{"traits.tags":["a","b"]}'


def test_a_rebuild_tells_lists_that_differ():
    old = folded(identified(1, tags={"$add": "a"}))
    new = folded(identified(1, tags={"$add": "b"}))
    assert differences(old, new, ()) == {"traits.tags"}

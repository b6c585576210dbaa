"""The fold of build: what one person's interactions make of them."""

import msgspec
import pytest

from schemas.messages import (
    ComputedTrait,
    ComputedValue,
    Interaction,
    MessageChanged,
    PropertyCondition,
)
from services.profile.build.model import State
from services.profile.build.rules.computed import Traits
from services.profile.build.rules.consent import OPEN, permission
from services.profile.build.rules.fold import fold
from services.profile.build.rules.view import profile_of, search_of
from tests.people import at, did, identified

NONE = Traits({})


def folded(*said: Interaction, traits: Traits = NONE) -> State:
    state = State()
    for interaction in said:
        fold(state, interaction, traits, set())
    return state


def seen(*said: Interaction, traits: Traits = NONE):
    """The published profile, as a reader decodes it."""
    encoded = msgspec.json.encode(profile_of("p1", folded(*said, traits=traits), traits, OPEN))
    return msgspec.json.decode(encoded)


def test_the_later_write_of_a_trait_wins_in_any_order_of_arrival():
    old, new = identified(1, plan="free", city="Rome"), identified(2, plan="gold")
    assert seen(old, new)["traits"] == seen(new, old)["traits"] == {"plan": "gold", "city": "Rome"}


def test_of_two_writes_at_the_same_instant_the_greater_message_id_wins():
    one, two = identified(1, id="m1", plan="free"), identified(1, id="m2", plan="gold")
    assert seen(one, two)["traits"] == seen(two, one)["traits"] == {"plan": "gold"}


def test_null_unsets_a_trait_and_a_late_older_value_does_not_bring_it_back():
    assert "traits" not in seen(identified(2, plan=None), identified(1, plan="free"))


def test_nested_trait_values_stay_as_the_sender_wrote_them():
    address = {"city": "Köln", "lines": ["a", {"b": None}], "lat": 50.9375310}
    assert seen(identified(1, address=address))["traits"]["address"] == address


def test_traits_come_from_the_context_of_any_event_but_not_from_a_group_call():
    viewed = did("Page Viewed", 1, type="page", context={"traits": {"plan": "gold"}})
    group = did("Group", 2, type="group", traits={"plan": "enterprise"})
    assert seen(viewed, group)["traits"] == {"plan": "gold"}


def test_an_identify_calls_own_traits_win_over_those_of_its_context():
    both = did(
        "Identify", 1, type="identify", traits={"plan": "gold"}, context={"traits": {"plan": "x"}}
    )
    assert seen(both)["traits"] == {"plan": "gold"}


def test_first_and_last_seen_go_by_event_time_and_counters_by_name():
    profile = seen(did("Product Viewed", 5), did("Product Viewed", 1), did("Cart Viewed", 3))
    assert profile["first_seen"] == "2026-03-01T12:00:01Z"
    assert profile["last_seen"] == "2026-03-01T12:00:05Z"
    assert profile["counters"] == {"Cart Viewed": 1, "Product Viewed": 2}
    assert profile["interactions"] == 3


def test_a_mail_that_we_send_is_no_sign_of_life():
    profile = seen(did("Cart Viewed", 1), did("Message Sent", 50, type="message"))
    assert profile["last_seen"] == "2026-03-01T12:00:01Z"
    assert profile["counters"]["Message Sent"] == 1


def test_identifiers_are_the_union_of_what_the_interactions_brought():
    profile = seen(
        did("A", 1, identifiers=(("email", "b@x.io"), ("anonymous_id", "z"))),
        did("B", 2, identifiers=(("email", "a@x.io"), ("email", "b@x.io"))),
    )
    assert profile["identifiers"] == [
        {"type": "anonymous_id", "value": "z"},
        {"type": "email", "value": "a@x.io"},
        {"type": "email", "value": "b@x.io"},
    ]


def test_the_names_of_what_changed_are_told():
    state, touched = State(), set()
    fold(state, identified(1, plan="gold"), NONE, touched)
    assert touched == {
        "counters.Identify", "first_seen", "last_seen", "identifiers.anonymous_id", "traits.plan",
        "preferred_hour",
    }  # fmt: skip
    touched.clear()
    fold(state, identified(2, plan="gold"), NONE, touched)
    assert touched == {"counters.Identify", "last_seen"}


def test_a_customer_is_found_by_email_user_id_and_name_in_lower_case():
    state = folded(
        did("A", identifiers=(("user_id", "U7"), ("email", "ann@x.io"))),
        identified(1, firstName="Ann", lastName="Lee"),
    )
    search = search_of(state)
    assert (search.email, search.user_id, search.name) == ("ann@x.io", "u7", "ann lee")


# -- consent ------------------------------------------------------------------------------


def consent(**preferences):
    return {"consent": {"categoryPreferences": preferences}}


def test_consent_is_read_from_the_preferences_in_any_events_context():
    said = did("Page Viewed", 1, context=consent(email_marketing=True, sms=False, ads=True))
    state = folded(said)
    assert {channel: word.state for channel, word in state.consent.items()} == {
        "email": "granted",
        "sms": "denied",
        "web/ads": "granted",
    }


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({"channel": "email", "state": "granted"}, "granted"),
        ({"channel": "Email", "granted": True}, "granted"),
        ({"channel": "email", "granted": False}, "withdrawn"),
        ({"category": "marketing-email", "state": "Withdrawn"}, "withdrawn"),
    ],
)
def test_consent_updated_says_what_holds_for_a_channel(properties, expected):
    state = folded(did("Consent Updated", 1, properties=properties))
    assert state.consent["email"].state == expected


@pytest.mark.parametrize(
    "properties", [{}, {"channel": "email"}, {"channel": "fax", "granted": True}]
)
def test_a_consent_update_that_cannot_be_understood_grants_nothing_and_is_flagged(properties):
    state = folded(did("Consent Updated", 1, properties=properties))
    assert not permission(state, "email").allowed
    assert state.flags == {"consent_not_understood": 1}


@pytest.mark.parametrize("name", ["Unsubscribed", "Email Marked as Spam"])
def test_an_unsubscribe_withdraws_and_an_older_grant_arriving_later_does_not_undo_it(name):
    state = folded(did(name, 5), did("Page Viewed", 4, context=consent(email=True)))
    assert state.consent["email"].state == "withdrawn"
    assert not permission(state, "email").allowed


def test_at_the_same_instant_a_withdrawal_wins_over_a_grant():
    grant = did("Page Viewed", 5, id="z", context=consent(email=True))
    assert folded(grant, did("Unsubscribed", 5, id="a")).consent["email"].state == "withdrawn"
    assert folded(did("Unsubscribed", 5, id="a"), grant).consent["email"].state == "withdrawn"


def test_a_later_grant_renews_consent():
    grant = {"channel": "email", "state": "granted"}
    state = folded(did("Unsubscribed", 5), did("Consent Updated", 6, properties=grant))
    answer = permission(state, "email")
    assert (answer.allowed, answer.reason, answer.since) == (True, "consent_granted", at(6))


def test_without_a_record_there_is_no_permission():
    assert permission(State(), "sms").reason == "no_consent_recorded"
    assert permission(None, "sms").reason == "unknown_profile"
    assert not permission(State(), "sms").allowed


def test_the_unsubscribe_link_of_our_own_mail_withdraws_consent_to_its_channel():
    step = MessageChanged(
        change_id="c1", message_id="m1", profile_id="p1", campaign="c", campaign_version=1,
        state="unsubscribed", at=at(9), channel="sms",
    )  # fmt: skip
    said = did("Message Unsubscribed", 9, type="message")
    said.event = msgspec.Raw(msgspec.json.encode(step))
    state = folded(did("Page Viewed", 1, context=consent(sms=True)), said)
    assert state.consent["sms"].state == "withdrawn"


# -- computed traits ----------------------------------------------------------------------

DAY = 86_400


def computed(*said: Interaction, **definition) -> ComputedValue:
    traits = Traits({"t": ComputedTrait(**definition)})
    return traits.values(folded(*said, traits=traits))["t"]


def ms(seconds: float) -> int:
    return int(at(seconds).timestamp() * 1000)


def test_a_trait_that_nothing_matched_is_zero_rather_than_missing():
    assert computed(event="X") == ComputedValue(count=0)
    assert computed(event="X", aggregate="sum", property="p") == ComputedValue(sums={})
    assert computed(event="X", window_seconds=9) == ComputedValue(times=[])
    assert computed(event="X", window_seconds=9, aggregate="sum", property="p") == ComputedValue(
        times=[], values=[]
    )


def test_a_count_matches_event_names_without_regard_to_case_and_space():
    said = (did("product viewed", 1), did("Product Viewed ", 2), did("Other", 3))
    assert computed(*said, event=" Product Viewed") == ComputedValue(count=2)


def test_conditions_on_properties_must_all_hold():
    where = (
        PropertyCondition(property="products.category", op="equals", value="shoes"),
        PropertyCondition(property="total", op="gte", value=50),
    )
    said = (
        did("B", 1, properties={"total": "50.00", "products": [{"category": "shoes"}]}),
        did("B", 2, properties={"total": 49.99, "products": [{"category": "shoes"}]}),
        did("B", 3, properties={"total": 80, "products": [{"category": "hats"}]}),
        did("B", 4, properties={"total": None}),
    )
    assert computed(*said, event="B", where=where) == ComputedValue(count=1)


def test_sums_of_money_are_kept_apart_by_currency_and_exact():
    said = (
        did("B", 1, properties={"revenue": 0.1, "currency": "eur"}),
        did("B", 2, properties={"revenue": 0.2, "currency": "EUR"}),
        did("B", 3, properties={"revenue": "7", "currency": "USD"}),
    )
    value = computed(*said, event="B", aggregate="sum", property="revenue")
    assert {code: str(amount) for code, amount in value.sums.items()} == {
        "EUR": "0.30",
        "USD": "7.00",
    }


def test_a_window_keeps_what_lies_within_it_before_the_latest_event():
    said = (did("V", 0), did("V", 9 * DAY), did("V", 5 * DAY), did("Other", 10 * DAY))
    value = computed(*said, event="V", window_seconds=7 * DAY)
    assert value == ComputedValue(times=[ms(5 * DAY), ms(9 * DAY)])


def test_an_entry_that_is_exactly_as_old_as_the_window_is_out():
    assert computed(did("V", 0), did("Other", 10), event="V", window_seconds=10).times == []


def test_a_windowed_sum_keeps_values_and_their_currencies_in_step():
    said = (
        did("B", 2, properties={"revenue": 5, "currency": "EUR"}),
        did("B", 1, properties={"revenue": 3}),
    )
    value = computed(*said, event="B", aggregate="sum", property="revenue", window_seconds=9)
    assert value.times == [ms(1), ms(2)]
    assert [str(amount) for amount in value.values] == ["3.00", "5.00"]
    assert value.currencies == ["USD", "EUR"]


def test_a_window_holds_at_most_a_thousand_entries_and_says_so_while_it_matters():
    views = [did("V", second) for second in range(1_001)]
    full = computed(*views, event="V", window_seconds=2_000)
    assert (len(full.times), full.times[0], full.capped) == (1_000, ms(1), True)
    later = computed(*views, did("Other", 2_000), event="V", window_seconds=2_000)
    assert (len(later.times), later.capped) == (1_000, False)


# -- bad input ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "event",
    [
        b'{"traits": 3, "context": {"traits": []}}',
        b'{"context": {"consent": {"categoryPreferences": "all"}}}',
        b'{"properties": {"x": 1e99999999999999999999}, "traits": {}}',
        b'{"traits": ',
    ],
)
def test_a_body_of_the_wrong_shape_is_counted_flagged_and_otherwise_left_alone(event):
    said = did("Order Completed", 1, type="identify" if b"traits" in event else "track")
    said.event = msgspec.Raw(event)
    state = folded(said)
    assert (state.interactions, state.traits, state.orders) == (1, {}, {})
    assert state.flags.get("unreadable_body", 1) == 1
    assert state.flags.keys() <= {"unreadable_body", "order_without_id"}


def test_a_trait_of_more_than_8000_bytes_is_left_out_and_flagged():
    state = folded(identified(1, bio="x" * 9_000, plan="gold"))
    assert list(state.traits) == ["plan"]
    assert state.flags == {"trait_too_long": 1}

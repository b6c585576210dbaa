"""resolve and build together: in whatever turns, crashes and detours, each profile is its history.

Messages and decisions of people come in any order, to two workers of resolve at once; traits
are declared and exchange rates told whenever. In the end every profile is, byte for byte, the
fold over what the oracle calls one person, every former id leads there, what was told last of
each is what is stored, and each change tells what the one before it said.
"""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from schemas.messages import Identifier, Interaction, Order, Profile
from services.profile.build.kept import decode
from services.profile.build.model import State, encode_state
from services.profile.build.rules.computed import Traits
from services.profile.build.rules.consent import OPEN, Policy
from services.profile.build.rules.fold import fold
from services.profile.build.rules.handing import receive
from services.profile.build.rules.orders import ORDER_EVENTS, net_of, orders_of
from services.profile.build.rules.view import profile_of
from services.profile.commerce.rules.rates import Table, valued, worth_of
from services.profile.resolve.rules.ground import profile_id_of
from services.runtime.turn import Record
from tests.identity_oracle import Ruling, Said, known_as, world_of
from tests.identity_stories import (
    DECIDED,
    NOON,
    SOURCE,
    body,
    bounded,
    decision,
    histories,
    of_decisions,
    of_sales,
)
from tests.told import check as check_changes
from tests.tried import tried
from tests.two_stages import Stages, step

# -- what is said ------------------------------------------------------------------------------


def told(said: Said, fact: dict[str, Any]) -> bytes:
    """The message, which also tells a fact."""
    event = json.loads(body(said))
    if not {kind for kind, _ in said.names} & {"user_id", "email", "anonymous_id"}:
        # Of what names nobody else, only refunds are taken.
        event["properties"] |= {"order_id": "o1"} | fact.get("properties", {})
        return json.dumps(event).encode()
    event["context"] |= fact.get("context", {})
    event["context"]["traits"] = event["context"].get("traits", {}) | fact.get("traits", {})
    event["event"] = fact["event"]
    event["properties"] = {"order_id": "o1"} | fact.get("properties", {})
    return json.dumps(event).encode()


def record(said: Said | Ruling, fact: dict[str, Any] | None = None) -> Record:
    if isinstance(said, Ruling):
        return Record(DECIDED, 0, b"k", decision(said), {})
    return Record(SOURCE, 0, b"k", told(said, fact) if fact else body(said), {})


FACTS = st.one_of(
    st.just({"event": "Product Viewed", "properties": {"category": "shoes"}}),
    st.builds(
        lambda value: {"event": "Article Read", "traits": {"plan": value}},
        st.sampled_from(["a", None, ["x"], {"$add": ["y"]}, {"$merge": {"k": 1}}]),
    ),
    st.builds(
        lambda name, order, amount, code: {
            "event": f"Order {name}",
            "properties": {"order_id": order, "total": amount, "currency": code},
        },
        st.sampled_from(["Completed", "Updated", "Refunded", "Cancelled"]),
        st.sampled_from(["o1", "o2"]),
        st.integers(1, 9),
        st.sampled_from(["USD", "EUR"]),
    ),
    st.builds(
        lambda given: {
            "event": "Signed Up",
            "context": {"consent": {"categoryPreferences": {"email": given}}},
        },
        st.booleans(),
    ),
    st.builds(
        lambda state, purpose, by: {
            "event": "Consent Updated",
            "properties": {"channel": "email", "state": state, "purpose": purpose, "actor": by},
        },
        st.sampled_from(["granted", "pending", "denied", "withdrawn", "?"]),
        st.sampled_from(["marketing", "newsletter"]),
        st.sampled_from([None, "Cyd of the shop"]),
    ),
    st.builds(
        lambda name, product: {"event": name, "properties": {"product_id": product, "price": 2}},
        st.sampled_from(["Product Added", "Product Removed", "Product Added to Wishlist"]),
        st.sampled_from(["p1", "p2"]),
    ),
)
DAY = 86_400
CONFIRMED = Policy.of(["email since 2026-03-02"])


def declare(stages: Stages) -> None:
    """Computed traits that are there from the first."""
    for window in (None, 2 * DAY):
        every = {"event": "Product Viewed", "window_seconds": window}
        stages.declared.declare(f"views{window}", **every)
        stages.declared.declare(
            f"kinds{window}", **every, aggregate="unique_list", property="category"
        )
        stages.declared.declare(
            f"spent{window}", event="Order Completed", aggregate="sum", property="total",
            window_seconds=window,
        )  # fmt: skip


RATES = st.tuples(
    st.just("rate"),
    st.sampled_from(["2026-02", "2026-03", "2026-05"]),
    st.sampled_from(["0.9", "1.25", "0"]),
)
LATE = st.tuples(st.sampled_from(["declare", "withdraw"]), st.sampled_from(["Order Refunded"]))


# -- what must be ------------------------------------------------------------------------------


def check(stages: Stages, said: Sequence[Said], rulings: Sequence[Ruling]) -> None:
    people, stored = stages.people, stages.stored
    histories: dict[str, list[Interaction]] = defaultdict(list)
    for one in people.stored.values():
        histories[people.living(one.profile_id)].append(
            msgspec.json.decode(one.body, type=Interaction)
        )
    messages = {one.id for one in said}
    world, messages = world_of(said, rulings), {one.id for one in said}
    whole = {
        frozenset(one.interaction_id for one in all_) & messages for all_ in histories.values()
    }
    assert whole == world.people()
    teller = {said.interaction_id: id_ for id_, all_ in histories.items() for said in all_}
    living = {person: teller[message] for message, person in world.whose.items()}
    has = {message: living[person] for message, person in world.has_order.items()}
    orders = {profile_id: orders_of_one(profile_id, histories, has) for profile_id in histories}
    traits = stages.build.sweep.traits
    for profile_id, history in histories.items():
        expected = State()
        for one in history:
            gone = has.get(one.interaction_id, profile_id) != profile_id
            fold(expected, replace(one, handed_to="" if gone else None), traits, set())
        for teller, all_ in histories.items():
            for one in all_:
                if teller != profile_id and has.get(one.interaction_id) == profile_id:
                    receive(expected, one)
        assert stored.state(profile_id) == encode_state(expected)
    by_profile: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for change in stages.changes:
        by_profile[change["profile_id"]].append(change)
        check_cause(stages, change["cause"])
    for changes in by_profile.values():
        check_changes(changes, ["computed.late"])
    last = {profile_id: changes[-1] for profile_id, changes in by_profile.items()}
    for profile_id, person in people.all.items():
        if person.into is None and profile_id not in histories:
            continue  # Nothing is said of whom nothing is known.
        assert followed(last, profile_id) == people.living(profile_id)
    table = Table.of(stages.base, stages.declared.current)
    for profile_id in histories:
        state = decode(stored.rows[profile_id][0]).state
        whole = profile_of(profile_id, state, traits, stages.policy)
        shown = msgspec.json.encode(valued(whole, worth_of(orders_of(state), table)))
        published = msgspec.convert(last[profile_id]["profile"], Profile)
        assert published == msgspec.json.decode(shown, type=Profile)
        assert published.orders == orders[profile_id]
        assert last[profile_id].get("merged_from", []) == sorted(people.all[profile_id].members)


def orders_of_one(
    profile_id: str, histories: Mapping[str, list[Interaction]], has: Mapping[str, str]
) -> list[Order]:
    """The orders of a profile: of each that it has, all that was ever told, to whomever.

    ``has``: by the messages that tell of an order, the profile that has it.
    """
    state, gone = State(), set[str]()
    for teller, all_ in histories.items():
        for said in all_:
            if said.name not in ORDER_EVENTS:
                continue
            if has.get(said.interaction_id, teller) == profile_id:
                fold(state, replace(said, handed_to=None), Traits({}), set())
            elif teller == profile_id:
                gone.add(json.loads(bytes(said.event))["properties"]["order_id"])
    return [one for one in orders_of(state) if one.order_id not in gone]


OF_MANY = {"Profile Merged", "Identity Rearranged"}
LOOKED_AGAIN = "identity"
OF_NOBODY = {"Computed Traits Changed", "Exchange Rates Changed"}


def check_cause(stages: Stages, cause: dict[str, Any]) -> None:
    """It is something that happened, as it was told."""
    name, message_id = cause["name"], cause["message_id"]
    said = stages.people.stored.get(message_id)
    if name in OF_NOBODY:
        assert message_id == ""
    elif name in OF_MANY:
        assert said is not None or message_id in {*stages.people.rulings, LOOKED_AGAIN}
    else:
        assert said is not None
        told = msgspec.json.decode(said.body, type=Interaction)
        at = msgspec.convert(cause["at"], datetime)
        assert (name, at, cause["source"]) == (told.name, told.at, told.source)


def followed(last: dict[str, dict[str, Any]], profile_id: str) -> str:
    """Where the redirects that were told lead."""
    for _ in range(20):
        into = last[profile_id].get("merged_into")
        if into is None:
            return profile_id
        profile_id = into
    raise AssertionError("redirects that lead nowhere")


SCHEDULES = st.lists(
    st.one_of(
        st.tuples(st.just("take"), st.integers(0, 1), st.integers(1, 5)),
        st.tuples(st.just("take"), st.integers(0, 1), st.integers(1, 5)),
        st.tuples(st.just("end"), st.integers(0, 1)),
        st.tuples(st.just("step"), st.integers(0, 1), st.integers(0, 30)),
        st.tuples(st.just("look")),
        st.tuples(st.just("lose")),
        RATES,
        LATE,
        st.tuples(
            st.sampled_from(["build", "build", "build", "fail"]),
            st.lists(st.integers(0, 8), min_size=1, max_size=3),
            st.integers(1, 6),
        ),
    ),
    max_size=40,
)


@tried(200)
@given(st.one_of(histories(), of_decisions()),
       st.lists(FACTS, min_size=15, max_size=15), SCHEDULES, st.booleans(),
       st.sampled_from([(OPEN, None), (CONFIRMED, "USD")]))  # fmt: skip
async def test_each_profile_is_the_history_of_one_person_and_every_former_id_leads_there(
    history: tuple[list[Said], list[Ruling], list[Said | Ruling]],
    facts: list[dict[str, Any]],
    schedule: list[tuple[Any, ...]],
    tight: bool,
    how: tuple[Policy, str | None],
) -> None:
    stages = Stages(*how)
    declare(stages)
    with bounded(tight):
        await play(stages, history, facts, schedule)


async def play(
    stages: Stages,
    history: tuple[list[Said], list[Ruling], list[Said | Ruling]],
    facts: list[dict[str, Any]],
    schedule: list[tuple[Any, ...]],
) -> None:
    said, rulings, order = history
    by_id = dict(zip((one.id for one in said), facts, strict=False))
    coming = [
        record(one) if isinstance(one, Ruling) else record(one, by_id[one.id]) for one in order
    ]
    await stages.build.assigned(stages.sources)
    steps = 0
    for what, *how in schedule:
        if what == "take":
            some, coming = coming[: how[1]], coming[how[1] :]
            await stages.begins(how[0], some)
        elif what == "end":
            await stages.ends(how[0])
        elif what == "step":
            known = [profile_id_of(one.id) for one in said]
            known = [each for each in known if each in stages.people.all]
            if known:
                steps += 1
                await stages.begins(how[0], [step(steps, known[how[1] % len(known)])])
        elif what == "look":
            await stages.looks_again()
        elif what == "lose":
            stages.build.lost(None)
        elif what == "rate":
            month, rate = how
            stages.declared.rate(month, d01={"USD": rate})
        elif what == "declare":
            stages.declared.declare("late", event=how[0])
        elif what == "withdraw":
            stages.declared.withdraw("late")
        else:
            await stages.builds(how[0], size=how[1], fails=what == "fail")
    await stages.takes(coming)
    await stages.quiet()
    check(stages, said, rulings)


async def test_what_another_worker_attributed_while_a_device_changed_hands_is_put_right() -> None:
    device = ("anonymous_id", "a1")

    def said(number: int, *names: tuple[str, str]) -> Said:
        return Said(f"m{number}", NOON, (*names, device))

    ann, hers, his, bob = (
        said(0, ("user_id", "ann")), said(1), said(2), said(3, ("user_id", "bob"))
    )  # fmt: skip
    stages = Stages()
    await stages.build.assigned(stages.sources)
    await stages.takes([record(ann)])
    await stages.begins(0, [record(hers)])
    await stages.begins(1, [record(his), record(bob)])
    await stages.quiet()
    check(stages, [ann, hers, his, bob], [])


async def test_who_is_given_a_device_and_merged_at_once_has_it_after_both() -> None:
    phone, ann, bob = ("anonymous_id", "a1"), ("email", "ann@shop.com"), ("user_id", "bob")
    cyd = ("user_id", "cyd")
    said = [
        Said("m0", NOON, (ann, phone)),
        Said("m1", NOON + timedelta(minutes=1), (bob, phone)),
        Said("m2", NOON, (cyd,)),
        Said("m3", NOON, (cyd, ann)),
    ]
    hers = Ruling("d1", NOON, "split", frozenset({bob}), frozenset({phone}))
    stages = Stages()
    await stages.build.assigned(stages.sources)
    await stages.takes([record(one) for one in said[:3]])
    await stages.begins(0, [record(hers)])
    await stages.begins(1, [record(said[3])])
    await stages.quiet()
    check(stages, said, [hers])
    people = stages.people
    assert people.by[Identifier(*phone)].profile_id == people.living(profile_id_of("m0"))


async def test_an_order_led_to_a_visitor_who_is_merged_at_once_is_with_who_they_are() -> None:
    visit, ann, led, one = at(0, PAGE), at(1, ANN), at(2, PAGE, ORDER), at(3, ANN, PAGE)
    stages = Stages()
    await stages.build.assigned(stages.sources)
    await stages.takes([record(visit), record(ann)])
    await stages.begins(0, [record(led)])
    await stages.begins(1, [record(one)])
    await stages.ends(1)
    await stages.ends(0)
    people = stages.people
    assert people.by[Identifier(*ORDER)].profile_id == people.living(profile_id_of(visit.id))
    await stages.quiet()
    settled(stages, [visit, ann, led, one])


async def test_the_visitor_of_a_shared_device_stays_one_where_a_user_of_it_is_looked_at() -> None:
    phone = ("anonymous_id", "a1")
    ann, bob, cyd = (("user_id", each) for each in ("ann", "bob", "cyd"))
    names = [(ann, phone), (phone,), (bob, phone), (cyd, phone), (phone,)]
    said = [Said(f"m{number}", NOON, each) for number, each in enumerate(names)]
    apart = Ruling("d1", NOON, "split", frozenset({ann}), frozenset({("email", "dan@shop.com")}))
    stages = Stages()
    await stages.build.assigned(stages.sources)
    with bounded(tight=True):
        await stages.takes([record(said[0])])
        await stages.begins(0, [record(said[1])])
        await stages.begins(1, [record(one) for one in said[2:]])
        await stages.ends(1)
        await stages.takes([record(apart)])
        await stages.quiet()
        check(stages, said, [apart])


SALES = st.one_of(
    st.just({"event": "Order Viewed"}),
    *[
        st.builds(
            lambda name, order, amount: {
                "event": f"Order {name}",
                "properties": {"order_id": order, "total": amount, "currency": "USD"},
            },
            st.sampled_from(["Completed", "Completed", "Updated", "Refunded", "Cancelled"]),
            st.sampled_from(["o1", "o1", "o1", "o2"]),
            st.integers(1, 9),
        )
    ]
    * 4,
)


@tried(200)
@given(histories(of_sales()), st.lists(SALES, min_size=9, max_size=9), SCHEDULES, st.booleans())
async def test_an_order_counts_for_who_was_named_on_it_last_with_all_that_was_told_of_it(
    history: tuple[list[Said], list[Ruling], list[Said | Ruling]],
    sales: list[dict[str, Any]],
    schedule: list[tuple[Any, ...]],
    tight: bool,
) -> None:
    stages = Stages()
    declare(stages)
    with bounded(tight):
        await play(stages, history, sales, schedule)


ORDER, PAGE = ("order", "server/o1"), ("anonymous_id", "a1")
ANN, BOB, CYD = (("user_id", name) for name in ("ann", "bob", "cyd"))
MAIL = ("email", "bob@shop.com")


def at(minutes: int, *names: tuple[str, str]) -> Said:
    return Said(f"m{minutes:02}", NOON + timedelta(minutes=minutes), names)


def sale(said: Said | Ruling, event: str = "Order Updated", total: int = 9) -> Record:
    return record(said, {"event": event, "properties": {"total": total, "currency": "USD"}})


BOUGHT = at(0, ANN, ORDER)
HERS = sale(BOUGHT, "Order Completed", 10)
TO_BOB = at(5, BOB, ORDER)
HIS = sale(TO_BOB)


async def handed(said: Sequence[Said | Ruling], *turns: Sequence[Record]) -> Stages:
    """What is stored and told after these turns, each of them whole before the next."""
    stages = Stages()
    await stages.build.assigned(stages.sources)
    for records in turns:
        await stages.takes(records)
        await stages.quiet()
    settled(stages, said)
    return stages


def settled(stages: Stages, said: Sequence[Said | Ruling]) -> None:
    rulings = [one for one in said if isinstance(one, Ruling)]
    check(stages, [one for one in said if isinstance(one, Said)], rulings)


def bought_by(stages: Stages, name: tuple[str, str]) -> list[tuple[int, str, datetime]]:
    """(net revenue, status, when it was made) of each order of whoever has this name."""
    orders = stages.orders_of(Identifier(*known_as(name)))
    return [(int(net_of(one)), one.status, one.ordered_at) for one in orders]


async def test_an_order_goes_whole_to_another_customer_and_keeps_its_day() -> None:
    refund = at(2, ORDER)
    stages = await handed(
        [BOUGHT, refund, TO_BOB], [HERS], [sale(refund, "Order Refunded", 3)], [HIS]
    )
    assert bought_by(stages, ANN) == []
    assert bought_by(stages, BOB) == [(6, "completed", NOON)]


@pytest.mark.parametrize("names", [(ANN, ORDER), (ORDER,)])
async def test_what_comes_late_of_an_order_is_for_who_has_it_since(
    names: tuple[tuple[str, str], ...],
) -> None:
    late = at(2, *names)
    stages = await handed([BOUGHT, TO_BOB, late], [HERS], [HIS], [sale(late, "Order Refunded", 4)])
    assert (bought_by(stages, ANN), bought_by(stages, BOB)) == ([], [(5, "completed", NOON)])


async def test_an_order_that_comes_back_counts_for_the_first_again() -> None:
    back = at(9, ANN, ORDER)
    stages = await handed([BOUGHT, TO_BOB, back], [HERS], [HIS], [sale(back)])
    assert (bought_by(stages, ANN), bought_by(stages, BOB)) == ([(9, "completed", NOON)], [])


async def test_what_passed_through_a_customer_who_only_looked_at_it_is_gone_from_there() -> None:
    looked, to_cyd = at(5, BOB, ORDER), at(6, CYD, ORDER)
    seen = record(looked, {"event": "Order Viewed"})
    stages = await handed([BOUGHT, looked, to_cyd], [HERS], [seen], [sale(to_cyd)])
    assert stages.people.stored[looked.id].handed_to is None
    assert [bought_by(stages, name) for name in (ANN, BOB, CYD)] == [
        [], [], [(9, "completed", NOON)],
    ]  # fmt: skip


async def test_an_order_handed_on_between_two_who_are_one_counts_once_until_they_are_two() -> None:
    to_mail, one = at(5, MAIL, ORDER), at(7, ANN, MAIL)
    two = Ruling("d1", NOON, "split", frozenset({ANN}), frozenset({MAIL}))
    told = [[HERS], [sale(to_mail)], [record(one)]]
    merged = await handed([BOUGHT, to_mail, one], *told)
    assert bought_by(merged, ANN) == bought_by(merged, MAIL) == [(9, "completed", NOON)]
    parted = await handed([BOUGHT, to_mail, one, two], *told, [record(two)])
    assert (bought_by(parted, ANN), bought_by(parted, MAIL)) == ([], [(9, "completed", NOON)])


async def test_an_order_follows_who_has_it_when_that_is_two_people() -> None:
    his, to_mail = at(1, BOB, MAIL), at(5, MAIL, ORDER)
    two = Ruling("d1", NOON, "split", frozenset({BOB}), frozenset({MAIL}))
    said = [his, BOUGHT, to_mail, two]
    stages = await handed(said, [record(his)], [HERS], [sale(to_mail)], [record(two)])
    assert [bought_by(stages, name) for name in (ANN, BOB, MAIL)] == [
        [], [], [(9, "completed", NOON)],
    ]  # fmt: skip


async def test_an_order_on_which_too_many_are_named_is_handed_to_nobody() -> None:
    to_cyd = at(6, CYD, ORDER)
    with bounded(True):
        stages = await handed([BOUGHT, TO_BOB, to_cyd], [HERS], [HIS], [sale(to_cyd)])
        assert [len(bought_by(stages, name)) for name in (ANN, BOB, CYD)] == [1, 1, 1]


async def test_an_order_that_a_decision_keeps_from_somebody_is_not_taken_from_them() -> None:
    kept = Ruling("d1", NOON, "split", frozenset({ANN}), frozenset({ORDER}))
    to_cyd = at(6, CYD, ORDER)
    stages = await handed(
        [BOUGHT, TO_BOB, to_cyd, kept], [HERS], [HIS], [sale(to_cyd)], [record(kept)]
    )
    assert [len(bought_by(stages, name)) for name in (ANN, BOB, CYD)] == [1, 0, 1]


async def test_who_handed_on_one_order_does_not_have_another_that_was_handed_on_before() -> None:
    other = ("order", "server/o2")
    hers, his, of_bob, late = (
        at(0, ANN, other),
        at(1, BOB, other),
        at(5, BOB, ORDER),
        at(2, ANN, ORDER),
    )
    two = {"properties": {"order_id": "o2", "total": 8, "currency": "USD"}}
    first = [record(one, two | {"event": "Order Completed"}) for one in (hers, his)]
    stages = await handed(
        [hers, his, of_bob, late], first[:1], first[1:], [sale(of_bob)], [sale(late)]
    )
    assert (bought_by(stages, ANN), len(bought_by(stages, BOB))) == ([], 2)


async def test_what_another_customer_bought_leaves_the_cart_of_who_has_the_order_since() -> None:
    filled, bought = at(1, BOB), at(3, ANN, ORDER)
    tea = {"event": "Product Added", "properties": {"product_id": "tea", "price": 2}}
    stages = await handed(
        [filled, bought, TO_BOB],
        [record(filled, tea), sale(bought, "Order Completed")], [HIS],
    )  # fmt: skip
    shown = profile_of("bob", stages.state_of(Identifier(*BOB)), Traits({}), OPEN)
    assert [order.order_id for order in shown.orders] == ["o1"]
    assert [line.product_id for cart in shown.carts for line in cart.products] == ["tea"]


async def test_what_a_page_told_of_an_order_goes_with_it() -> None:
    page = at(1, ANN, PAGE)
    stages = await handed([BOUGHT, page, TO_BOB], [sale(page, "Order Completed"), HERS], [HIS])
    assert (bought_by(stages, ANN), len(bought_by(stages, BOB))) == ([], 1)


async def test_of_two_orders_that_a_message_names_one_is_what_it_tells_of() -> None:
    both, to_bob = at(0, ANN, ORDER, ("order", "server/o2")), at(5, BOB, ORDER)
    stages = await handed([both, to_bob], [sale(both, "Order Completed")], [sale(to_bob)])
    assert (bought_by(stages, ANN), bought_by(stages, BOB)) == ([], [(9, "completed", NOON)])


@pytest.mark.parametrize("names", [(ANN, MAIL), (MAIL, ANN)])
async def test_what_is_told_while_two_become_one_counts_there_at_once(
    names: tuple[tuple[str, str], ...],
) -> None:
    first, last = (at(minutes, name, ORDER) for minutes, name in zip((0, 5), names, strict=True))
    one, late = at(7, ANN, MAIL), at(2, names[0], ORDER)
    stages = Stages()
    await stages.build.assigned(stages.sources)
    await stages.takes([sale(first, "Order Completed", 10), sale(last)])
    await stages.quiet()
    await stages.begins(0, [sale(late, "Order Refunded", 4)])
    await stages.begins(1, [record(one)])
    await stages.ends(1)
    await built(stages)
    await stages.ends(0)
    assert stages.people.stored[late.id].handed_to is not None
    await built(stages)
    assert bought_by(stages, ANN) == [(5, "completed", NOON)]
    await stages.quiet()
    settled(stages, [first, last, one, late])
    assert bought_by(stages, ANN) == [(5, "completed", NOON)]


@pytest.mark.parametrize("between", [[], [at(4, ANN, ORDER)]])
async def test_what_another_worker_attributed_while_an_order_was_led_elsewhere_is_put_right(
    between: list[Said],
) -> None:
    page, refund, earlier = at(2, PAGE, ORDER), at(3, ORDER), at(1, ("anonymous_id", "a2"), ORDER)
    stages = Stages()
    await stages.build.assigned(stages.sources)
    await stages.takes([sale(page, "Order Completed")])
    await stages.begins(1, [sale(refund, "Order Refunded", 4)])
    for one in (*between, earlier):
        await stages.takes([record(one)])
    await stages.quiet()
    settled(stages, [page, refund, *between, earlier])


async def built(stages: Stages) -> None:
    """Build has read everything, and nobody of resolve has looked again."""
    while any(stages.queues.values()):
        await stages.builds(range(9), size=9)

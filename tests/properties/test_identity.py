"""Identity as a whole: whatever comes in whatever order, the people are those of the oracle."""

from collections.abc import Sequence
from copy import deepcopy
from datetime import timedelta
from itertools import pairwise, permutations
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from schemas.messages import Identifier
from services.profile.resolve.handler import ResolveHandler
from services.profile.resolve.model import MOST_REFUSALS, Device
from services.profile.resolve.rules.ground import profile_id_of
from services.profile.resolve.rules.spelling import node_of
from services.runtime.turn import Record, Timer, Turn
from tests.identity_oracle import TRUST, Ruling, Said, world_of
from tests.identity_stories import (
    DECIDED,
    HEARD,
    NOON,
    SOURCE,
    Senders,
    body,
    bounded,
    decision,
    histories,
    messages,
    name,
    of_aliases,
    of_decisions,
    of_orders,
)
from tests.identity_world import FakePeople
from tests.tried import tried


class Resolve:
    """A handler, its store, and its turns."""

    def __init__(self) -> None:
        self.people = FakePeople()
        self.handler = ResolveHandler(self.people, Senders())
        self.turns: list[Turn] = []

    async def take(self, batch: Sequence[Said | Ruling], timers: Sequence[Timer] = ()) -> Turn:
        records = [
            Record(DECIDED, 0, b"k", decision(said), {})
            if isinstance(said, Ruling)
            else Record(SOURCE, 0, b"k", body(said), {})
            for said in batch
        ]
        now = HEARD
        turn = Turn(now=now, session=None, records=records, timers=timers)
        for record in records[::2]:
            record.ahead = self.handler.ahead(record, now)
        self.people.written = set()
        await self.handler.handle(turn)
        await turn.written()
        assert [(each.reason, each.detail) for each in turn.rejected] == []
        self.turns.append(turn)
        return turn


def check(people: FakePeople, said: Sequence[Said], rulings=()) -> None:
    """What is stored is what the definitions say, and hangs together."""
    oracle = world_of(said, rulings)
    assert {frozenset(each) for each in people.histories().values()} == oracle.people()
    shown = {id: frozenset(map(node_of, names)) for id, names in people.shown().items()}
    assert shown == {
        id: frozenset(Identifier(*one) for one in names) for id, names in oracle.accepted.items()
    }
    histories = people.histories()
    for node, has in people.by.items():
        assert histories.get(has.profile_id, set()) == oracle.messages((node.type, node.value))
    born = {profile_id_of(id_): each.at for id_, each in people.stored.items()}
    assert {id_: one.since for id_, one in people.all.items()}.items() <= born.items()
    living = [person for person in people.all.values() if person.into is None]
    everybody = [profile_id for person in living for profile_id in person.profile_ids]
    assert sorted(everybody) == sorted(people.all)
    refused = {
        (tuple(dict.fromkeys(map(node_of, each.identifiers))), each.untrusted)
        for person in living
        for each in person.refusals
    }
    assert refused == {
        (tuple(Identifier(*name) for name in names), untrusted)
        for names, untrusted in oracle.refused
    }
    for person in living:
        for member in person.members:
            assert people.all[member].into == person.profile_id
        said_of = {node for id_ in histories.get(person.profile_id, ()) for node in shown[id_]}
        theirs = sorted(node_of(held.identifier) for held in person.identifiers)
        assert theirs == sorted(node for node in said_of if node.type in TRUST)
        for held in person.identifiers:
            assert people.by[node_of(held.identifier)].profile_id == person.profile_id
    for has in people.by.values():
        assert not has.profile_id or people.all[has.profile_id].into is None
        if isinstance(has, Device) and has.profile_id:
            assert people.all[has.profile_id].devices  # Or a merge would leave it behind.
    for order, has in people.by.items():
        if isinstance(has, Device) and has.lead and not has.marks:
            led_by = has.lead.message_id
            whose = people.living(people.stored[led_by].profile_id)
            assert has.profile_id == whose or order not in shown[led_by]
    held = {node_of(h.identifier) for person in living for h in person.identifiers}
    owned = {node for node, has in people.by.items() if has.profile_id and node.type in TRUST}
    assert held <= owned  # A decision may name what nobody has said.


def standing(people: FakePeople) -> object:
    """Whose everything is, and under which id."""
    ids = {id: (person.into, sorted(person.members)) for id, person in people.all.items()}
    owners = {node: has.profile_id for node, has in people.by.items()}
    return deepcopy((people.stored, ids, owners))


@tried(200)
@given(messages(), st.lists(st.integers(0, 25), max_size=4), st.booleans())
async def test_whatever_comes_in_whatever_order_the_people_are_those_of_the_definitions(
    said: list[Said], cuts: list[int], tight: bool
) -> None:
    resolve = Resolve()
    bounds = sorted({0, len(said), *(cut for cut in cuts if cut < len(said))})
    with bounded(tight):
        for start, end in pairwise(bounds):
            await resolve.take(said[start:end])
        check(resolve.people, said)


History = tuple[list[Said], list[Ruling], list[Said | Ruling]]
"""What is said, what is decided, and both in the order in which they come."""


async def play(history: History, size: int, *, tight: bool = False) -> None:
    """Have it come in batches, and look whether everybody is who the definitions say."""
    said, decided, order = history
    resolve = Resolve()
    with bounded(tight):
        for start in range(0, len(order), size):
            await resolve.take(order[start : start + size])
        check(resolve.people, said, decided)


@tried(200)
@given(histories(), st.integers(1, 6), st.booleans())
async def test_what_people_decide_holds_whatever_comes_before_or_after(
    history: History, size: int, tight: bool
) -> None:
    await play(history, size, tight=tight)


@tried(200)
@given(histories(of_orders()), st.integers(1, 3))
async def test_an_order_that_names_nobody_is_whose_its_device_was_and_so_is_its_refund(
    history: History, size: int
) -> None:
    await play(history, size)


@tried(200)
@given(histories(of_aliases()), st.integers(1, 3), st.booleans())
async def test_who_have_few_names_between_them_are_those_of_the_definitions(
    history: History, size: int, tight: bool
) -> None:
    await play(history, size, tight=tight)


@tried(200)
@given(of_decisions(), st.integers(1, 6), st.booleans())
async def test_whom_many_decisions_make_one_is_one_whoever_of_them_is_named_at_all(
    history: History, size: int, tight: bool
) -> None:
    await play(history, size, tight=tight)


async def test_what_a_page_said_first_and_a_server_after_it_is_known_to_both() -> None:
    ann, bob = name("email", 1), name("user_id", 2)
    said = [
        Said("m1", NOON, (ann,), untrusted=True),
        Said("m2", NOON, (ann,)),
        Said("m3", NOON, (bob,)),
        Said("m4", NOON, (bob, ann), untrusted=True),
    ]
    for order in permutations(said):
        resolve = Resolve()
        for each in order:
            await resolve.take([each])
        check(resolve.people, said)


async def test_what_is_said_of_an_order_leaves_who_is_decided_not_to_have_it() -> None:
    ann, phone, order = name("user_id", 1), name("anonymous_id", 1), ("order", "server/o1")
    placed, login = Said("m1", NOON, (phone, order)), Said("m2", NOON, (ann, phone))
    refunds = [Said("m3", NOON, (order,)), Said("m4", NOON, (order,))]
    hers_no_more = Ruling("d1", NOON, "split", frozenset({order}), frozenset({ann}))
    for come in permutations([hers_no_more, placed, login, *refunds]):
        resolve = Resolve()
        for each in come:
            await resolve.take([each])
        check(resolve.people, [placed, login, *refunds], [hers_no_more])


async def test_a_device_goes_with_its_person_from_merge_to_merge() -> None:
    ann, hers, user = name("email", 1), name("email", 2), name("user_id", 1)
    names = [(ann,), (hers, ("anonymous_id", "a1")), (hers, ann), (user,), (user, hers)]
    said = [Said(f"m{at}", NOON + timedelta(minutes=at), each) for at, each in enumerate(names)]
    for order in permutations(said):
        await play((said, [], list(order)), 1)


async def test_a_device_that_late_evidence_has_given_goes_with_its_person_too() -> None:
    card, ann, bob, cyd = ("loyalty_card", "l1"), *(name("email", number) for number in (1, 2, 3))
    said = [
        Said("m1", NOON, (ann, card)),
        Said("m2", NOON - timedelta(minutes=1), (("anonymous_id", "a1"),)),
        Said("m3", HEARD, (ann, cyd)),
        Said("m4", NOON, (bob, card, ("anonymous_id", "a2"))),
        Said("m5", HEARD, (ann, ("anonymous_id", "a1"))),
    ]
    for order in permutations(said):
        await play((said, [], list(order)), 1, tight=True)


async def test_decisions_that_meet_in_a_name_nobody_has_said_make_one_person_of_their_ends() -> (
    None
):
    user, visitor, phone = name("user_id", 1), ("anonymous_id", "a1"), ("anonymous_id", "a2")
    joins = [
        Ruling("d1", NOON, "join", frozenset({visitor}), frozenset({user})),
        Ruling("d2", HEARD, "join", frozenset({phone}), frozenset({user})),
    ]
    said = [Said("m1", NOON, (visitor,)), Said("m2", NOON, (phone,)), Said("m3", NOON, (user,))]
    for number in range(1, len(said) + 1):
        for order in permutations([*joins, *said[:number]]):
            await play((said[:number], joins, list(order)), 1)


async def test_a_name_that_was_joined_before_anybody_said_it_is_its_persons_like_any_other() -> (
    None
):
    ann, bob, card = name("user_id", 1), name("user_id", 2), name("loyalty_card", 1)
    joins = [
        Ruling("d1", NOON, "join", frozenset({card}), frozenset({bob})),
        Ruling("d2", NOON, "join", frozenset({ann}), frozenset({card})),
    ]
    for both in ((bob,), (bob, card)):
        for untrusted in (False, True):
            said = [Said("m1", NOON, (ann,)), Said("m2", NOON, both, untrusted)]
            for order in permutations([*joins, *said]):
                await play((said, joins, list(order)), 1)


async def test_a_name_that_a_join_gave_them_is_theirs_once_a_page_says_it_beside_another() -> None:
    ann, card = name("user_id", 1), name("loyalty_card", 1)
    join = Ruling("d1", NOON, "join", frozenset({ann}), frozenset({card}))
    said = [Said("m1", NOON, (ann,)), Said("m2", HEARD, (ann, card), untrusted=True)]
    for order in permutations([join, *said]):
        await play((said, [join], list(order)), 1)


async def test_who_is_one_by_joins_against_a_split_keeps_the_devices_that_no_split_names() -> None:
    ann, user, card = name("email", 1), name("user_id", 1), ("loyalty_card", "l1")
    phone = ("anonymous_id", "a1")
    sides = [("split", card, ann), ("join", card, user), ("join", ann, user), ("join", phone, user)]
    decided = [
        Ruling(f"d{number}", NOON, kind, frozenset({a}), frozenset({b}))
        for number, (kind, a, b) in enumerate(sides)
    ]
    names = [(user, phone), (ann,), (user, card), (user, phone)]
    said = [Said(f"m{number}", NOON, each) for number, each in enumerate(names)]
    for order in permutations(said):
        await play((said, decided, [*decided, *order]), 1)
        await play((said, decided, [*order, *decided]), 1)


async def test_a_device_is_kept_from_whom_a_join_has_made_one_with_its_opponent_unseen() -> None:
    ann, hers, phone = name("user_id", 1), name("user_id", 2), ("anonymous_id", "a1")
    decided = [
        Ruling("d1", NOON, "split", frozenset({phone}), frozenset({ann})),
        Ruling("d2", NOON, "join", frozenset({ann}), frozenset({hers})),
        Ruling("d3", NOON, "join", frozenset({hers}), frozenset({phone})),
    ]
    said = [Said("m1", NOON, (hers,)), Said("m2", NOON, (hers, phone))]
    for order in permutations([*decided, *said]):
        await play((said, decided, list(order)), 1)


async def test_who_named_in_vain_what_a_join_gave_to_nobody_known_has_it_once_that_is_undone() -> (
    None
):
    address, hers, ann, bob = name("email", 1), *(name("user_id", number) for number in (2, 1, 3))
    decided = [
        Ruling("d1", NOON, "join", frozenset({address}), frozenset({hers})),
        Ruling("d2", HEARD, "split", frozenset({hers}), frozenset({address})),
    ]
    said = [Said("m1", NOON, (ann, address)), Said("m2", NOON, (bob, address))]
    for order in permutations([*decided, *said]):
        await play((said, decided, list(order)), 1)


async def test_looking_again_at_a_device_keeps_what_was_decided_of_it_before_it_was_seen() -> None:
    ann, phone = name("user_id", 1), ("anonymous_id", "a1")
    joins = [
        Ruling(id_, NOON, "join", frozenset({ann}), frozenset({phone})) for id_ in ("d2", "d1")
    ]
    said = [Said("m1", NOON, (phone,)), Said("m2", NOON, (ann,))]
    for order in permutations(said):
        resolve = Resolve()
        timers = [
            timer for one in joins for timer in (await resolve.take([one])).timers_set.values()
        ]
        assert [timer.key for timer in timers] == ["identity/anonymous_id:a1"]
        turn = await resolve.take([], timers)
        assert (resolve.people.written, turn.timers_set) == (set(), {})
        for each in order:
            await resolve.take([each])
        check(resolve.people, said, joins)


async def test_a_device_is_whose_it_was_decided_to_be_also_where_no_message_may_name_them() -> None:
    ann, bob, phone = name("email", 1), name("email", 2), ("anonymous_id", "a1")
    apart = Ruling("d1", NOON, "split", frozenset({ann}), frozenset({bob}))
    away = Ruling("d2", NOON, "split", frozenset({ann}), frozenset({phone}))
    his = Ruling("d3", NOON, "join", frozenset({bob}), frozenset({phone}))
    first, later = Said("m1", NOON, (phone,)), Said("m3", NOON, (phone,))
    for begin in ([first, Said("m2", NOON, (ann, bob))], [Said("m2", NOON, (ann, bob, phone))]):
        for order in permutations([apart, away, his, later]):
            resolve = Resolve()
            for each in (*begin, *order):
                await resolve.take([each])
            check(resolve.people, [*begin, later], [apart, away, his])


async def test_a_device_that_was_decided_to_be_somebodys_is_theirs_after_a_login_before() -> None:
    ann, bob, phone = name("user_id", 1), name("user_id", 2), ("anonymous_id", "a1")
    hers = Ruling("d1", NOON + timedelta(minutes=5), "join", frozenset({ann}), frozenset({phone}))
    said = [
        Said(f"m{minute}", NOON + timedelta(minutes=minute), (*who, phone))
        for minute, who in ((0, (ann,)), (1, (bob,)), (2, ()), (6, ()))
    ]
    for order in permutations([hers, *said]):
        resolve = Resolve()
        for each in order:
            await resolve.take([each])
        check(resolve.people, said, [hers])


@tried(200)
@given(
    st.one_of(histories(), of_decisions()),
    st.integers(1, 6),
    st.booleans(),
    st.randoms(use_true_random=False),
)
async def test_looking_again_and_hearing_again_change_nothing(
    history: History, size: int, tight: bool, random: Random
) -> None:
    with bounded(tight):
        await look_again(history, size, random)


async def look_again(history: History, size: int, random: Random) -> None:
    said, decided, order = history
    resolve = Resolve()
    for start in range(0, len(order), size):
        await resolve.take(order[start : start + size])
    timers = [timer for turn in resolve.turns for timer in turn.timers_set.values()]
    before = standing(resolve.people)
    random.shuffle(order)
    written = []
    for batch, due in (([], timers), (order, []), ([], timers), (order, [])):
        turn = await resolve.take(batch, due)
        written.append(resolve.people.written)
        assert (turn.messages, turn.timers_set) == ([], {})
    # The first ones may store in order what was not: who said a name first, say.
    assert written[2:] == [set(), set()]
    assert standing(resolve.people) == before
    check(resolve.people, said, decided)


async def test_a_device_that_changes_hands_too_often_is_nobodys_whatever_comes_first() -> None:
    users = [("user_id", "u1"), ("user_id", "u2")]
    phone = ("anonymous_id", "a1")
    said = [
        Said(f"m{number}", NOON + timedelta(minutes=number), (*users[number % 2 :][:1], phone))
        for number in range(6)
    ]
    said.append(Said("m6", NOON, (phone,)))
    with bounded(tight=True):
        for turns in (4, 5, 6):  # of which four are borne
            some = [*said[:turns], said[-1]]
            for order in permutations(some, 2):
                resolve = Resolve()
                for each in (*order, *(one for one in some if one not in order)):
                    await resolve.take([each])
                check(resolve.people, some)


async def test_a_login_that_comes_late_says_since_when_a_device_was_whose() -> None:
    ann, bob, phone = ("user_id", "ann"), ("user_id", "bob"), ("anonymous_id", "a1")
    minutes = [(0, ann), (3, None), (9, bob), (2, bob)]
    said = [
        Said(f"m{number}", NOON + timedelta(minutes=minute), (*([who] if who else []), phone))
        for number, (minute, who) in enumerate(minutes)
    ]
    for order in permutations(said):
        resolve = Resolve()
        for each in order:
            await resolve.take([each])
        check(resolve.people, said)


async def test_an_order_kept_without_its_lead_draws_its_refund_in_once_both_are_named_again() -> (
    None
):
    """As orders of an anonymous visitor were kept by the versions before there were leads."""
    phone, order = name("anonymous_id", 1), ("order", "server/o1")
    placed, refund = Said("m1", NOON, (phone, order)), Said("m3", NOON, (order,))
    updated = Said("m2", NOON, (phone, order))
    for come in permutations([refund, updated]):
        resolve = Resolve()
        await resolve.take([placed])
        del resolve.people.by[Identifier(*order)]
        for each in come:
            await resolve.take([each])
        check(resolve.people, [placed, updated, refund])
        assert list(resolve.people.histories().values()) == [{"m1", "m2", "m3"}]


async def test_browsers_that_are_more_than_refusals_are_kept_leave_room_for_each_that_is_one() -> (
    None
):
    ann, bob, address = name("user_id", 1), name("user_id", 2), name("email", 1)
    browsers = range(MOST_REFUSALS + 1)
    said = [
        Said(f"a{n}", NOON, (ann, ("user_id", f"b{n}"), ("anonymous_id", f"b{n}")))
        for n in browsers
    ]
    said += [Said("m1", NOON, (ann, address)), Said("m2", NOON, (bob, address))]
    said += [Said("m3", NOON, (("user_id", f"b{browsers[-1]}"),))]  # It was an account, too.
    for seed in range(10):
        order = Random(seed).sample(said, len(said))
        resolve = Resolve()
        for start in range(0, len(order), 20):
            await resolve.take(order[start : start + 20])
        kept = resolve.people.all[resolve.people.by[Identifier(*ann)].profile_id].refusals
        assert {"m2", f"a{browsers[-1]}"} - {one.message_id for one in kept} == set()
        check(resolve.people, said)  # and of those that are none it keeps nothing


async def test_the_same_refused_again_and_again_is_one_refusal_however_it_spells_a_name() -> None:
    ann, bob = name("user_id", 1), name("user_id", 2)
    both = (name("email", 1), name("email_sha256", 1))
    said = [Said("m1", NOON, (ann, *both))]
    said += [Said(f"b{at}", NOON + timedelta(minutes=at), (bob, *both)) for at in range(1, 5)]
    apart = Ruling("d1", NOON, "split", frozenset({bob}), frozenset({name("loyalty_card", 1)}))
    resolve = Resolve()
    for each in (*said[:2], apart, *said[2:]):
        await resolve.take([each])
    check(resolve.people, said, [apart])
    refused = [each.message_id for one in resolve.people.all.values() for each in one.refusals]
    assert refused == ["b1", "b1"]  # with each of the two


async def test_a_device_is_kept_from_whom_a_message_makes_one_with_its_opponent() -> None:
    ann, address, phone = name("user_id", 1), name("email", 1), ("anonymous_id", "a1")
    apart = Ruling("d1", NOON, "split", frozenset({phone}), frozenset({ann}))
    names = [(ann,), (address, phone), (ann, address), (phone,)]
    said = [Said(f"m{number}", NOON, each) for number, each in enumerate(names)]
    for order in permutations([apart, *said]):
        await play((said, [apart], list(order)), 1)


async def test_what_cannot_change_who_is_who_has_no_history_read() -> None:
    ann, bob = name("user_id", 1), name("user_id", 2)
    first, second, third = (name("email", number) for number in (1, 2, 3))
    minutes = [
        (0, (ann, first)),
        (1, (bob,)),
        (4, (bob, first)),  # refused, after what joined it to Ann
        (9, (ann, second)),
        (5, (bob, first)),  # refused as before
        (3, (ann, first)),
        (10, (ann, third)),  # joins, after all that was refused
        (1, (ann,)),  # joins nothing
    ]
    said = [Said(f"m{n}", NOON + timedelta(minutes=at), who) for n, (at, who) in enumerate(minutes)]
    resolve = Resolve()
    for each in said:
        await resolve.take([each])
        assert resolve.people.read == 0, each
    apart = Ruling("d1", NOON, "split", frozenset({ann}), frozenset({name("email", 4)}))
    await resolve.take([apart])
    read = resolve.people.read
    said.append(Said("m8", HEARD, (ann, first)))
    await resolve.take(said[-1:])
    assert resolve.people.read == read
    check(resolve.people, said, [apart])


async def test_every_message_that_names_a_kept_order_on_a_device_shows_it_as_not_its_persons() -> (
    None
):
    ann, phone, order = name("user_id", 1), ("anonymous_id", "a1"), ("order", "server/o1")
    kept = Ruling("d1", NOON, "split", frozenset({order}), frozenset({ann}))
    names = [(ann, phone), (phone, order), (phone, order)]
    said = [Said(f"m{number}", NOON, each) for number, each in enumerate(names)]
    for come in permutations([kept, *said]):
        await play((said, [kept], list(come)), 1)


async def test_what_a_device_says_of_whose_it_was_by_then_has_no_history_read() -> None:
    ann, bob, phone = name("user_id", 1), name("user_id", 2), ("anonymous_id", "a1")
    minutes = [(4, ()), (5, (ann,)), (9, (bob,)), (9, ()), (12, ()), (8, ()), (5, ()), (1, ())]
    said = [
        Said(f"m{number}", NOON + timedelta(minutes=at), (*who, phone))
        for number, (at, who) in enumerate(minutes)
    ]
    resolve = Resolve()
    for each in said:
        await resolve.take([each])
        assert resolve.people.read == 0, each
    check(resolve.people, said)


async def test_an_order_that_is_whose_it_was_has_no_history_read() -> None:
    ann, phone = name("user_id", 1), ("anonymous_id", "a1")
    led, hers = ("order", "server/o1"), ("order", "server/o2")
    minutes = [
        (1, (phone, led)),
        (2, (phone, led)),
        (3, (led,)),
        (1, (ann, hers)),
        (0, (phone, hers)),
    ]
    said = [Said(f"m{n}", NOON + timedelta(minutes=at), who) for n, (at, who) in enumerate(minutes)]
    resolve = Resolve()
    for each in said:
        await resolve.take([each])
        assert resolve.people.read == 0, each
    check(resolve.people, said)


async def test_an_order_kept_from_who_was_named_on_it_is_whose_the_device_is_that_led_to_it() -> (
    None
):
    ann, order = name("user_id", 1), ("order", "server/o1")
    first, then = (name("anonymous_id", number) for number in (1, 2))
    kept = Ruling("d1", NOON, "split", frozenset({order}), frozenset({ann}))
    names = [(ann, order), (first, order), (then, order), (order,)]
    said = [Said(f"m{at}", NOON + timedelta(minutes=at), each) for at, each in enumerate(names)]
    for come in permutations([kept, *said]):
        await play((said, [kept], list(come)), 1)


async def test_an_order_is_whose_name_is_on_it_whoever_has_the_device_that_led_to_it() -> None:
    ann, bob, phone = name("user_id", 1), name("user_id", 2), ("anonymous_id", "a1")
    order = ("order", "server/o1")
    names = [(bob, phone), (ann, order), (phone, order), (order,)]
    said = [Said(f"m{at}", NOON + timedelta(minutes=at), each) for at, each in enumerate(names)]
    for come in permutations(said):
        for size in (1, 2, 4):
            await play((said, [], list(come)), size)


async def test_what_comes_late_of_a_shared_device_is_nobodys_either() -> None:
    phone = ("anonymous_id", "a1")
    minutes = [(0, "u1"), (2, "u2"), (4, "u3"), (5, None), (1, None)]
    said = [
        Said(f"m{at}", NOON + timedelta(minutes=at), (*([("user_id", who)] if who else []), phone))
        for at, who in minutes
    ]
    for order in permutations(said):
        await play((said, [], list(order)), 1, tight=True)


async def test_what_a_device_says_is_whose_it_was_decided_to_be_then_before_they_are_named() -> (
    None
):
    ann, bob, phone = name("user_id", 1), name("user_id", 2), ("anonymous_id", "a1")
    his = Ruling("d1", NOON, "join", frozenset({bob}), frozenset({phone}))
    said = [
        Said(f"m{at}", NOON + timedelta(minutes=at), (*who, phone))
        for at, who in ((5, (ann,)), (2, ()), (3, ()), (7, ()))
    ]
    for order in permutations([his, *said]):
        await play((said, [his], list(order)), 1)

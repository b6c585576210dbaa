"""One turn of build: folding, merges, what a rebuild already has, sweeps."""

import weakref

import pytest

from services.profile.build.changes import Limits
from services.profile.build.handler import Build
from services.profile.build.inbox import ABSORBED, CHANGED, RECORDED, read
from services.profile.build.kept import decode
from services.profile.build.renewal import REBUILD
from services.runtime.turn import Timer, Turn
from tests.build_world import ORIGIN, OTHER, World, again, journal
from tests.people import did, identified, ordered


@pytest.fixture
def world() -> World:
    return World()


async def test_a_profile_is_announced_once_a_turn_with_its_last_message_as_the_cause(world):
    turn = await world.turn(world.says(identified(1, plan="gold"), did("Cart Viewed", 2)))
    (change,) = journal(turn)
    assert change["profile_id"] == change["key"] == "p1"
    assert change["version"] == 1
    assert change["cause"] == {
        "message_id": "Cart Viewed@2", "name": "Cart Viewed",
        "at": "2026-03-01T12:00:02Z", "source": "shop",
    }  # fmt: skip
    assert change["changed"] == [
        "counters.Cart Viewed", "counters.Identify", "first_seen",
        "identifiers.anonymous_id", "last_seen", "preferred_hour", "traits.plan",
    ]  # fmt: skip
    assert change["profile"]["traits"] == {"plan": "gold"}
    again = await world.turn(world.says(did("Cart Viewed", 3)))
    assert [change["version"] for change in journal(again)] == [2]


async def test_a_change_tells_what_the_changed_names_held_before(world):
    said = did("Cart Viewed", 1, identifiers=(("email", "a@x.io"),))
    await world.turn(world.says(said, identified(2, plan="gold")))
    later = did("Cart Viewed", 3, context={"traits": {"plan": "lead", "city": "Ulm"}})
    (change,) = journal(await world.turn(world.says(later)))
    assert change["before"] == {
        "counters.Cart Viewed": 1, "last_seen": "2026-03-01T12:00:02Z",
        "traits.city": None, "traits.plan": "gold",
    }  # fmt: skip
    linked = did("Cart Viewed", 3, id="x", identifiers=(("email", "b@x.io"),))
    (change,) = journal(await world.turn(world.says(linked)))
    assert change["before"] == {"counters.Cart Viewed": 2, "identifiers.email": ["a@x.io"]}


async def test_a_change_is_told_where_the_profiles_records_came_from_and_a_merge_by_its_key(world):
    changed = await world.turn(world.says(did("X", 1, profile_id="A"), did("X", 1, profile_id="B")))
    merged = await world.turn(world.merges("B", into="A"))
    told = [message.partition for turn in (changed, merged) for _, message in turn.messages]
    assert told == [3, 3, 3, None]


async def test_old_values_that_are_too_much_to_tell_are_left_out(world):
    names = [f"t{number}" for number in range(5)]
    await world.turn(world.says(identified(1, **dict.fromkeys(names, "x" * 4_500))))
    (change,) = journal(await world.turn(world.says(identified(2, **dict.fromkeys(names, 1)))))
    assert set(change["changed"]) - set(change["before"]) == {"traits.t3", "traits.t4"}
    assert change["before"]["traits.t0"] == "x" * 4_500


async def test_what_was_read_ahead_of_its_turn_is_not_decoded_again(world):
    (record,) = world.says(did("Cart Viewed", 1))
    record.ahead = read(record)
    record.value = b"decoded already"
    (change,) = journal(await world.turn([record]))
    assert change["profile"]["counters"] == {"Cart Viewed": 1}


async def test_an_order_of_a_later_turn_empties_the_cart_that_was_announced(world):
    added = did("Product Added", 1, properties={"product_id": "tea", "cart_id": "c1"})
    (filled,) = journal(await world.turn(world.says(added)))
    assert [cart["cart_id"] for cart in filled["profile"]["carts"]] == ["c1"]
    (change,) = journal(await world.turn(world.says(ordered(2, cart_id="c1", revenue=5))))
    assert "carts" not in change["profile"]
    assert change["before"]["carts"] == filled["profile"]["carts"]


async def test_records_that_do_not_fit_are_rejected_and_the_next_is_unharmed(world):
    good = world.says(did("Cart Viewed", 1))
    bad = [
        world.record(b"{}", "regulars.other.v1", key="p1"),
        world.record(b"not json", RECORDED, key="p1"),
        world.record(b'{"profile_id": 7}', RECORDED, key="p1"),
        world.record(did("Cart Viewed", 1), RECORDED, key="p2"),
    ]
    turn = await world.turn([*bad, *good])
    assert [item.reason for item in turn.rejected] == [
        "unknown_type", "not_as_declared", "not_as_declared", "key_is_not_the_profile",
    ]  # fmt: skip
    assert [change["profile"]["interactions"] for change in journal(turn)] == [1]


async def test_a_replayed_interaction_counts_once_whatever_was_folded_before(world):
    seen, missed = did("Cart Viewed", 1), did("Product Viewed", 2)
    world.past.said += [missed]  # resolve stored it, and its record was rejected here
    await world.turn(world.says(seen))
    replays = [
        world.record(said, RECORDED, origin="dead-letters/x/0", dl_for="profile-build")
        for said in (missed, seen, missed)
    ]
    (change,) = journal(await world.turn(replays))
    assert change["profile"]["counters"] == {"Cart Viewed": 1, "Product Viewed": 1}
    assert journal(await world.turn(replays)) == []


async def test_a_rebuild_tells_what_was_in_the_cart_before(world):
    tea, pot = (did("Product Added", 1, properties={"product_id": id}) for id in ("tea", "pot"))
    (filled,) = journal(await world.turn(world.says(tea)))
    world.past.said += [pot]
    replay = world.record(pot, RECORDED, origin="dead-letters/x/0", dl_for="profile-build")
    (change,) = journal(await world.turn([replay]))
    assert len(change["profile"]["carts"][0]["products"]) == 2
    assert change["before"] == {
        "carts": filled["profile"]["carts"], "counters.Product Added": 1,
    }  # fmt: skip


async def test_without_its_cache_the_handler_goes_on_from_what_is_stored(world):
    await world.turn(world.says(did("Cart Viewed", 1)))
    world.build.lost(None)
    (change,) = journal(await world.turn(world.says(did("Cart Viewed", 2))))
    assert (change["version"], change["profile"]["counters"]) == (2, {"Cart Viewed": 2})


async def test_a_turn_is_gone_as_soon_as_it_is_done_with_all_that_it_read(world):
    turn = weakref.ref(await world.turn(world.says(did("Cart Viewed", 1))))
    assert turn() is None


async def test_after_an_abort_the_turn_can_be_repeated(world):
    records = world.says(did("Cart Viewed", 1))
    turn = Turn(now=world.now, session=None, records=records)
    await world.build.handle(turn)
    await turn.written()
    world.stored.rows.clear()
    world.build.lost(None)
    (change,) = journal(await world.turn(records))
    assert (change["version"], change["profile"]["interactions"]) == (1, 1)


# -- merges -------------------------------------------------------------------------------


async def test_an_absorbed_profile_becomes_a_redirect_and_tells_its_survivor(world):
    await world.turn(world.says(did("Cart Viewed", 1, profile_id="B")))
    turn = await world.turn(world.merges("B", into="A"))
    assert journal(turn) == [
        {
            "ce_type": CHANGED, "key": "B", "profile_id": "B", "version": 2,
            "changed_at": "2026-03-01T12:16:42Z", "changed": ["merged_into"], "merged_into": "A",
            "cause": {"message_id": "link", "name": "Profile Merged", "at": "2026-03-01T12:00:50Z"},
        },
        {
            "ce_type": ABSORBED, "key": "A", "profile_id": "A", "absorbed": "B",
            "message_id": "link", "at": "2026-03-01T12:00:50Z", "live": 1,
        },
    ]  # fmt: skip


async def test_the_survivor_is_computed_from_both_histories(world):
    await world.turn(world.says(did("Cart Viewed", 1, profile_id="B"), did("X", 2, profile_id="A")))
    merged = await world.turn(world.merges("B", into="A"))
    turn = await world.turn([again(merged.messages[1][1], world)])
    (change,) = journal(turn)
    assert change["merged_from"] == ["B"]
    assert change["profile"]["counters"] == {"Cart Viewed": 1, "X": 1}
    assert (change["version"], change["cause"]["name"]) == (2, "Profile Merged")
    assert {"counters.Cart Viewed", "merged_from"} <= set(change["changed"])


async def test_interactions_in_the_turn_of_the_merge_are_left_to_the_survivors_rebuild(world):
    said = world.says(did("Cart Viewed", 1, profile_id="B"))
    late = world.says(did("Cart Viewed", 2, profile_id="B"))
    merged = await world.turn([*said, *world.merges("B", into="A"), *late])
    assert merged.dropped == {"absorbed": 2}
    (change,) = journal(await world.turn([again(merged.messages[1][1], world)]))
    assert change["profile"]["counters"] == {"Cart Viewed": 2}


async def test_a_late_interaction_of_an_absorbed_profile_reaches_the_survivor_once(world):
    late = did("Cart Viewed", 3, profile_id="B")
    merged = await world.turn(world.merges("B", into="A"))
    absorbed = again(merged.messages[1][1], world)

    unknown_to_the_rebuild = world.record(late, RECORDED, seq=900)
    forwarded = await world.turn([unknown_to_the_rebuild])
    (sent,) = journal(forwarded)
    assert (sent["ce_type"], sent["key"], sent["profile_id"]) == (RECORDED, "A", "A")
    assert dict(forwarded.messages[0][1].extra) == {
        "event": b"Cart Viewed", "first_origin": ORIGIN.encode(), "first_seq": b"900",
        "first_profile": b"B",
    }  # fmt: skip

    await world.turn([absorbed])
    (change,) = journal(await world.turn([again(forwarded.messages[0][1], world)]))
    assert change["profile"]["counters"] == {"Cart Viewed": 1}


async def test_a_forwarded_interaction_that_the_rebuild_has_read_is_not_added_again(world):
    merged = await world.turn(world.merges("B", into="A"))
    forwarded = await world.turn(world.says(did("Cart Viewed", 3, profile_id="B")))
    await world.turn([again(merged.messages[1][1], world)])  # the rebuild reads it
    turn = await world.turn([again(forwarded.messages[0][1], world)])
    assert (journal(turn), turn.dropped) == ([], {"rebuilt_already": 1})


async def test_a_chain_of_merges_passes_everything_on_with_its_first_origin(world):
    to_a = await world.turn(world.merges("B", into="A"))
    forwarded = await world.turn(world.says(did("Cart Viewed", 3, profile_id="B")))
    await world.turn(world.merges("A", into="C"))
    turn = await world.turn(
        [again(to_a.messages[1][1], world), again(forwarded.messages[0][1], world)]
    )
    assert [(item["ce_type"], item["key"]) for item in journal(turn)] == [
        (RECORDED, "C"),
        (ABSORBED, "C"),
    ]
    assert dict(turn.messages[0][1].extra)["first_origin"] == ORIGIN.encode()
    (change,) = journal(await world.turn([again(turn.messages[1][1], world)]))
    assert change["merged_from"] == ["A", "B"]
    assert change["profile"]["counters"] == {"Cart Viewed": 1}


async def test_a_merge_that_is_told_twice_changes_nothing_more(world):
    await world.turn(world.merges("B", into="A"))
    turn = await world.turn(world.merges("B", into="A"))
    assert (journal(turn), turn.dropped) == ([], {"merged_already": 1})


# -- decided anew -------------------------------------------------------------------------


async def test_a_profile_that_lives_again_goes_on_from_its_last_version(world):
    await world.turn(world.says(did("Cart Viewed", 1, profile_id="B"), did("X", 2, profile_id="A")))
    merged = await world.turn(world.merges("B", into="A"))
    await world.turn([again(merged.messages[1][1], world)])
    opened, left = journal(await world.turn(world.revives("B")))
    assert {key: opened[key] for key in ("key", "version", "cause")} == {
        "key": "B", "version": 3,
        "cause": {"message_id": "d1", "name": "Identity Rearranged", "at": "2026-03-01T12:01:00Z"},
    }  # fmt: skip
    assert "counters.Cart Viewed" in opened["changed"]
    assert "merged_into" not in opened
    assert (opened["profile"]["interactions"], left["profile"]["interactions"]) == (1, 1)
    assert (left["key"], left.get("merged_from", [])) == ("A", [])
    (change,) = journal(await world.turn(world.says(did("Cart Viewed", 3, profile_id="B"))))
    assert (change["key"], change["profile"]["counters"]) == ("B", {"Cart Viewed": 2})


async def test_a_merge_that_is_heard_of_after_it_was_undone_closes_nobody(world):
    await world.turn(world.says(did("Cart Viewed", 1, profile_id="B")))
    late, early = world.merges("B", into="A"), world.revives("B")
    await world.turn(early)
    assert journal(await world.turn(late)) == []
    assert decode(world.stored.rows["B"][0]).into is None


async def test_what_a_redirect_sent_on_before_it_lived_again_is_not_added_to_another(world):
    await world.turn(world.merges("B", into="A"))
    revived = world.revives("B")
    forwarded = await world.turn(world.says(did("Cart Viewed", 3, profile_id="B")))
    world.past.seqs[ORIGIN] -= 1  # A is rebuilt from a snapshot before it
    kept, world.past.said = world.past.said, []
    await world.turn(revived[1:])
    world.past.said = kept
    turn = await world.turn([again(forwarded.messages[0][1], world)])
    assert (journal(turn), turn.dropped) == ([], {"rebuilt_already": 1})
    (opened,) = journal(await world.turn(revived[:1]))
    assert (opened["key"], opened["profile"]["interactions"]) == ("B", 1)


async def test_an_interaction_that_is_anothers_now_leaves_one_and_joins_the_other(world):
    await world.turn(world.says(did("X", 1, profile_id="A"), did("Y", 2, profile_id="B")))
    world.moves("Y@2", "A")
    ours, theirs = journal(await world.turn(world.rearranges("A", "B", history=True)))
    counters = [each["profile"].get("counters", {}) for each in (ours, theirs)]
    assert counters == [{"X": 1, "Y": 1}, {}]
    assert [each["cause"]["history"] for each in (ours, theirs)] == [True, True]


async def test_a_redirect_follows_to_whom_it_leads_now(world):
    await world.turn(world.merges("B", into="A"))
    world.past.former = {"C": ["B"]}
    changed = journal(await world.turn(world.rearranges("B")))
    assert [(each["key"], each.get("merged_into")) for each in changed] == [
        ("B", "C"),
        ("C", None),
    ]
    assert changed[0]["version"] == 2


async def test_who_is_left_to_a_later_turn_is_opened_by_its_timer():
    world = World(Limits(rebuilt=1))
    people = [did("Cart Viewed", 1, profile_id=each) for each in "AB"]
    await world.turn(world.says(*people))
    merged = await world.turn(world.merges("B", into="A"))
    await world.turn([again(merged.messages[1][1], world)])
    turn = await world.turn(world.revives("B"))
    told = journal(turn)
    while turn.timers_set:
        turn = await world.fire(turn)
        told += journal(turn)
    assert {each["key"]: each["profile"]["interactions"] for each in told} == {"A": 1, "B": 1}
    assert decode(world.stored.rows["B"][0]).rearranged


# -- computed traits declared later -------------------------------------------------------


async def test_a_touched_profile_is_rebuilt_once_a_new_computed_trait_is_declared(world):
    await world.turn(world.says(did("Cart Viewed", 1)))
    world.declared.declare("carts", event="Cart Viewed")
    (change,) = journal(await world.turn(world.says(did("Cart Viewed", 2))))
    assert change["profile"]["computed"] == {"carts": {"count": 2}}
    assert "computed.carts" in change["changed"]
    (change,) = journal(await world.turn(world.says(did("Cart Viewed", 3))))
    assert change["profile"]["computed"] == {"carts": {"count": 3}}


async def test_whom_a_new_computed_trait_cannot_be_about_gets_it_without_their_history(world):
    await world.build.assigned([world.source])
    await world.fire(await world.turn(world.says(did("Cart Viewed", 1))))
    world.declared.declare("carts", event="cart viewed")
    await world.fire(await world.fire(await world.turn()))
    world.past.said.clear()  # whoever reads it now finds nothing
    world.declared.declare("orders", event="Order Completed")
    (change,) = journal(await world.fire(await world.turn()))
    assert change["profile"]["computed"] == {"carts": {"count": 1}, "orders": {"count": 0}}
    assert change["changed"] == ["computed.orders"]
    assert change["cause"]["name"] == "Computed Traits Changed"


async def test_a_computed_trait_that_is_withdrawn_leaves_every_profile(world):
    await world.build.assigned([world.source])
    world.declared.declare("carts", event="Cart Viewed")
    world.declared.declare("orders", event="Order Completed")
    await world.fire(await world.turn(world.says(did("Cart Viewed", 1))))
    world.declared.withdraw("carts")
    (change,) = journal(await world.fire(await world.turn()))
    assert change["profile"]["computed"] == {"orders": {"count": 0}}
    assert change["changed"] == ["computed.carts"]


async def test_who_is_computed_again_when_a_trait_is_withdrawn_is_told_to_have_it_no_more(world):
    await world.build.assigned([world.source])
    world.declared.declare("reads", event="Article Read")
    world.declared.declare("orders", event="Order Completed")
    await world.turn(world.says(did("Article Read", 1)))
    world.declared.withdraw("reads")
    world.declared.withdraw("orders")
    world.declared.rebuild()
    (change,) = journal(await world.turn(world.says(did("Article Read", 2))))
    assert "computed" not in change["profile"]
    assert set(change["changed"]) >= {"computed.reads", "computed.orders"}
    assert change["before"] == {"counters.Article Read": 1, "last_seen": "2026-03-01T12:00:01Z"}


async def test_a_profile_that_was_found_to_be_merged_before_it_was_told_says_what_it_is_known_by(
    world,
):
    await world.turn(world.says(did("Cart Viewed", 1)))
    world.past.former["p2"] = ["p1"]
    turn = await world.turn(timers=[Timer(world.source, REBUILD + "p1", world.now, b"")])
    (change, absorbed) = journal(turn)
    assert (change["merged_into"], absorbed["absorbed"]) == ("p2", "p1")
    assert (change["cause"]["message_id"], change["cause"]["name"]) == (
        "identity",
        "Profile Merged",
    )


async def test_asked_to_every_profile_is_computed_again_from_its_history(world):
    await world.build.assigned([world.source])
    await world.fire(await world.turn(world.says(did("Cart Viewed", 1))))
    world.past.said.append(did("Cart Viewed", 2))  # as if a record had been lost
    world.declared.rebuild()
    (change,) = journal(await world.fire(await world.turn()))
    assert change["profile"]["counters"] == {"Cart Viewed": 2}


async def test_a_partition_has_a_trait_once_nobody_lacks_it_and_as_long_as_it_is_defined():
    world = World(Limits(swept=2))
    await world.build.assigned([world.source])
    people = [did("Cart Viewed", 1, profile_id=f"p{number}") for number in range(3)]
    await world.fire(await world.turn(world.says(*people)))
    world.declared.declare("carts", event="Cart Viewed")
    turn, had = await world.turn(), []
    while turn.timers_set:
        turn = await world.fire(turn)
        had.append(list(world.stored.sweeps[world.source.id].has))
    assert had == [[], [], ["carts"]]
    world.declared.withdraw("carts")
    await world.turn()
    assert world.stored.sweeps[world.source.id].has == {}


async def test_records_that_a_rebuild_has_read_are_skipped_when_they_arrive(world):
    first, second = world.says(did("Cart Viewed", 1), did("Cart Viewed", 2))
    await world.turn([first])
    world.declared.declare("carts", event="Cart Viewed")
    third = world.says(did("Cart Viewed", 3))
    await world.turn(third)  # reads all three
    turn = await world.turn([second])
    assert (journal(turn), turn.dropped) == ([], {"rebuilt_already": 1})


async def test_a_sweep_walks_the_partition_in_chunks_until_nobody_is_behind():
    world = World(Limits(swept=2))
    await world.build.assigned([world.source])
    people = [did("Cart Viewed", 1, profile_id=f"p{number}") for number in range(5)]
    turn = await world.turn(world.says(*people))
    while turn.timers_set:
        turn = await world.fire(turn)
        assert turn.messages == []
    world.declared.declare("carts", event="Cart Viewed")
    turn = await world.turn()
    swept: list[str] = []
    while turn.timers_set:
        turn = await world.fire(turn)
        assert len(turn.messages) <= 2
        swept += [change["key"] for change in journal(turn)]
        assert all(item["profile"]["computed"] == {"carts": {"count": 1}} for item in journal(turn))
    assert swept == ["p0", "p1", "p2", "p3", "p4"]


async def test_a_sweep_goes_on_with_whom_a_turn_had_no_room_for_and_is_done_after_them():
    world = World(Limits(swept=3, rebuilt=3))
    await world.build.assigned([world.source])
    people = [did("Cart Viewed", at, profile_id=f"p{n}") for n in range(4) for at in range(3)]
    await world.turn(world.says(*people))
    world.declared.declare("carts", event="Cart Viewed")
    turn = await world.turn()
    swept: list[str] = []
    while turn.timers_set:
        turn = await world.fire(turn)
        swept += [change["key"] for change in journal(turn)]
        done = world.stored.sweeps[world.source.id].done
        assert done == (len(swept) == 4 and not turn.timers_set)
    assert swept == ["p0", "p1", "p2", "p3"]


async def test_a_sweep_is_not_done_before_whoever_has_to_wait_though_something_happens_to_them():
    world = World(Limits(swept=3, rebuilt=3))
    await world.build.assigned([world.source])
    people = [did("Cart Viewed", at, profile_id=f"p{n}") for n in range(3) for at in range(3)]
    await world.turn(world.says(*people))
    world.declared.declare("carts", event="Cart Viewed")
    asked = await world.turn()
    again = world.says(*(did("Cart Viewed", 9, profile_id=f"p{n}") for n in range(3)))
    turn = await world.turn(again, timers=list(asked.timers_set.values()))
    assert [change["key"] for change in journal(turn)] == ["p0"]
    assert world.stored.sweeps[world.source.id].cursor == "p0"


async def test_a_new_owner_goes_on_where_the_last_one_was_and_looks_at_nobody_where_it_was_done():
    world = World(Limits(swept=2))
    await world.build.assigned([world.source])
    people = [did("Cart Viewed", 1, profile_id=f"p{number}") for number in range(3)]
    await world.turn(world.says(*people))
    world.declared.declare("carts", event="Cart Viewed")
    turn = await world.fire(await world.turn())
    assert [change["key"] for change in journal(turn)] == ["p0", "p1"]
    world.build = Build(world.stored, world.past, world.declared)
    await world.build.assigned([world.source])
    assert world.stored.sweeps[world.source.id].cursor == "p1"
    turn = await world.fire(await world.turn())
    assert [change["key"] for change in journal(turn)] == ["p2"]
    await world.fire(turn)
    world.build = Build(world.stored, world.past, world.declared)
    await world.build.assigned([world.source])
    assert (await world.turn()).timers_set == {}


async def test_a_sweep_takes_fewer_at_once_after_a_turn_that_failed():
    world = World(Limits(swept=4))
    await world.build.assigned([world.source])
    people = [did("Cart Viewed", 1, profile_id=f"p{number}") for number in range(8)]
    await world.fire(await world.turn(world.says(*people)))
    world.declared.declare("carts", event="Cart Viewed")
    asked = await world.turn()
    world.build.lost(None)
    turn = await world.fire(asked)
    assert len(turn.messages) == 2
    while turn.timers_set:
        turn = await world.fire(turn)
    assert len({stored[2] for stored in world.stored.rows.values()}) == 1


async def test_a_new_owner_sweeps_what_the_last_one_left_behind():
    world = World()
    await world.turn(world.says(did("Cart Viewed", 1)))
    world.declared.declare("carts", event="Cart Viewed")
    woken: list[str] = []
    successor = Build(world.stored, world.past, world.declared)
    successor.wake = lambda source_id, body: woken.append(source_id)
    await successor.assigned([world.source])
    world.build = successor
    assert woken == [world.source.id]
    (change,) = journal(await world.fire(await world.turn()))
    assert change["profile"]["computed"] == {"carts": {"count": 1}}


async def test_the_same_definition_put_again_rebuilds_nobody(world):
    world.declared.declare("carts", event="Cart Viewed")
    await world.turn(world.says(did("Cart Viewed", 1)))
    before = world.stored.rows.copy()
    await world.build.assigned([world.source])
    world.declared.declare("carts", event="Cart Viewed")
    await world.fire(await world.turn())
    assert world.stored.rows == before


async def test_rebuilds_beyond_a_turns_budget_come_with_timers():
    world = World(Limits(rebuilt=1))
    people = [did("Cart Viewed", 1, profile_id=f"p{number}") for number in range(3)]
    await world.turn(world.says(*people))
    world.declared.declare("carts", event="Cart Viewed")
    again = [did("Cart Viewed", 2, profile_id=f"p{number}") for number in range(3)]
    turn = await world.turn(world.says(*again))
    counts: list[tuple[str, int]] = []
    while turn.messages:
        counts += [
            (item["key"], item["profile"]["computed"]["carts"]["count"]) for item in journal(turn)
        ]
        turn = await world.fire(turn)
    assert sorted(counts) == [("p0", 2), ("p1", 2), ("p2", 2)]


async def test_a_profile_that_would_grow_too_large_takes_no_more_and_harms_nobody_else():
    world = World(Limits(state_bytes=700))
    await world.turn(world.says(identified(1, plan="x" * 200)))
    large, other = identified(2, id="m2", bio="x" * 600), did("Cart Viewed", 3, profile_id="p2")
    turn = await world.turn(world.says(large, other))
    assert [item.reason for item in turn.rejected] == ["profile_too_large"]
    assert [change["key"] for change in journal(turn)] == ["p2"]
    (change,) = journal(await world.turn(world.says(did("Cart Viewed", 4))))
    assert sorted(change["profile"]["traits"]) == ["plan"]


async def test_once_the_partition_is_past_a_rebuild_its_vector_is_forgotten(world):
    await world.turn(world.says(did("Cart Viewed", 1)))
    world.declared.declare("carts", event="Cart Viewed")
    await world.turn(world.says(did("Cart Viewed", 2)))
    assert decode(world.stored.rows["p1"][0]).vector == {ORIGIN: 2, OTHER: 0}
    await world.turn(world.says(did("Cart Viewed", 3)))
    assert decode(world.stored.rows["p1"][0]).vector == {}


# -- imported history ---------------------------------------------------------------------


async def test_what_only_imported_history_has_changed_says_so(world):
    old = did("Order Completed", 1, history=True)
    (change,) = journal(await world.turn(world.says(old)))
    assert change["cause"] == {
        "message_id": "Order Completed@1", "name": "Order Completed",
        "at": "2026-03-01T12:00:01Z", "source": "shop", "history": True,
    }  # fmt: skip
    (change,) = journal(await world.turn(world.says(did("Cart Viewed", 2))))
    assert "history" not in change["cause"]


async def test_among_history_and_a_live_message_the_live_one_is_the_cause(world):
    old = did("Order Completed", 1, history=True), did("Order Completed", 0, history=True)
    said = [old[0], did("Cart Viewed", 900), old[1]]
    (change,) = journal(await world.turn(world.says(*said)))
    assert change["cause"] == {
        "message_id": "Cart Viewed@900", "name": "Cart Viewed",
        "at": "2026-03-01T12:15:00Z", "source": "shop",
    }  # fmt: skip


async def rebuilt(world: World, merged: Turn, *more) -> dict:
    """The survivor's change after ``merged``."""
    (change,) = journal(await world.turn([again(merged.messages[1][1], world), *more]))
    return change


async def test_a_merge_by_an_imported_event_is_history(world):
    await world.turn(world.says(did("Cart Viewed", 1, profile_id="B"), did("X", 2, profile_id="A")))
    merged = await world.turn(world.merges("B", into="A", history=True))
    redirect, absorbed = journal(merged)
    assert (redirect["cause"]["history"], absorbed["history"], absorbed["live"]) == (True, True, 1)
    imported = world.says(did("Order Completed", 3, profile_id="A", history=True))
    change = await rebuilt(world, merged, *imported)
    assert (change["merged_from"], change["cause"]["history"]) == (["B"], True)


async def test_a_merge_is_no_history_when_it_brings_a_live_event_with_it(world):
    await world.turn(world.says(did("Cart Viewed", 1, profile_id="B"), did("X", 2, profile_id="A")))
    live = world.says(did("Cart Viewed", 3, profile_id="B"))
    merged = await world.turn([*live, *world.merges("B", into="A", history=True)])
    assert "history" not in (await rebuilt(world, merged))["cause"]


async def test_a_merge_is_no_history_when_its_rebuild_reads_ahead_of_a_live_event(world):
    await world.turn(world.says(did("Cart Viewed", 1, profile_id="B"), did("X", 2, profile_id="A")))
    merged = await world.turn(world.merges("B", into="A", history=True))
    live = world.says(did("Cart Viewed", 3, profile_id="B"))
    assert "history" not in (await rebuilt(world, merged))["cause"]
    sent_on = (await world.turn(live)).messages
    turn = await world.turn([again(message, world) for _, message in sent_on])
    assert (journal(turn), turn.dropped) == ([], {"rebuilt_already": 1})


async def test_a_live_merge_of_imported_profiles_is_no_history(world):
    await world.turn(world.says(did("X", 1, profile_id="B", history=True)))
    merged = await world.turn(world.merges("B", into="A"))
    assert "history" not in (await rebuilt(world, merged))["cause"]


async def test_a_new_computed_trait_is_no_history_whoever_brings_it(world):
    await world.turn(world.says(did("Cart Viewed", 1)))
    world.declared.declare("carts", event="Cart Viewed")
    (change,) = journal(await world.turn(world.says(did("X", 2, history=True))))
    assert "computed.carts" in change["changed"]
    assert "history" not in change["cause"]

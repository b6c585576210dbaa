"""Build's handler when somebody absorbs others: what it reads, and that nothing is lost by that."""

from typing import Any

import msgspec
import pytest

from services.profile.build.kept import decode
from services.runtime.turn import Turn
from tests.build_world import World, again, journal
from tests.people import did, ordered


@pytest.fixture
def world() -> World:
    return World()


async def survives(world: World, merged: Turn) -> dict[str, Any]:
    """The survivor's change after ``merged``."""
    told = [message for _, message in merged.messages if message.topic == "profile.interactions"]
    (change,) = journal(await world.turn([again(message, world) for message in told]))
    return change


async def test_who_absorbs_another_takes_in_their_history_and_reads_its_own_no_more(world):
    await world.turn(world.says(did("Cart Viewed", 1, profile_id="B"), did("X", 2, profile_id="A")))
    merged = await world.turn(world.merges("B", into="A"))
    live = world.says(did("Cart Viewed", 3, profile_id="A"))
    world.past.read.clear()
    joined = await survives(world, merged)
    assert (world.past.read, joined["profile"]["interactions"]) == ([{"B"}], 2)
    (change,) = journal(await world.turn(live))
    assert (change["cause"]["name"], change["profile"]["interactions"]) == ("Cart Viewed", 3)


async def test_who_was_absorbed_into_one_that_has_them_already_is_read_with_all(world):
    """B became A's and A became C's before B was closed: what B was told meanwhile is missing."""
    await world.turn(world.says(*(did("X", 1, profile_id=each) for each in "ABC")))
    to_a, to_c = world.merges("B", into="A"), world.merges("A", into="C")
    of_a = await world.turn(to_c)
    await survives(world, of_a)
    of_b = await world.turn([*world.says(did("X", 2, profile_id="B")), *to_a])
    world.past.read.clear()
    change = await survives(world, of_b)
    assert (world.past.read, change["profile"]["interactions"]) == ([{"A", "B", "C"}], 4)


async def test_after_some_merges_all_of_a_history_is_read_once_more_and_one_vector_kept(world):
    others = "BCDEF"
    await world.turn(world.says(*(did("X", 1, profile_id=each) for each in "A" + others)))
    kept = []
    for other in others:
        await survives(world, await world.turn(world.merges(other, into="A")))
        kept.append(sorted(decode(world.stored.rows["A"][0]).joined))
    assert kept == [["B"], ["B", "C"], [], ["E"], ["E", "F"]]
    for other in "ADF":
        late = (await world.turn(world.says(did("X", 2, profile_id=other)))).messages
        await world.turn([again(m, world) for _, m in late if m.topic == "profile.interactions"])
    assert decode(world.stored.rows["A"][0]).state.interactions == 9


@pytest.mark.parametrize(("teller", "has"), ["AB", "BA"])
async def test_an_order_that_was_handed_on_between_two_who_are_one_now_is_theirs(
    world, teller, has
):
    bought = msgspec.structs.replace(ordered(1), profile_id=teller, handed_to=has)
    await world.turn(world.says(did("X", 1, profile_id="A"), did("X", 1, profile_id="B"), bought))
    change = await survives(world, await world.turn(world.merges("B", into="A")))
    assert (change["profile_id"], change["profile"]["order_count"]) == ("A", 1)


async def test_who_is_told_of_a_merge_and_of_a_loss_at_once_is_read_with_all(world):
    said = [did("X", second, profile_id=each) for second, each in enumerate("AABC")]
    await world.turn(world.says(*said))
    merged = await world.turn(world.merges("B", into="A"))
    world.moves(world.past.said[0].interaction_id, "C")
    lost, _ = world.rearranges("A", "C")
    absorbed = again(merged.messages[1][1], world)
    (change,) = journal(await world.turn([absorbed, lost]))
    assert change["profile"]["interactions"] == 2


async def test_who_absorbs_another_before_a_new_computed_trait_was_counted_has_it_whole(world):
    await world.turn(world.says(*(did("Cart Viewed", 1, profile_id=each) for each in "AB")))
    merged = await world.turn(world.merges("B", into="A"))
    world.declared.declare("carts", event="Cart Viewed")
    change = await survives(world, merged)
    assert change["profile"]["computed"] == {"carts": {"count": 2}}

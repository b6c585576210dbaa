"""What an operator asks of profiles: computed again, compared, and told what is wrong."""

from typing import Any

import pytest

from services.profile.build.kept import encode
from services.profile.build.rules.computed import Traits
from services.profile.repair.proving import Proof, is_right
from tests.e2e.test_build_store import Shop, client, database, shop
from tests.people import did, identified

__all__ = ["client", "database", "shop"]

pytestmark = pytest.mark.broker


def proof(shop: Shop) -> Proof:
    return Proof(shop.client, shop.profiles, shop.history, shop.build.sweep.traits)


async def spoiled(shop: Shop, profile_id: str) -> None:
    """As a bug or a broken disk would leave it."""
    kept = (await shop.profiles.load([profile_id], None))[profile_id]
    kept.state.counters["Cart Viewed"] = 7
    await shop.database["profiles"].update_one({"_id": profile_id}, {"$set": {"b": encode(kept)}})


async def people(shop: Shop) -> None:
    said = [did("Cart Viewed", second, profile_id=f"p{second % 5}") for second in range(20)]
    await shop.turn(await shop.resolved(*said, identified(30, profile_id="p1", plan="gold")))
    await shop.database["people"].update_many({}, {"$set": {"members": []}})


async def test_profiles_that_are_their_history_are_proven_right(shop):
    await people(shop)
    assert [found async for found in proof(shop).wrong(0)] == [(5, [])]


async def test_a_profile_that_is_not_its_history_is_named(shop):
    await people(shop)
    await spoiled(shop, "p3")
    assert [found async for found in proof(shop).wrong(0)] == [(5, ["p3"])]


async def test_what_resolve_has_stored_and_build_has_yet_to_read_is_no_difference(shop):
    await people(shop)
    await shop.resolved(did("Cart Viewed", 99, profile_id="p3"))
    assert await proof(shop).wrong_of(["p3"], 0) == []
    await spoiled(shop, "p3")
    assert await proof(shop).wrong_of(["p3"], 0) == ["p3"]


async def test_one_interaction_too_many_or_other_definitions_are_a_difference(
    shop,
):
    await people(shop)
    kept = (await shop.profiles.load(["p1"], None))["p1"]
    past = [did("Cart Viewed", second, profile_id="p1") for second in (1, 6, 11, 16)]
    past.append(identified(30, profile_id="p1", plan="gold"))
    traits = shop.build.sweep.traits
    assert is_right(kept, past, traits)
    assert not is_right(kept, past[:-1], traits)
    assert not is_right(kept, past, Traits({}, generation=1))


async def test_a_rebuild_of_everything_repairs_what_is_wrong_and_leaves_the_rest(shop):
    await shop.build.assigned([shop.source])
    await people(shop)
    await spoiled(shop, "p3")
    shop.build.lost(None)
    versions = {id_: one.version for id_, one in (await stored(shop)).items()}
    shop.declared.rebuild()
    turn = await shop.turn()
    while turn.timers_set:
        turn = await shop.turn(timers=list(turn.timers_set.values()))
    assert [found async for found in proof(shop).wrong(0)] == [(5, [])]
    after = {id_: one.version for id_, one in (await stored(shop)).items()}
    assert after == versions | {"p3": versions["p3"] + 1}
    (progress,) = await shop.profiles.all_progress()
    assert (progress.done, progress.generation) == (True, shop.declared.revision)
    coverage = await shop.profiles.coverage([progress.fingerprint])
    assert (coverage.done, coverage.of) == (5, 5)


async def stored(shop: Shop) -> Any:
    return await shop.profiles.load([f"p{number}" for number in range(5)], None)

"""resolve and build killed while they decide anew: a sweep of everybody, and who is who.

In the end every profile must be, byte for byte, what a fold makes of its interactions that no
worker had a hand in, and its people those of an oracle that knows no service.
"""

import asyncio
import random
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from schemas.messages import Interaction, ProfileChanged
from services.profile.build.inbox import REARRANGED
from services.profile.build.kept import Kept, encode
from services.profile.build.model import State, encode_state
from services.profile.build.rules.computed import Traits
from services.profile.build.rules.fold import fold
from services.profile.build.store import ProfileStore
from services.profile.repair.asking import Desk
from services.profile.resolve.store import IdentityStore
from services.runtime.checkpoints import decode
from services.runtime.mongo import UpdateOne
from tests.faults.cluster import Cluster, unique_namespace
from tests.faults.processes import exited
from tests.faults.test_profile import STAGES, WORKERS, start
from tests.identity_oracle import Said, world_of
from tests.identity_stories import NOON, body

pytestmark = [pytest.mark.broker, pytest.mark.fault]

CROWD = 1_800
"""More than one firing of each partition's sweep takes up."""


@pytest.fixture
async def cluster(stack: Any, tmp_path: Path) -> AsyncIterator[Cluster]:
    cluster = Cluster(stack, unique_namespace(), tmp_path)
    await cluster.create_topics(WORKERS)
    yield cluster
    await cluster.close()


# -- what must be ----------------------------------------------------------------------------


async def histories(cluster: Cluster) -> dict[str, list[Interaction]]:
    """The interactions of everybody, under the id that resolve says they go by, in no order."""
    database = cluster.database("profile")
    found = [document async for document in database["interactions"].find({}, {"p": 1, "b": 1})]
    random.Random(5).shuffle(found)
    people = await IdentityStore(database).people({one["p"] for one in found}, None)
    said = defaultdict(list)
    for one in found:
        interaction = msgspec.json.decode(one["b"], type=Interaction)
        said[people[one["p"]].into or one["p"]].append(interaction)
    return said


def folded(said: Sequence[Interaction]) -> bytes:
    state = State()
    for interaction in said:
        fold(state, interaction, Traits({}), set())
    return encode_state(state)


async def stored(cluster: Cluster) -> dict[str, Kept]:
    """The profiles that are nobody's redirect."""
    profiles = ProfileStore(cluster.database("profile"))
    ids = [document["_id"] async for document in cluster.database("profile")["profiles"].find({})]
    return {id_: kept for id_, kept in (await profiles.load(ids, None)).items() if not kept.into}


async def check(cluster: Cluster) -> dict[str, list[Interaction]]:
    """Every stored and every announced profile is the fold over its history; the histories."""
    await cluster.quiet(STAGES)
    said = await histories(cluster)
    kept = await stored(cluster)
    assert {id_: encode_state(one.state) for id_, one in kept.items()} == {
        id_: folded(history) for id_, history in said.items()
    }
    announced = {
        record.key.decode(): msgspec.json.decode(record.value, type=ProfileChanged)
        for record in sorted(
            await cluster.records("profile.changes"), key=lambda one: (one.partition, one.offset)
        )
    }
    assert {
        id_: (one.version, one.profile.interactions, one.profile.counters)
        for id_, one in announced.items()
        if one.profile is not None
    } == {id_: (o.version, o.state.interactions, o.state.counters) for id_, o in kept.items()}
    return said


# -- a sweep ---------------------------------------------------------------------------------


def arrival(number: int, event: str = "Product Viewed") -> tuple[str, bytes]:
    user = f"u{number % CROWD}"
    said = {"messageId": f"{event}-{number}", "type": "track", "event": event, "userId": user}
    at = (NOON + timedelta(seconds=number)).isoformat()
    return user, msgspec.json.encode(said | {"timestamp": at, "receivedAt": at})


async def spoil(cluster: Cluster, *profile_ids: str) -> None:
    """As a bug would have left these profiles; without any, all of them."""
    writes = []
    for id_, kept in (await stored(cluster)).items():
        if not profile_ids or id_ in profile_ids:
            kept.state.counters["Cart Viewed"] = 7
            writes.append(UpdateOne({"_id": id_}, {"$set": {"b": encode(kept)}}))
    await cluster.database("profile")["profiles"].bulk_write(writes)


async def regulars(cluster: Cluster, *command: str) -> tuple[int | None, str]:
    """A command of an operator: (exit code, what it prints)."""
    process = cluster.start([sys.executable, "-m", "services.cli", *command])
    await exited(process)
    return process.exit_code, process.log_path.read_text()


async def outdate(cluster: Cluster) -> None:
    """As a version that kept other states would have left all profiles."""
    database, other = cluster.database("profile"), {"fingerprint": "of another layout"}
    await database["profiles"].update_many(
        {}, {"$rename": {"b": "b0"}, "$set": {"f": other["fingerprint"]}}
    )
    await database["sweeps"].update_many({}, {"$set": other | {"generation": -1}})
    await database["layouts"].update_one({"_id": "profile-build"}, {"$set": {"version": 0}})


async def behind(cluster: Cluster) -> int:
    """How many profiles are still as they were spoiled or outdated."""
    known = (await stored(cluster)).values()
    return sum(one.unread or "Cart Viewed" in one.state.counters for one in known)


async def test_killed_in_the_middle_of_a_rebuild_of_everybody_each_profile_is_its_history(
    cluster: Cluster,
) -> None:
    start(cluster, "profile-resolve")
    build = start(cluster, "profile-build")
    await cluster.produce("events.clicks", [arrival(number) for number in range(CROWD)])
    await cluster.quiet(STAGES)
    desk = Desk(cluster.settings, cluster.database("profile"))
    for way in ("asked for, after a bug", "of another layout"):
        build.stop()
        generation = 0
        if way == "of another layout":
            await outdate(cluster)
        else:
            await spoil(cluster)
            generation = await desk.ask_for_all()
        victim = start(cluster, "profile-build", failpoint="stored:3")
        await exited(victim)
        assert victim.exit_code == -9
        assert 0 < await behind(cluster) < CROWD  # in the middle
        build = start(cluster, "profile-build")
        await cluster.produce("events.clicks", [arrival(number, way) for number in range(99)])
        async with asyncio.timeout(60):
            [*_, last] = [far async for far in desk.follow(generation)]
        assert (last.done, last.of, await behind(cluster)) == (CROWD, CROWD, 0)
        said = await check(cluster)

    one = min(said)
    await spoil(cluster, one)
    code, printed = await regulars(cluster, "profile", "rebuild", one)
    assert (code, f"rebuilt {one}" in printed) == (0, True)
    await check(cluster)
    code, printed = await regulars(cluster, "profile", "rebuild", "--all", "--verify")
    assert (code, f"{CROWD} profiles are, byte for byte" in printed) == (0, True)


# -- who is who ------------------------------------------------------------------------------


def shared(device: int) -> tuple[list[Said], Said]:
    """What three people did on one device, and who the second was, which comes last."""

    def said(minute: int, *names: tuple[str, str]) -> Said:
        at = NOON + timedelta(minutes=minute)
        return Said(f"m{device}-{minute}", at, (*names, ("anonymous_id", f"a{device}")))

    def user(name: str) -> tuple[str, str]:
        return "user_id", f"{name}{device}"

    known = [said(10), said(20, user("a")), said(30), said(40, user("c")), said(50)]
    return known, said(25, user("b"))


async def test_killed_while_people_are_decided_anew_everybody_is_who_the_oracle_says(
    cluster: Cluster,
) -> None:
    stories = [shared(device) for device in range(20)]
    known, late = [one for said, _ in stories for one in said], [last for _, last in stories]
    workers = [start(cluster, name) for name in WORKERS]
    await cluster.produce("events.clicks", [(one.id, body(one)) for one in known])
    await cluster.quiet(STAGES)
    for worker in workers:
        worker.stop()

    before = await left_to_say(cluster)
    build = start(cluster, "profile-build", failpoint="stored:1")
    await cluster.produce("events.clicks", [(one.id, body(one)) for one in late])
    await killed(start(cluster, "profile-resolve", failpoint="stored:1"))
    assert await left_to_say(cluster) == before  # nothing was committed
    await killed(start(cluster, "profile-resolve", failpoint="committed:1"))
    assert await left_to_say(cluster) - before  # and nothing of it was published
    start(cluster, "profile-resolve")
    await killed(build)
    await killed(start(cluster, "profile-build", failpoint="committed:1"))
    start(cluster, "profile-build")
    found = await check(cluster)
    people = {frozenset(one.interaction_id for one in history) for history in found.values()}
    assert people == world_of([*known, *late]).people()


async def killed(worker: Any) -> None:
    """Until it has come to its failpoint."""
    await exited(worker)
    assert worker.exit_code == -9


async def left_to_say(cluster: Cluster) -> set[bytes]:
    """The ids of the words, in outboxes, that somebody has other interactions now."""
    checkpoints = cluster.database("profile")["checkpoints"]
    stored = [decode(one["outbox"]) async for one in checkpoints.find({"outbox": {"$exists": 1}})]
    found = [dict(output.headers) for outputs in stored for output in outputs]
    return {one["ce_id"] for one in found if one.get("ce_type") == REARRANGED.encode()}

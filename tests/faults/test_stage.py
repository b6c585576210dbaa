"""The stage on real servers: whatever happens to a worker, each record counts once.

Two toy stages in a row (tests/faults/toy.py) count records by key; a lost or doubled one
shows. The last tests break the stage on purpose and see the same check fail.
"""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from schemas.messages import Definition
from services.runtime.definitions import Definitions
from services.runtime.offsets import Offsets
from tests.faults.cluster import Cluster, unique_namespace
from tests.faults.lossy import Lossy
from tests.faults.processes import exited, stopped

pytestmark = [pytest.mark.broker, pytest.mark.fault]

STAGES = {
    "relay": ("toy_relay", ["events.clicks"]),
    "counter": ("toy_counter", ["profile.interactions"]),
}
STEPS = ["read", "handled", "stored", "committed", "published"]
_RACES = 8
_LOST = 12
"""Answers in a row: more than a commit is repeated."""


@pytest.fixture
async def cluster(stack: Any, tmp_path: Path) -> AsyncIterator[Cluster]:
    cluster = Cluster(stack, unique_namespace(), tmp_path)
    await cluster.create_topics(list(STAGES))
    yield cluster
    await cluster.close()


def records(first: int, count: int) -> list[tuple[str, bytes]]:
    """Records of forty keys."""
    return [(f"key-{n % 40}", b"%d" % n) for n in range(first, first + count)]


async def counts(cluster: Cluster) -> Counter[str]:
    """What the counter made of it."""
    documents = cluster.database("toy_counter")["counts"].find({})
    return Counter({item["_id"]: item["n"] async for item in documents})


async def until_counted(cluster: Cluster, least: int) -> None:
    async with asyncio.timeout(30):
        while (await counts(cluster)).total() < least:
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("stage", list(STAGES))
async def test_a_worker_killed_between_any_two_steps_loses_and_doubles_nothing(
    cluster: Cluster, stage: str
) -> None:
    other = next(name for name in STAGES if name != stage)
    cluster.toy(other)
    sent = Counter[str]()
    for number, step in enumerate(STEPS):
        victim = cluster.toy(stage, failpoint=f"{step}:3", batch_records="50")
        sent += await cluster.produce("events.clicks", records(number * 500, 500))
        await exited(victim)
        assert victim.exit_code == -9
    cluster.toy(stage)
    await cluster.quiet(STAGES)
    assert await counts(cluster) == sent


async def test_poison_becomes_a_dead_letter_and_its_neighbours_count(cluster: Cluster) -> None:
    cluster.toy("relay")
    cluster.toy("counter")
    sent = await cluster.produce("events.clicks", records(0, 200))
    await cluster.produce("events.clicks", [("key-1", b"poison")])
    sent += await cluster.produce("events.clicks", records(200, 200))
    await cluster.quiet(STAGES)
    assert await counts(cluster) == sent
    (dead,) = await cluster.records("events.clicks.dead")
    headers = dict(dead.headers)
    assert dead.value == b"poison"
    assert headers["dl_reason"] == b"poison"
    assert headers["dl_topic"] == b"events.clicks"
    assert headers["dl_stage"] == b"relay"


async def test_a_record_on_which_the_handler_always_fails_is_found_and_set_aside(
    cluster: Cluster,
) -> None:
    cluster.toy("relay")
    cluster.toy("counter")
    mixed = records(0, 300)
    mixed.insert(150, ("key-1", b"crash"))
    sent = await cluster.produce("events.clicks", mixed)
    sent["key-1"] -= 1
    await cluster.quiet(STAGES)
    assert await counts(cluster) == sent
    (dead,) = await cluster.records("events.clicks.dead")
    assert dead.value == b"crash"
    assert dict(dead.headers)["dl_reason"] == b"handler_failed"


async def test_a_timer_fires_once_and_not_before_its_instant(cluster: Cluster) -> None:
    cluster.toy("relay")
    cluster.toy("counter")
    await cluster.produce("events.clicks", [(f"timer-{n}", b"") for n in range(20)])
    fired = {f"fired-timer-{n}": 1 for n in range(20)}
    await until_counted(cluster, 40)
    assert {k: n for k, n in (await counts(cluster)).items() if k in fired} == fired
    late = cluster.database("toy_counter")["counts"].find({"_id": {"$regex": "^fired"}})
    assert all([item["late"] >= 0 async for item in late])
    assert await cluster.database("toy_counter")["timers"].count_documents({}) == 0


async def test_a_worker_that_was_stopped_while_another_took_over_cannot_commit(
    cluster: Cluster,
) -> None:
    sent = await zombie_story(cluster, "")
    assert await counts(cluster) == sent


async def zombie_story(cluster: Cluster, fault: str) -> Counter[str]:
    """A worker stops inside a turn, another does its work, and it goes on; what was sent."""
    cluster.toy("relay")
    zombie = cluster.toy(
        "counter", fault, worker_id="zombie", failpoint="handled:3:stop", batch_records="50"
    )
    sent = await cluster.produce("events.clicks", records(0, 500))
    await stopped(zombie)
    cluster.toy("counter", worker_id="heir")
    await cluster.quiet(STAGES, outboxes=not fault)
    zombie.resume()
    sent += await cluster.produce("events.clicks", records(500, 500))
    await cluster.quiet(STAGES, outboxes=not fault)
    return sent


async def test_a_commit_whose_answer_got_lost_counts_once(cluster: Cluster) -> None:
    sent = await lost_answers_story(cluster, "")
    await cluster.quiet(STAGES)
    assert await counts(cluster) == sent


async def lost_answers_story(cluster: Cluster, fault: str) -> Counter[str]:
    """A worker does not hear that what it did is stored, again and again; what was sent."""
    cluster.toy("relay")
    async with Lossy(cluster.stack.mongod.port) as way:
        cluster.toy("counter", fault, mongo_url=way.url, batch_records="50")
        sent = await cluster.produce("events.clicks", records(0, 200))
        await until_counted(cluster, 200)
        way.left = _LOST
        sent += await cluster.produce("events.clicks", records(200, 500))
        await until_counted(cluster, 700)
        await cluster.quiet(STAGES, outboxes=not fault)
        assert not way.left
    return sent


async def test_workers_that_join_and_leave_share_the_work_exactly_once(cluster: Cluster) -> None:
    for name in STAGES:
        cluster.toy(name, worker_id="a")
        cluster.toy(name, worker_id="b")
    sent = await cluster.produce("events.clicks", records(0, 1000))
    thirds = [cluster.toy(name, worker_id="c") for name in STAGES]
    for round_ in range(3):
        sent += await cluster.produce("events.clicks", records(1000 * round_, 1000))
        if round_ == 1:
            for third in thirds:
                third.stop()
    await cluster.quiet(STAGES)
    assert await counts(cluster) == sent


async def test_what_retention_took_before_it_was_read_is_said_and_the_rest_counts(
    cluster: Cluster,
) -> None:
    first = cluster.toy("relay")
    cluster.toy("counter")
    sent = await cluster.produce("events.clicks", records(0, 200))
    await cluster.quiet(STAGES)
    first.stop()
    await cluster.produce("events.clicks", records(200, 200))
    await cluster.remove_all("events.clicks")
    sent += await cluster.produce("events.clicks", records(400, 200))
    second = cluster.toy("relay")
    await cluster.quiet(STAGES)
    assert await counts(cluster) == sent
    said = re.findall(r"removed before they were read.*records=(\d+)", second.tail(50))
    assert sum(map(int, said)) == 200


async def test_a_topic_made_anew_under_its_checkpoints_is_not_skipped_in_silence(
    cluster: Cluster,
) -> None:
    checkpoints = cluster.database("toy_relay")["checkpoints"]
    id_ = f"{cluster.settings.namespace}relay/events.clicks/0"
    await checkpoints.insert_one({"_id": id_, "epoch": 1, "offset": 1_000})
    layouts = cluster.database("toy_relay")["layouts"]
    await layouts.insert_one({"_id": "relay", "version": 1})
    worker = cluster.toy("relay")
    async with asyncio.timeout(30):
        while "cause=ahead" not in worker.tail(50):
            await asyncio.sleep(0.05)
    assert (await checkpoints.find_one({"_id": id_}))["offset"] == 1_000


async def test_a_view_of_the_definitions_catches_up_with_all_that_was_published(
    cluster: Cluster,
) -> None:
    view, offsets = Definitions(cluster.settings, ["segment"]), Offsets(cluster.settings, "test")
    await view.start()
    await offsets.start()
    try:
        for version in range(1, 4):
            body = Definition(
                kind="segment",
                name="buyers",
                version=version,
                updated_at=datetime(2026, 3, 1, tzinfo=UTC),
                body={},
            )
            value = msgspec.json.encode(body)
            await cluster.produce("control.definitions", [("segment/buyers", value)])
            await view.caught_up(offsets)
            assert view.current["segment", "buyers"] == body
    finally:
        await offsets.stop()
        await view.stop()


# -- the tests above, tested: each of these stages is broken in one place ----------------


async def test_without_origins_an_outbox_published_twice_is_counted_twice(
    cluster: Cluster,
) -> None:
    cluster.toy("counter", "no_origins")
    victim = cluster.toy("relay", failpoint="published:3", batch_records="50")
    sent = await cluster.produce("events.clicks", records(0, 500))
    await exited(victim)
    cluster.toy("relay")
    await cluster.quiet(STAGES, outboxes=False)
    assert (await counts(cluster)).total() > sent.total()


async def test_with_the_offset_stored_first_a_crash_loses_records(cluster: Cluster) -> None:
    cluster.toy("relay")
    victim = cluster.toy("counter", "offset_first", failpoint="offset_stored:3", batch_records="50")
    sent = await cluster.produce("events.clicks", records(0, 500))
    await exited(victim)
    cluster.toy("counter")
    await cluster.quiet(STAGES, outboxes=False)
    assert (await counts(cluster)).total() < sent.total()


async def test_who_does_not_look_what_became_of_a_commit_counts_it_twice(cluster: Cluster) -> None:
    sent = await lost_answers_story(cluster, "no_looking")
    assert (await counts(cluster)).total() > sent.total()


async def test_without_the_epoch_a_zombie_counts_what_its_heir_has_counted(
    stack: Any, tmp_path: Path
) -> None:
    # Its next attempt races against the group, which tells it that it is out.
    for attempt in range(_RACES):
        cluster = Cluster(stack, unique_namespace(), tmp_path / str(attempt))
        try:
            await cluster.create_topics(list(STAGES))
            sent = await zombie_story(cluster, "no_epoch")
            if await counts(cluster) != sent:
                return
        finally:
            await cluster.close()
    pytest.fail(f"in {_RACES} races the group was faster each time")

"""resolve and build on real servers, killed, stopped, shared and replayed.

Each test sends a story of events straight to Kafka and compares every profile with the
oracle of tests/faults/story.py: nothing lost, nothing doubled.
"""

import asyncio
import random
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from schemas.topics import EVENTS
from tests.faults.cluster import Cluster, unique_namespace
from tests.faults.processes import exited, stopped
from tests.faults.story import Sent, expected, found, state_hash, story

pytestmark = [pytest.mark.broker, pytest.mark.fault]

WORKERS = ["profile-resolve", "profile-build"]
STAGES = {
    "profile-resolve": ("profile", [topic.name for topic in EVENTS]),
    "profile-build": ("profile", ["profile.interactions"]),
}
STEPS = ["read", "handled", "stored", "committed", "published"]


@pytest.fixture
async def cluster(stack: Any, tmp_path: Path) -> AsyncIterator[Cluster]:
    cluster = Cluster(stack, unique_namespace(), tmp_path)
    await cluster.create_topics(WORKERS)
    yield cluster
    await cluster.close()


def start(cluster: Cluster, name: str, worker_id: str = "1", **env: str) -> Any:
    """A real worker; its metrics go to a port of the system's choice."""
    ports = {"profile_resolve_worker_port": "0", "profile_build_worker_port": "0"}
    argv = [sys.executable, "-m", "services.cli", "worker", name]
    return cluster.start(argv, worker_id, **ports, **env)


async def send(cluster: Cluster, records: Sequence[Sent]) -> None:
    for topic in dict.fromkeys(item.topic for item in records):
        await cluster.produce(topic, [(i.key, i.value) for i in records if i.topic == topic])


async def outcome(cluster: Cluster) -> dict[str, Any]:
    await cluster.quiet(STAGES)
    return found(await cluster.records("profile.changes"))


@pytest.mark.parametrize("name", WORKERS)
async def test_killed_between_any_two_steps_every_profile_is_right(
    cluster: Cluster, name: str
) -> None:
    other = next(worker for worker in WORKERS if worker != name)
    start(cluster, other)
    sent: list[Sent] = []
    for seed, step in enumerate(STEPS):
        victim = start(cluster, name, failpoint=f"{step}:3", batch_records="60")
        chapter = story(20, 600, seed)
        await send(cluster, chapter)
        sent += chapter
        await exited(victim)
        assert victim.exit_code == -9
    start(cluster, name)
    assert await outcome(cluster) == expected(sent)


async def test_a_hundred_kills_at_random_moments_under_load_harm_no_profile(
    cluster: Cluster,
) -> None:
    chance = random.Random(7)
    sent = story(50, 20_000, seed=11)
    feeding = asyncio.create_task(feed(cluster, sent))
    running = {name: start(cluster, name, batch_records="200") for name in WORKERS}
    for _ in range(50):
        await asyncio.sleep(chance.uniform(0.8, 2.2))  # the moment is the point
        for name in WORKERS:
            running[name].kill()
            running[name] = start(cluster, name, batch_records="200")
    await feeding
    assert await outcome(cluster) == expected(sent)


async def feed(cluster: Cluster, sent: Sequence[Sent]) -> None:
    """Send over about as long as the kills take, so that each finds work in hand."""
    for first in range(0, len(sent), 250):
        await send(cluster, sent[first : first + 250])
        await asyncio.sleep(0.8)


@pytest.mark.parametrize("name", WORKERS)
@pytest.mark.parametrize("step", ["handled", "committed"])
async def test_a_worker_stopped_inside_a_turn_while_another_took_over_harms_no_profile(
    cluster: Cluster, name: str, step: str
) -> None:
    sent = await zombie_story(cluster, name, step)
    assert await outcome(cluster) == expected(sent)


async def test_without_a_broker_that_refuses_old_stamps_a_version_goes_back(
    stack: Any, tmp_path: Path
) -> None:
    cluster = Cluster(stack, unique_namespace(), tmp_path, publish_within_s=3_600)
    try:
        await cluster.create_topics(WORKERS)
        await zombie_story(cluster, "profile-build", "committed")
        with pytest.raises(AssertionError, match="a version went back"):
            await outcome(cluster)
    finally:
        await cluster.close()


async def zombie_story(cluster: Cluster, name: str, step: str) -> list[Sent]:
    """A worker stops at ``step``, another does its work, and it goes on; what was sent."""
    start(cluster, next(worker for worker in WORKERS if worker != name))
    zombie = start(cluster, name, "zombie", failpoint=f"{step}:3:stop", batch_records="60")
    sent = story(20, 600, seed=3)
    await send(cluster, sent)
    await stopped(zombie)
    start(cluster, name, "heir")
    await cluster.quiet(STAGES)
    zombie.resume()
    more = story(20, 600, seed=4)
    await send(cluster, more)
    return sent + more


async def test_two_workers_a_stage_and_a_third_that_comes_and_goes(cluster: Cluster) -> None:
    for name in WORKERS:
        start(cluster, name, "a")
        start(cluster, name, "b")
    sent = story(30, 3_000, seed=5)
    await send(cluster, sent[:1000])
    thirds = [start(cluster, name, "c") for name in WORKERS]
    await send(cluster, sent[1000:2000])
    await cluster.quiet(STAGES)
    for third in thirds:
        third.stop()
    await send(cluster, sent[2000:])
    assert await outcome(cluster) == expected(sent)


async def test_the_whole_input_again_from_offset_zero_and_shuffled_changes_nothing(
    cluster: Cluster,
) -> None:
    sent = story(30, 2_000, seed=6)
    workers = [start(cluster, name) for name in WORKERS]
    await send(cluster, sent)
    assert await outcome(cluster) == expected(sent)
    before = await cluster.records("profile.changes")
    for worker in workers:
        worker.stop()
    await cluster.database("profile")["checkpoints"].update_many({}, {"$set": {"offset": 0}})
    shuffled = list(sent)
    random.Random(1).shuffle(shuffled)
    await send(cluster, shuffled)
    for name in WORKERS:
        start(cluster, name)
    assert await outcome(cluster) == expected(sent)
    after = await cluster.records("profile.changes")
    assert state_hash(after) == state_hash(before)
    assert {r.key: r.value for r in after} == {r.key: r.value for r in before}


async def test_another_order_of_arrival_makes_the_same_people(cluster: Cluster) -> None:
    sent = story(30, 1_000, seed=8)
    for name in WORKERS:
        start(cluster, name)
    await send(cluster, sent)
    await cluster.quiet(STAGES)
    first = state_hash(await cluster.records("profile.changes"))
    other = Cluster(cluster.stack, unique_namespace(), cluster.logs)
    try:
        await other.create_topics(WORKERS)
        for name in WORKERS:
            start(other, name)
        shuffled = list(sent)
        random.Random(2).shuffle(shuffled)
        await send(other, shuffled)
        await other.quiet(STAGES)
        assert state_hash(await other.records("profile.changes")) == first
    finally:
        await other.close()

"""A computed trait is told to be ready once every partition has it, and not before."""

from typing import Any

import msgspec
import pytest

from schemas.topics import PROFILE_PARTITIONS
from services.profile.build.readiness import Readiness, Ready
from services.profile.build.rules.computed import digest_of
from services.profile.build.rules.declared import computed_traits
from services.profile.build.sweep import Progress
from services.runtime.turn import Message
from tests.build_world import Declared
from tests.people import at


class Kept:
    """What is stored of sweeps and readiness."""

    def __init__(self) -> None:
        self.has: list[dict[str, str]] = [{} for _ in range(PROFILE_PARTITIONS)]
        self.known: dict[str, Ready] = {}

    async def all_progress(self) -> list[Progress]:
        return [Progress("f", 0, True, has) for has in self.has]

    async def ready(self) -> dict[str, Ready]:
        return dict(self.known)

    async def mark_ready(self, ready: Ready) -> None:
        self.known[ready.key] = ready

    async def forget_ready(self, key: str) -> None:
        self.known.pop(key, None)


class World:
    def __init__(self) -> None:
        self.kept, self.declared, self.now = Kept(), Declared(), 0.0
        self.sent: list[Message] = []
        self.readiness = self.worker()

    def worker(self) -> Readiness:
        """The one of a worker that has just started."""
        return Readiness(self.kept, self.declared, self, clock=lambda: at(self.now))

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    def has(self, key: str, *partitions: int) -> None:
        digest = digest_of(computed_traits(self.declared.current.values())[key])
        for number in partitions:
            self.kept.has[number][key] = digest

    async def look(self) -> list[Any]:
        """What is told now: (key, version, ready since), or (key, None) when taken back."""
        self.sent.clear()
        await self.readiness.look()
        told: list[Any] = []
        for message in self.sent:
            assert message.topic == "control.definitions"
            body = message.value and msgspec.json.decode(message.value)
            said = (body["version"], body["body"]["ready_since"]) if body else (None,)
            told.append((message.key, *said))
        return told


@pytest.fixture
def world() -> World:
    return World()


EVERY = range(PROFILE_PARTITIONS)


async def test_a_trait_is_told_to_be_ready_once_with_the_last_partition(world):
    world.declared.declare("carts", event="Cart Viewed")
    world.has("carts", *EVERY[1:])
    assert await world.look() == []
    world.has("carts", 0)
    assert await world.look() == [("readiness/carts", 1, "2026-03-01T12:00:00Z")]
    assert await world.look() == []


async def test_another_definition_has_to_become_ready_anew(world):
    world.declared.declare("carts", event="Cart Viewed")
    world.has("carts", *EVERY)
    await world.look()
    world.declared.declare("carts", event="Cart Viewed", window_seconds=60)
    assert await world.look() == []
    world.now = 9
    world.has("carts", *EVERY)
    assert await world.look() == [("readiness/carts", 2, "2026-03-01T12:00:09Z")]


async def test_a_version_that_says_the_same_is_ready_since_it_was(world):
    world.declared.declare("carts", event="Cart Viewed")
    world.has("carts", *EVERY)
    await world.look()
    world.now = 9
    world.declared.declare("carts", event="Cart Viewed")
    assert await world.look() == [("readiness/carts", 2, "2026-03-01T12:00:00Z")]


async def test_what_was_withdrawn_and_declared_again_between_two_looks_is_taken_back(world):
    world.declared.declare("carts", event="Cart Viewed")
    world.has("carts", *EVERY)
    await world.look()
    world.declared.withdraw("carts")
    world.declared.declare("carts", event="Cart Viewed")
    await world.look()  # no worker has heard of either yet
    del world.kept.has[3]["carts"]
    assert await world.look() == [("readiness/carts", None)]
    assert await world.look() == []
    world.now = 9
    world.has("carts", *EVERY)
    ((key, _, since),) = await world.look()
    assert (key, since) == ("readiness/carts", "2026-03-01T12:00:09Z")


async def test_after_a_restart_it_is_told_again_with_the_same_instant(world):
    world.declared.declare("carts", event="Cart Viewed")
    world.has("carts", *EVERY)
    told = await world.look()
    world.now, world.readiness = 9, world.worker()
    assert await world.look() == told


async def test_what_is_not_defined_any_more_is_taken_back_also_after_a_restart(world):
    world.declared.declare("carts", event="Cart Viewed")
    world.has("carts", *EVERY)
    await world.look()
    world.declared.withdraw("carts")
    world.readiness = world.worker()
    assert await world.look() == [("readiness/carts", None)]
    assert (await world.look(), world.kept.known) == ([], {})


async def test_as_long_as_a_partition_has_noted_nothing_nothing_is_ready(world):
    world.declared.declare("carts", event="Cart Viewed")
    world.has("carts", *EVERY)
    last = world.kept.has.pop()
    assert await world.look() == []
    world.kept.has.append(last)
    assert [key for key, *_ in await world.look()] == ["readiness/carts"]

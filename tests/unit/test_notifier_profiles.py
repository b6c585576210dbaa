"""What the sender asks the profile API, and when: over real HTTP."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from pydantic import SecretStr

from services.notifier.profiles import Profiles, ProfilesAway
from services.notifier.settings import NotifierSettings
from tests.notifying import ProfileApi, recipient


class World:
    def __init__(self) -> None:
        self.api = ProfileApi()
        self.profiles: Profiles

    async def start(self) -> None:
        url = await self.api.start()
        token = SecretStr("token")
        settings = NotifierSettings(notifier_profile_url=url, notifier_profile_token=token)
        self.profiles = Profiles(settings)
        self.api.people = {id_: recipient(id_) for id_ in ("p1", "p2", "p3")}

    async def asked(self, questions: int) -> None:
        async with asyncio.timeout(10):
            while len(self.api.asked) < questions:
                await asyncio.sleep(0)


@pytest_asyncio.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    await made.start()
    yield made
    await made.profiles.close()
    await made.api.stop()


async def test_who_is_asked_for_at_once_is_one_question(world: World) -> None:
    fetch = world.profiles.fetch
    found = await asyncio.gather(fetch("p1"), fetch("p2"), fetch("nobody"), fetch("p1"))
    assert [one and one.profile_id for one in found] == ["p1", "p2", None, "p1"]
    assert world.api.asked == [["p1", "p2", "nobody"]]
    assert world.api.tokens == ["Bearer token"]


async def test_an_answer_is_never_older_than_its_question(world: World) -> None:
    world.api.answering.clear()
    before = asyncio.create_task(world.profiles.fetch("p1"))
    await world.asked(1)
    world.api.people["p1"] = recipient("p1", consent="withdrawn")
    after = [asyncio.create_task(world.profiles.fetch(id_)) for id_ in ("p1", "p2")]
    await asyncio.sleep(0)
    world.api.answering.set()
    found = [
        one and one.consent["email"].state for one in (await before, *[await a for a in after])
    ]
    assert found == ["granted", "withdrawn", "granted"]
    assert world.api.asked == [["p1"], ["p1", "p2"]]


async def test_whoever_gives_up_takes_nothing_from_the_others(world: World) -> None:
    world.api.answering.clear()
    tasks = [asyncio.create_task(world.profiles.fetch("p1")) for _ in range(2)]
    await world.asked(1)
    tasks[0].cancel()
    world.api.answering.set()
    one = await tasks[1]
    assert one is not None
    assert one.profile_id == "p1"


async def test_a_profile_that_does_not_fit_keeps_back_only_itself(world: World) -> None:
    world.api.people["p2"] = {"profile_id": "p2", "consent": "granted"}
    fetch = world.profiles.fetch
    found = await asyncio.gather(fetch("p1"), fetch("p2"), return_exceptions=True)
    assert [type(one).__name__ for one in found] == ["Recipient", "ProfilesAway"]


@pytest.mark.parametrize("status", [401, 403, 404, 500, 503])
async def test_an_api_that_does_not_answer_is_away_until_it_does(world: World, status: int) -> None:
    world.api.status = status
    fetch = world.profiles.fetch
    found = await asyncio.gather(fetch("p1"), fetch("p2"), return_exceptions=True)
    assert [type(one) for one in found] == [ProfilesAway] * 2
    world.api.status = 200
    one = await fetch("p1")
    assert one is not None
    assert one.answer["traits"] == {"firstName": "Ada", "email": "ada@example.com"}


async def test_more_than_one_question_may_hold_are_several(world: World) -> None:
    people = [f"n{number}" for number in range(501)]
    found = await asyncio.gather(*map(world.profiles.fetch, people))
    assert found == [None] * 501
    assert [len(ids) for ids in world.api.asked] == [500, 1]

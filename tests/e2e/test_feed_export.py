"""A snapshot and then the stream, by the programs in docs/feed.md, while people change."""

import asyncio
import re
import shutil
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import pytest_asyncio
import uvicorn
from fastapi import FastAPI

from schemas.messages import Interaction
from services.profile.build.handler import Build
from services.profile.build.kept import Kept
from services.profile.build.store import ProfileStore
from services.profile.feed import export
from services.profile.feed.snapshot import Stored
from services.runtime.http import create_api
from services.runtime.keys import digest
from services.runtime.mongo import transaction
from services.runtime.publish import Publisher, output_of
from services.runtime.turn import Message, Record, Turn
from tests.build_world import World, again
from tests.faults.cluster import Cluster, unique_namespace
from tests.people import did

pytestmark = pytest.mark.broker

PAGE = (Path(__file__).parents[2] / "docs" / "feed.md").read_text()
PEOPLE = 23


class Shop(World):
    """Build on a real MongoDB; what it announces lies on the real topic once it is stored."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__()
        settings = cluster.settings.model_copy(update={"tokens": {digest("reader"): "reader"}})
        self.cluster, self.settings = cluster, settings
        self.database = cluster.database("profile")
        self.profiles = ProfileStore(self.database)
        self.build = Build(self.profiles, self.past, self.declared)
        self.kafka_url = settings.kafka_url
        self.publisher = Publisher(settings, "shop")

    async def open(self) -> None:
        await self.cluster.create_topics([])
        await self.profiles.prepare()
        await self.publisher.start()
        self.declared.declare("carts", event="Cart Viewed")
        definition = self.declared.current["computed_trait", "carts"]
        await self.publisher.send(
            Message(
                topic="control.definitions",
                key="computed_trait/carts",
                value=msgspec.json.encode(definition),
                type="regulars.definition.changed.v1",
                id="carts/1",
                time=definition.updated_at,
            )
        )

    async def turn(self, records: Sequence[Record] = (), timers: Sequence[Any] = ()) -> Turn:
        async with await self.cluster.client.start_session() as session, transaction(session):
            turn = Turn(now=datetime.now(UTC), session=session, records=records)
            await self.build.handle(turn)
            await turn.written()
        await self.build.committed(turn)
        changes = [m for _, m in turn.messages if m.topic == "profile.changes"]
        await self.publisher.publish([output_of(message, "/test") for message in changes])
        return turn

    async def happened(self, *said: Interaction) -> None:
        await self.turn(self.says(*said))

    async def merge(self, profile_id: str, into: str) -> None:
        merged = await self.turn(self.merges(profile_id, into=into))
        await self.turn([again(merged.messages[1][1], self)])


class Meanwhile(Stored):
    """The store as the export reads it: after each page something happens, and once a cut."""

    def __init__(self, shop: Shop) -> None:
        super().__init__(shop.database)
        self.shop = shop
        self.pages = 0
        self.ended = asyncio.Event()

    async def after(self, profile_id: str, limit: int) -> Sequence[tuple[str, Kept]]:
        self.pages += 1
        if self.pages == 3:
            raise ConnectionError("the connection is cut")
        found = await super().after(profile_id, limit)
        if not found:
            self.ended.set()
            return found
        shop, n = self.shop, self.pages
        # One who was told, one who was not yet, a new one before and a new one behind.
        await shop.happened(did("Cart Viewed", 100 + n, profile_id="p00"))
        await shop.happened(did("Cart Viewed", 100 + n, profile_id=f"p{PEOPLE - n:02}"))
        await shop.happened(did("Cart Viewed", 100 + n, profile_id=f"a{n}"))
        await shop.happened(did("Cart Viewed", 100 + n, profile_id=f"z{n}"))
        if n == 2:
            await shop.merge("p01", into="p20")
        if n == 4:
            await shop.merge("p19", into="p02")
        return found


@pytest_asyncio.fixture
async def shop(stack: Any, tmp_path: Path) -> AsyncIterator[Shop]:
    cluster = Cluster(stack, unique_namespace(), tmp_path, publish_within_s=60)
    shop = Shop(cluster)
    try:
        await shop.open()
        yield shop
    finally:
        await shop.publisher.stop()
        await cluster.close()


@asynccontextmanager
async def served(shop: Shop, store: Stored) -> AsyncIterator[httpx.AsyncClient]:
    """The export on a port of its own, five people a page."""
    app: FastAPI = create_api(name="profile", summary="", settings=shop.settings, lifespan=None)
    app.include_router(export.routes(store, page=5))
    config = uvicorn.Config(app, port=0, log_level="critical", ws="none", lifespan="off")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0)
    port = server.servers[0].sockets[0].getsockname()[1]
    headers = {"Authorization": "Bearer reader"}
    try:
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", headers=headers, trust_env=False
        ) as http:
            yield http
    finally:
        server.should_exit = True
        await serving


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shop: Shop) -> list[Any]:
    """The modules of the page, people.py and copy_people.py, on this test's topics."""
    blocks = re.findall(r"^```python title=(\S+)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    for name, text in blocks:
        (tmp_path / name).write_text(
            text.replace('"profile.changes"', f'"{shop.settings.topic("profile.changes")}"')
        )
    monkeypatch.syspath_prepend(tmp_path)
    names = [name.removesuffix(".py") for name, _ in blocks if name != "receive.py"]
    for name in names:
        monkeypatch.delitem(sys.modules, name, raising=False)
    modules = [import_module(name) for name in names]
    for name in names:
        monkeypatch.delitem(sys.modules, name)
    return modules


def told(change: dict[str, Any]) -> dict[str, Any]:
    """What both a record and a line of the export say."""
    names = ("profile_id", "version", "merged_into", "merged_from", "profile")
    return {name: change[name] for name in names if name in change}


async def truth(shop: Shop) -> dict[str, dict[str, Any]]:
    """The last record of each key."""
    records = await shop.cluster.records("profile.changes")
    return {
        record.key.decode(): told(msgspec.json.decode(record.value))
        for record in sorted(records, key=lambda record: (record.partition, record.offset))
    }


@asynccontextmanager
async def running(program: Any) -> AsyncIterator[None]:
    """A program of the page, until the end of the block."""
    task = asyncio.create_task(program)
    try:
        yield
        assert not task.done() or task.result()
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def holds(people: Any, expected: dict[str, Any]) -> None:
    """Return once these are the people, to the last field."""
    async with asyncio.timeout(20):
        while {id: told(change) for id, change in people.told.items()} != expected:
            await asyncio.sleep(0.02)


async def test_a_snapshot_and_the_stream_are_everybody_whatever_happens_meanwhile(shop, programs):
    pages, copying = programs
    for number in range(PEOPLE):
        await shop.happened(did("Page Viewed", number, profile_id=f"p{number:02}"))
    store, people = Meanwhile(shop), pages.People()
    async with served(shop, store) as http, running(copying.copy(people, http, shop.kafka_url)):
        await store.ended.wait()
        expected = await truth(shop)
        await holds(people, expected)
    everybody = {id: kept.version for id, kept in await Stored(shop.database).after("", 1_000)}
    assert {id: change["version"] for id, change in expected.items()} == everybody
    assert {"a1", "z1"} < set(everybody)
    assert people.get("p01")["profile_id"] == "p20"
    assert expected["z1"]["profile"]["computed"] == {"carts": {"count": 1}}
    assert expected["p03"]["profile"]["computed"] == {"carts": {"count": 0}}
    alone = pages.People()  # reads the topic from its start
    async with running(pages.follow(alone, shop.kafka_url)):
        await holds(alone, expected)


@pytest.mark.skipif(
    not (shutil.which("kcat") and shutil.which("jq")), reason="kcat or jq is not installed"
)
async def test_kcat_prints_what_the_page_says_by_each_of_its_commands(shop):
    for second, (profile_id, plan) in enumerate([("p1", "gold"), ("p2", "gold"), ("p1", "free")]):
        said = did(
            "Identify", second, type="identify", profile_id=profile_id, traits={"plan": plan}
        )
        await shop.happened(said)
    await shop.merge("p3", into="p2")
    everything, stream, gold = (
        command.replace("127.0.0.1:19092", shop.settings.kafka_url).replace(
            "profile.changes", shop.settings.topic("profile.changes")
        )
        for command in re.findall(r"^\$ (kcat.*?)\n(?=\$|```)", PAGE, re.MULTILINE | re.DOTALL)
    )
    lines = (await printed(everything)).splitlines()
    assert sorted(line[:2] for line in lines) == ["p1", "p1", "p2", "p2", "p3"]
    assert all("ce_type=regulars.profile.changed.v1" in line for line in lines)
    assert (await printed(gold)).splitlines() == ['["p2",2]']

    async with started(stream) as kcat:
        line = asyncio.create_task(kcat.stdout.readline())
        second = 10
        while not line.done():  # it begins at the end, wherever that is by the time it reads
            second += 1
            await shop.happened(did("Page Viewed", second, profile_id="p9"))
            await asyncio.wait([line], timeout=0.2)
        assert line.result().startswith(b'p9 {"')


@asynccontextmanager
async def started(command: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A command of a shell, ended with the block."""
    running = await asyncio.create_subprocess_shell(
        f"exec {command}", stdout=asyncio.subprocess.PIPE
    )
    try:
        yield running
    finally:
        running.kill()
        await running.wait()


async def printed(command: str) -> str:
    """What a command of a shell prints."""
    running = await asyncio.create_subprocess_shell(command, stdout=asyncio.subprocess.PIPE)
    said, _ = await running.communicate()
    assert running.returncode == 0
    return said.decode()

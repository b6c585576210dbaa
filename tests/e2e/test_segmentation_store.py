"""Segmentation on real servers: what is stored, what the API says, and the worker between."""

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import pytest_asyncio

from deploy.local.ports import free_port
from schemas.messages import (
    Cause,
    ComputedValue,
    Definition,
    Profile,
    ProfileChanged,
    SegmentChanged,
)
from services.runtime.keys import digest
from services.runtime.mongo import Client, connect, transaction
from services.segmentation.api import create_app
from services.segmentation.model import Heard, Left, Membership, Outlook, Progress, Standing
from services.segmentation.settings import SegmentationSettings
from services.segmentation.store import Members, People, prepare
from services.segmentation.work import Saved, Write
from tests.faults.cluster import Cluster, unique_namespace

pytestmark = pytest.mark.broker

WORKER = [sys.executable, "-m", "services.cli", "worker", "segmentation"]
GERMAN = {"trait": "country", "op": "equals", "value": "DE"}
VIEWED = {
    "event": "Product Viewed",
    "where": [{"property": "price", "op": "gt", "value": 9.5}],
    "within_seconds": 3600,
    "op": "gte",
    "value": 2,
}
HEARD = {"vip": Heard(version=2), "new": Heard(version=1, waits=("ct_1",))}
ALL_FIELDS = {"version", "body", "members", "past", "undecided", "flip", "into"}


@pytest_asyncio.fixture
async def cluster(stack: Any, tmp_path: Path) -> AsyncIterator[Cluster]:
    made = Cluster(stack, unique_namespace(), tmp_path)
    yield made
    await made.close()


@pytest_asyncio.fixture
async def client(cluster: Cluster) -> AsyncIterator[Client]:
    made = connect(cluster.settings)
    yield made
    made.close()


# -- the store ---------------------------------------------------------------------------------


def standing(profile_id: str, *segments: str, **fields: Any) -> Standing:
    members = {
        key: Membership(segment=key, since=1_000_001, occurrence=2, definition=3)
        for key in segments
    }
    return Standing(profile_id=profile_id, version=4, members=members, **fields)


async def test_what_is_saved_is_read_back_and_only_named_fields_change(
    cluster: Cluster, client: Client
) -> None:
    database = client[cluster.settings.database("segmentation")]
    await prepare(database)
    people, api = People(database), Members(database)
    full = standing(
        "p1",
        "german",
        "vip",
        past={"old": Left(5, 7)},
        undecided=("new",),
        flip=2_000_000_000_000_001,
        applied="f1",
    )
    async with await client.start_session() as session:
        async with transaction(session):
            writes = [Write(full, 3, ALL_FIELDS, b"{}")]
            writes += [Write(standing(f"q{i}", "vip"), 3, ALL_FIELDS, b"{}") for i in range(4)]
            writes.append(Write(standing("other"), 2, ALL_FIELDS, b"{}"))
            sizes = {"s/3": Counter({"vip": 5, "german": 1, "none": 0})}
            progress = {"s/3": Progress(fingerprint="f1", cursor="q1", done=False)}
            await people.save(session, Saved(writes, progress, sizes, {"s/3": HEARD}))
        async with transaction(session):
            await people.save(session, Saved([], {}, {"s/2": Counter({"vip": -2})}))
            partly = msgspec.structs.replace(full, version=9, flip=None, members={})
            await people.save(session, Saved([Write(partly, 3, {"version"})], {}, {}))
        async with transaction(session):
            found = await people.standings(session, ["p1", "nobody"])
            following = await people.following(session, 3, "p1", 3)
            known = await people.progress(session, ["s/2", "s/3"])
    expected = msgspec.structs.replace(full, version=9, body=b"{}")
    assert found == {"p1": expected}
    assert [one.profile_id for one in following] == ["q0", "q1", "q2"]
    assert known == {"s/3": Progress(fingerprint="f1", cursor="q1", done=False)}
    assert await api.sizes() == {"vip": 3, "german": 1}
    assert await api.outlooks() == [Outlook(done=False, heard=HEARD)]
    assert [id_ for id_, _ in await api.members("vip", "p1", 2)] == ["q0", "q1"]
    assert await api.members("german", "", 5) == [("p1", full.members["german"])]

    async with await client.start_session() as session, transaction(session):
        await people.save(session, Saved([Write(full, 3, {"gone"}, gone=True)], {}, {}))
    assert await api.person("p1") is None


# -- the API and the worker --------------------------------------------------------------------


class World:
    """The API in this process, the worker in another."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.now = datetime.now(UTC)
        self.worker: Any = None
        self.settings = SegmentationSettings(
            kafka_url=cluster.settings.kafka_url,
            mongo_url=cluster.settings.mongo_url,
            namespace=cluster.settings.namespace,
            tokens={digest(name): name for name in ("reader", "marketer")},
        )
        self.app = create_app(self.settings)
        self.api = httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app),
            base_url="http://segmentation",
            headers={"Authorization": "Bearer marketer"},
        )

    def start_worker(self, **env: str) -> None:
        port = str(free_port())
        self.worker = self.cluster.start(WORKER, segmentation_worker_port=port, **env)

    async def put(self, key: str, rule: Any, **fields: Any) -> httpx.Response:
        body = {"name": key, "rule": rule, **fields}
        return await self.api.put(f"/v1/segments/{key}", json=body)

    async def get(self, path: str) -> Any:
        response = await self.api.get(path)
        assert response.status_code == 200, response.text
        return response.json()

    async def change(self, *people: tuple[str, int, dict[str, Any]]) -> None:
        records = []
        for profile_id, version, fields in people:
            merged_into = fields.pop("merged_into", None)
            profile = None if merged_into else Profile(profile_id=profile_id, **fields)
            change = ProfileChanged(
                profile_id=profile_id,
                version=version,
                changed_at=self.now,
                cause=Cause(message_id="m", name="x", at=self.now),
                changed=["traits.country", "orders"],
                profile=profile,
                merged_into=merged_into,
            )
            records.append((profile_id, msgspec.json.encode(change)))
        await self.cluster.produce("profile.changes", records)

    async def members(self, key: str) -> list[str]:
        found, cursor = [], ""
        while cursor is not None:
            page = await self.get(f"/v1/segments/{key}/members?limit=2{cursor}")
            found += [item["profile_id"] for item in page["items"]]
            cursor = f"&cursor={page['next']}" if page["next"] else None
        return found

    async def become(self, key: str, members: list[str]) -> None:
        for _ in range(600):
            if await self.members(key) == members:
                return
            await asyncio.sleep(0.05)
        found = await self.members(key)
        raise AssertionError(f"{found} instead of {members}\n{self.worker.tail()}")

    async def published(self) -> list[tuple[str, Any]]:
        """(key, definition) of everything on control.definitions."""
        records = await self.cluster.records("control.definitions")
        return [
            (r.key.decode(), r.value and msgspec.json.decode(r.value, type=Definition))
            for r in records
        ]

    async def said(self) -> list[tuple[str, str, str, int, str]]:
        """The segment changes as a reader sees them."""
        changes = dict[Any, SegmentChanged]()
        for record in await self.cluster.records("segment.changes"):
            headers = dict(record.headers)
            one = msgspec.json.decode(record.value, type=SegmentChanged)
            changes[headers["origin"], int(headers["seq"])] = one
        return sorted(
            (one.profile_id, one.segment, one.change, one.occurrence, one.cause)
            for one in changes.values()
        )


@pytest_asyncio.fixture
async def world(cluster: Cluster) -> AsyncIterator[World]:
    await cluster.create_topics(["segmentation"])
    made = World(cluster)
    async with AsyncExitStack() as exits:
        await exits.enter_async_context(made.app.router.lifespan_context(made.app))
        await exits.enter_async_context(made.api)
        yield made


async def test_a_definition_is_published_after_the_computed_traits_that_it_needs(
    world: World,
) -> None:
    first = await world.put("viewers", VIEWED, description="Seen twice")
    assert (first.status_code, first.json()["version"]) == (201, 1)
    again = await world.put("viewers", {**VIEWED, "aggregate": "count"}, description="Seen twice")
    assert (again.status_code, again.json()) == (200, first.json())
    other = await world.put("watchers", {**VIEWED, "value": 5})
    assert other.status_code == 201

    published = await world.published()
    trait = published[0][0]
    assert trait.startswith("computed_trait/ct_")
    assert [key for key, _ in published] == [trait, "segment/viewers", trait, "segment/watchers"]
    assert published[0][1].body == {
        "event": "product viewed",
        "aggregate": "count",
        "where": [{"property": "price", "op": "gt", "value": 9.5}],
        "window_seconds": 3600,
    }
    assert published[1][1].body["rule"] == {**VIEWED, "aggregate": "count"}

    # The trait is withdrawn with the last segment that needs it, and not before.
    assert (await world.api.delete("/v1/segments/watchers")).status_code == 204
    assert (await world.put("viewers", GERMAN)).json()["version"] == 2
    ending = [(key, value and value.version) for key, value in (await world.published())[4:]]
    assert ending == [("segment/watchers", None), ("segment/viewers", 2), (trait, None)]
    assert (await world.api.delete("/v1/segments/watchers")).status_code == 404
    assert (await world.put("watchers", GERMAN)).json()["version"] == 3


async def test_what_a_crash_left_unpublished_is_published_at_the_next_start(world: World) -> None:
    await world.put("german", GERMAN)
    database = world.cluster.database("segmentation")
    await database["segments"].update_one({"_id": "german"}, {"$set": {"published": False}})

    async with create_app(world.settings).router.lifespan_context(world.app):
        for _ in range(200):
            if (await database["segments"].find_one({"_id": "german"}))["published"]:
                break
            await asyncio.sleep(0.05)

    assert [key for key, _ in await world.published()] == ["segment/german"] * 2


async def test_bad_requests_are_answered_with_their_places(world: World) -> None:
    bad = await world.put("german", {"all": [{"trait": "country", "op": "is", "value": "DE"}]})
    assert bad.status_code == 422
    assert bad.headers["content-type"] == "application/problem+json"
    [error] = bad.json()["errors"]
    assert error["at"] == "$.rule.all[0].op"
    assert (await world.put("Not a key", GERMAN)).status_code == 422
    for content, status in (
        (b"{", 400),
        (b"[" * 50_000, 400),
        (b'{"name": "\x00"}', 400),
        (b'"' + b"x" * 300_000 + b'"', 413),
        (b'{"name": "n", "rule": {"trait": "t", "op": "gt", "value": 1e999999999999999999999}}', 0),
    ):
        answer = await world.api.put("/v1/segments/x", content=content)
        assert answer.status_code == (status or answer.status_code)
        assert answer.status_code < 500
    reader = {"Authorization": "Bearer reader"}
    asked = await world.api.put("/v1/segments/x", json={}, headers=reader)
    assert asked.status_code == 403
    assert (await world.api.get("/v1/segments", headers=reader)).status_code == 200
    assert (await world.api.get("/v1/segments", headers={"Authorization": ""})).status_code == 401
    evaluate = "/v1/segments/evaluate"
    for content, status in (
        (b"{", 422),
        (b'{"profiles": [{"traits": 1}]}', 422),
        (b'{"profiles": [' + b"{}," * 50 + b"{}]}", 422),
        (b'{"profiles": [{"profile_id": "p"}]}', 200),
    ):
        asked = await world.api.post(evaluate, content=content, headers=reader)
        assert asked.status_code == status
    assert asked.json()["profiles"] == [{"profile_id": "p", "segments": []}]
    for path in (
        "/v1/segments/none",
        "/v1/segments/none/members",
        "/v1/profiles/none/segments",
        "/v1/segments/none/members/p/explain",
    ):
        assert (await world.api.get(path)).status_code == 404
    assert (await world.api.get("/v1/segments?cursor=x")).status_code == 400
    assert await world.published() == []


async def test_people_enter_and_leave_by_events_time_definitions_and_merges(world: World) -> None:
    world.start_worker(segmentation_sweep_chunk="2")
    german = {"traits": {"country": "DE"}}
    await world.change(*[(f"p{i}", 1, dict(german)) for i in range(5)], ("q", 1, {}))
    await world.put("german", GERMAN)
    await world.become("german", [f"p{i}" for i in range(5)])

    soon = {"fact": "last_order_at", "op": "older_than", "seconds": 60}
    await world.put("quiet", soon)
    ordered = datetime.now(UTC) - timedelta(seconds=57)
    former = [(f"f{n}", 1, {"merged_into": f"f{n + 1}" if n < 29 else "p1"}) for n in range(30)]
    crossing = [("r0", 1, {"merged_into": "r1"}), ("r1", 1, {"merged_into": "r0"})]
    await world.change(
        *former,
        *crossing,
        ("q", 2, {"last_order_at": ordered}),
        ("p0", 2, {"traits": {"country": "FR"}}),
        ("p1", 2, {"merged_into": "p2"}),
    )
    await world.become("german", ["p2", "p3", "p4"])
    explained = await world.get("/v1/segments/quiet/members/q/explain")
    flip = datetime.fromisoformat(explained["next_flip"])
    assert (explained["member"], flip) == (False, ordered + timedelta(seconds=60))
    await world.become("quiet", ["q"])
    [entered] = (await world.get("/v1/segments/quiet/members"))["items"]
    assert datetime.fromisoformat(entered["since"]) == flip

    explained = await world.get("/v1/segments/german/members/p1/explain")  # now p2
    assert explained["profile_id"] == "p2"
    assert explained["reasons"] == [{"condition": 'country = "DE"', "actual": "DE", "holds": True}]
    [membership] = (await world.get("/v1/profiles/p1/segments"))["items"]
    assert (membership["segment"], membership["occurrence"]) == ("german", 1)
    assert (await world.get("/v1/profiles/f0/segments"))["items"] == [membership]
    assert (await world.api.get("/v1/profiles/r0/segments")).status_code == 404
    listed = (await world.get("/v1/segments"))["items"]
    assert [(item["key"], item["members"], item["state"]) for item in listed] == [
        ("german", 3, "ready"),
        ("quiet", 1, "ready"),
    ]

    assert (await world.api.delete("/v1/segments/german")).status_code == 204
    await left(world, 6)
    said = await world.said()
    assert [one for one in said if one[2] == "exited"] == [
        ("p0", "german", "exited", 1, "event"),
        ("p1", "german", "exited", 1, "merge"),
        ("p2", "german", "exited", 1, "definition"),
        ("p3", "german", "exited", 1, "definition"),
        ("p4", "german", "exited", 1, "definition"),
    ]
    assert [one for one in said if one[1] == "quiet"] == [("q", "quiet", "entered", 1, "time")]


async def left(world: World, count: int) -> None:
    """Wait until so many entries and as many exits less one were said."""
    for _ in range(600):
        if len(await world.said()) >= 2 * count - 1:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"{await world.said()}\n{world.worker.tail()}")


async def test_a_killed_worker_is_followed_by_one_that_ends_the_sweep(world: World) -> None:
    people = [(f"p{i:03}", 1, {"traits": {"country": "DE"}}) for i in range(120)]
    world.start_worker(segmentation_sweep_chunk="1", segmentation_cached_people="5")
    await world.put("all", {"fact": "order_count", "op": "gte", "value": 0})
    await world.change(*people)
    await world.become("all", [key for key, *_ in people])

    await world.put("german", GERMAN)
    while not await world.members("german"):
        await asyncio.sleep(0.01)
    world.worker.kill()
    world.start_worker()
    await world.become("german", [key for key, *_ in people])

    said = await world.said()
    assert [one for one in said if one[1] == "german"] == [
        (key, "german", "entered", 1, "definition") for key, *_ in people
    ]


def test_a_profile_as_profile_writes_it_is_understood() -> None:
    """Money as strings, raw traits, computed values: the published form, whole."""
    profile = Profile(
        profile_id="p",
        traits={"price": msgspec.Raw(b"12.50")},
        computed={"ct": ComputedValue(times=[1], values=[Decimal("1.10")], currencies=["USD"])},
    )
    change = ProfileChanged(
        profile_id="p",
        version=1,
        changed_at=datetime.now(UTC),
        cause=Cause(message_id="m", name="x", at=datetime.now(UTC)),
        profile=profile,
    )
    read = Standing(profile_id="p", body=msgspec.json.encode(change)).read()
    assert read is not None
    assert read.traits == {"price": Decimal("12.50")}
    assert read.computed["ct"].values == [Decimal("1.10")]

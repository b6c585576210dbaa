"""Sources as admins and their senders see them: two ingest processes on real servers."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import msgspec
import pytest
import pytest_asyncio
from click.testing import Result
from cryptography.fernet import Fernet
from pydantic import SecretStr
from typer.testing import CliRunner

from deploy.local.ports import free_port
from deploy.local.processes import Process, wait_http_ok
from services.cli import app
from services.ingest.api import create_app
from services.ingest.settings import IngestSettings
from services.ingest.sources import store
from services.ingest.sources.activity import Hour
from services.ingest.sources.audience import MOST_OF_A_SOURCE
from services.runtime.keys import digest
from services.runtime.mongo import connect
from tests.faults.cluster import Cluster, unique_namespace

pytestmark = [pytest.mark.broker, pytest.mark.asyncio(loop_scope="module")]

COMMAND = [sys.executable, "-m", "services.cli", "api", "ingest"]
ROLES = ("reader", "marketer", "support", "admin")
TOKENS = {digest(role): role for role in ROLES}
STATIC = {digest("static-key"): "storefront"}
SECRET_KEY = Fernet.generate_key().decode()
HOUR = timedelta(hours=1)


class World:
    """One ingest in this process, which admins ask, and another of its own."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.api: httpx.AsyncClient
        self.other: httpx.AsyncClient
        self._stack = AsyncExitStack()

    async def start(self) -> None:
        await self.cluster.create_topics([])
        _, self.other = await self.another()
        self.api = await self.serve()

    async def another(self) -> tuple[Process, httpx.AsyncClient]:
        """A process of its own, ready, and a client of it."""
        port = free_port()
        process = self.cluster.start(
            COMMAND,
            ingest_port=str(port),
            write_keys=json.dumps(STATIC),
            tokens=json.dumps(TOKENS),
            secret_keys=json.dumps([SECRET_KEY]),
        )
        url = f"http://127.0.0.1:{port}"
        await asyncio.to_thread(wait_http_ok, f"{url}/health/ready", 30, process)
        client = httpx.AsyncClient(base_url=url, timeout=20, trust_env=False)
        return process, await self._stack.enter_async_context(client)

    async def serve(self, **given: Any) -> httpx.AsyncClient:
        """A client of an API in this process, whose clock and servers are real."""
        settings = IngestSettings(
            **{
                **self.cluster.settings.model_dump(),
                "tokens": TOKENS,
                "write_keys": STATIC,
                "secret_keys": [SecretStr(SECRET_KEY)],
                **given,
            }
        )
        app = create_app(settings)
        await self._stack.enter_async_context(app.router.lifespan_context(app))
        client = httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://ingest", headers=bearer("admin")
        )
        return await self._stack.enter_async_context(client)

    async def stop(self) -> None:
        await self._stack.aclose()

    async def create(self, name: str, **body: Any) -> dict[str, Any]:
        response = await self.api.put(f"/v1/sources/{name}", json=body)
        assert response.status_code == 201, response.text
        return response.json()

    async def key(self, name: str, **body: Any) -> dict[str, Any]:
        response = await self.api.post(f"/v1/sources/{name}/keys", json=body)
        assert response.status_code == 201, response.text
        return response.json()


def bearer(role: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {role}"}


def event(number: int, **more: Any) -> dict[str, Any]:
    return {"messageId": f"m-{number}", "userId": "u-1", "event": "Product Viewed"} | more


async def send(client: httpx.AsyncClient, key: str, body: Any, call: str = "track") -> int:
    response = await client.post(f"/v1/{call}", json=body, auth=(key, ""))
    return response.status_code


async def eventually(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(20):
        while not await holds():
            await asyncio.sleep(0.02)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(stack: Any, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    cluster = Cluster(stack, unique_namespace(), tmp_path_factory.mktemp("sources"))
    world = World(cluster)
    try:
        await world.start()
        yield world
    finally:
        await world.stop()
        await cluster.close()


# -- sources -----------------------------------------------------------------------------


async def test_a_source_is_created_changed_and_deleted(world: World) -> None:
    body = {"kind": "browser", "default_currency": "EUR", "options": {"domain": "shop.example"}}
    created = await world.create("web", **body)
    plain = {
        "kind": "browser",
        "enabled": True,
        "options": {"domain": "shop.example"},
        "default_currency": "EUR",
        "default_region": None,
        "events_per_second": None,
        "burst": None,
        "plan": None,
        "name": "web",
        "version": 1,
        "updated_at": created["updated_at"],
        "published": True,
        "static": False,
        "keys": [],
        "secrets": [],
    }
    assert created == plain
    again = await world.api.put("/v1/sources/web", json=body)
    assert (again.status_code, again.json()) == (200, plain)
    changed = await world.api.put("/v1/sources/web", json={"events_per_second": 5, "burst": 50})
    assert changed.status_code == 200
    assert changed.json() == plain | {
        "kind": "server",
        "options": {},
        "default_currency": None,
        "events_per_second": 5.0,
        "burst": 50,
        "version": 2,
        "updated_at": changed.json()["updated_at"],
    }
    assert (await world.api.get("/v1/sources/web")).json() == changed.json()
    assert (await world.api.delete("/v1/sources/web")).status_code == 204
    gone = await world.api.get("/v1/sources/web")
    assert (gone.status_code, gone.json()["code"]) == (404, "unknown_source")
    assert (await world.api.delete("/v1/sources/web")).status_code == 404
    assert (await world.create("web", **body))["version"] == 4


@pytest.mark.parametrize(
    ("name", "body", "at"),
    [
        ("web", {"default_currency": "EURO"}, "body.default_currency"),
        ("web", {"default_region": "de"}, "body.default_region"),
        ("web", {"events_per_second": 0}, "body.events_per_second"),
        ("web", {"burst": 0}, "body.burst"),
        ("web", {"kind": "carrier-pigeon"}, "body.kind"),
        ("web", {"keys": []}, "body.keys"),
        ("web", {"options": {"a": "x" * 20_000}}, "body.options"),
        ("web", {"options": {"a": "\ud800"}}, "body.options"),
        ("Web_Shop", {}, "path.name"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_a_source_cannot_be_is_named(
    world: World, name: str, body: Any, at: str
) -> None:
    headers = {"Content-Type": "application/json"}
    text = json.dumps(body)  # httpx would not encode half an emoji
    response = await world.api.put(f"/v1/sources/{name}", content=text, headers=headers)
    assert response.status_code == 422, response.text
    assert [error["at"] for error in response.json()["errors"]] == [at]


async def test_only_an_admin_changes_and_everyone_with_a_token_reads(world: World) -> None:
    changes = [
        ("PUT", "/v1/sources/web", {}),
        ("DELETE", "/v1/sources/web", None),
        ("POST", "/v1/sources/web/keys", {}),
        ("DELETE", "/v1/sources/web/keys/k", None),
        ("PUT", "/v1/sources/web/secrets/s", {"value": "x"}),
        ("DELETE", "/v1/sources/web/secrets/s", None),
        ("POST", "/v1/sources/web/enable", None),
        ("POST", "/v1/sources/web/disable", None),
    ]
    for role in ("reader", "marketer", "support"):
        for method, path, body in changes:
            answer = await world.api.request(method, path, json=body, headers=bearer(role))
            assert answer.status_code == 403, (role, method, path)
    for path in ("", "/storefront", "/storefront/activity", "/storefront/recent"):
        for role, status in (("reader", 200), ("nobody", 401)):
            answer = await world.api.get(f"/v1/sources{path}", headers=bearer(role))
            assert answer.status_code == status, (role, path)
    nobody = await world.other.get("/v1/sources/storefront/debug")
    assert nobody.status_code == 401


async def test_pages_go_by_name_and_show_the_sources_of_the_settings(world: World) -> None:
    for name in ("page-b", "page-a"):
        await world.create(name)
    items: list[Any] = []
    query: dict[str, Any] = {"limit": 1}
    while True:
        page = (await world.api.get("/v1/sources", params=query)).json()
        items += page["items"]
        if page["next"] is None:
            break
        query["cursor"] = page["next"]
    names = [item["name"] for item in items]
    assert names == sorted(names)
    assert {"page-a", "page-b", "storefront"} <= set(names)
    assert len(names) == len(set(names))
    static = items[names.index("storefront")]
    assert (static["static"], static["version"], static["keys"]) == (True, 0, [])


# -- keys --------------------------------------------------------------------------------


async def test_a_key_of_one_process_is_soon_taken_by_another(world: World) -> None:
    await world.create("keyed")
    made = await world.key("keyed")
    assert made["published"] is True

    async def taken() -> bool:
        return await send(world.other, made["key"], event(1)) == 200

    await eventually(taken)
    await eventually(lambda: _is(world.api, made["key"], 200))
    shown = (await world.api.get("/v1/sources/keyed")).json()
    assert shown["keys"] == [
        {
            "id": made["id"],
            "hint": made["key"][-4:],
            "created_at": made["created_at"],
            "expires_at": None,
        }
    ]
    stored = await world.cluster.database("ingest")["sources"].find_one({"_id": "keyed"})
    assert made["key"].encode() not in stored["body"]
    records = await world.cluster.records("control.definitions")
    assert all(made["key"].encode() not in (record.value or b"") for record in records)


async def _is(client: httpx.AsyncClient, key: str, status: int) -> bool:
    return await send(client, key, event(1)) == status


async def test_a_key_that_is_rotated_out_or_deleted_stops_everywhere(world: World) -> None:
    await world.create("rotated")
    first, second = await world.key("rotated"), await world.key("rotated")
    full = await world.api.post("/v1/sources/rotated/keys")
    assert (full.status_code, full.json()["code"]) == (409, "too_many_keys")
    for key in (first, second):
        await eventually(lambda key=key: _is(world.other, key["key"], 200))
    third = await world.key("rotated", overlap_seconds=0)
    for client in (world.other, world.api):
        await eventually(lambda client=client: _is(client, third["key"], 200))
        assert await send(client, first["key"], event(1)) == 401
        assert await send(client, second["key"], event(1)) == 401
    url = f"/v1/sources/rotated/keys/{third['id']}"
    assert (await world.api.delete(url)).status_code == 204
    assert (await world.api.delete(url)).json()["code"] == "unknown_key"
    await eventually(lambda: _is(world.other, third["key"], 401))


async def test_an_overlap_ends_by_itself(world: World) -> None:
    await world.create("overlapped")
    old = await world.key("overlapped")
    await eventually(lambda: _is(world.other, old["key"], 200))
    new = await world.key("overlapped", overlap_seconds=1)
    await eventually(lambda: _is(world.other, old["key"], 401))
    assert await send(world.other, new["key"], event(1)) == 200
    shown = (await world.api.get("/v1/sources/overlapped")).json()
    assert [key["id"] for key in shown["keys"]] == [new["id"]]


async def test_a_disabled_source_is_refused_everywhere_and_keeps_its_keys(world: World) -> None:
    await world.create("switched")
    key = (await world.key("switched"))["key"]
    await eventually(lambda: _is(world.other, key, 200))
    assert (await world.api.post("/v1/sources/switched/disable")).json()["enabled"] is False
    await eventually(lambda: _is(world.other, key, 403))
    assert (await world.api.post("/v1/sources/switched/enable")).json()["enabled"] is True
    await eventually(lambda: _is(world.other, key, 200))


async def test_changes_at_the_same_time_are_all_kept(world: World) -> None:
    await world.create("raced")
    made = await asyncio.gather(
        world.api.put("/v1/sources/raced", json={"burst": 9}),
        *(world.api.post("/v1/sources/raced/keys") for _ in range(2)),
        *(world.api.put(f"/v1/sources/raced/secrets/s{n}", json={"value": "v"}) for n in range(2)),
    )
    # Who raced too long is told so, and nothing of it is stored.
    done = [response for response in made if response.status_code < 300]
    assert {response.status_code for response in made} <= {200, 201, 409}
    shown = (await world.api.get("/v1/sources/raced")).json()
    assert shown["version"] == 1 + len(done)
    keys = [response.json()["id"] for response in done if "key" in response.json()]
    assert sorted(key["id"] for key in shown["keys"]) == sorted(keys)


# -- secrets -----------------------------------------------------------------------------


async def test_a_secret_is_sealed_and_its_previous_value_is_good_for_an_hour(world: World) -> None:
    await world.create("secretive", kind="shopify")
    url = "/v1/sources/secretive/secrets/app_secret"
    await world.api.put(url, json={"value": "first-value"})
    answer = await world.api.put(url, json={"value": "second-value"})
    assert answer.status_code == 200, answer.text
    assert "-value" not in answer.text
    [shown] = answer.json()["secrets"]
    set_at = datetime.fromisoformat(shown["set_at"])
    assert shown["name"] == "app_secret"
    assert datetime.fromisoformat(shown["previous_until"]) == set_at + HOUR
    directory = world.api._transport.app.state.office.directory  # type: ignore[attr-defined]

    async def followed() -> bool:
        source = directory.by_name("secretive")
        return directory.secrets(source, "app_secret") == ["second-value", "first-value"]

    await eventually(followed)
    records = await world.cluster.records("control.definitions")
    assert all(b"-value" not in (record.value or b"") for record in records)
    assert (await world.api.delete(url)).status_code == 204
    assert (await world.api.delete(url)).json()["code"] == "unknown_secret"


async def test_without_secret_keys_a_secret_is_refused_with_what_to_do(world: World) -> None:
    await world.create("unsealed")
    client = await world.serve(secret_keys=[])
    answer = await client.put("/v1/sources/unsealed/secrets/s", json={"value": "x"})
    assert (answer.status_code, answer.json()["code"]) == (409, "no_secret_keys")
    assert "REGULARS_SECRET_KEYS" in answer.json()["detail"]


# -- what a source does ------------------------------------------------------------------


async def test_activity_is_that_of_all_processes(world: World) -> None:
    await world.create("active")
    key = (await world.key("active"))["key"]
    for number, client in enumerate((world.api, world.other)):
        await eventually(lambda client=client: _is(client, key, 200))
        batch = [event(100 + number, type="track"), event(100 + number, type="track"), {"x": 1}]
        assert await send(client, key, {"batch": batch}, "batch") == 200
        assert await send(client, key, "{", "batch") == 400

    async def counted() -> bool:
        answer = (await world.api.get("/v1/sources/active/activity")).json()
        return bool(
            answer["accepted"] == 4
            and answer["duplicates"] == 2
            and {one["code"]: one["events"] for one in answer["rejected"]}
            == {"unknown_type": 2, "bad_batch": 2}
        )

    await eventually(counted)
    answer = (await world.api.get("/v1/sources/active/activity", params={"hours": 1})).json()
    assert answer["step_seconds"] == 60
    assert sum(step["accepted"] for step in answer["series"]) == 4
    assert sum(step["rejected"] for step in answer["series"]) == 4
    page = (await world.api.get("/v1/sources", params={"limit": 200})).json()
    [listed] = [item for item in page["items"] if item["name"] == "active"]
    assert listed["last_day"] == {
        "accepted": 4,
        "duplicates": 2,
        "rejected": 4,
        "limited": 0,
        "last_seen": answer["last_seen"],
    }


async def test_counts_written_again_do_not_count_twice(world: World) -> None:
    client = connect(world.cluster.settings)
    database = client[world.cluster.settings.database("ingest")]
    start = datetime(2026, 3, 14, 12, tzinfo=UTC)
    hour = Hour(
        source="again",
        hour=start,
        last_seen=start + HOUR / 2,
        accepted=3,
        rejected={"a.b$": 1},
        minutes={30: [3, 1]},
    )
    other = msgspec.structs.replace(hour, accepted=4, last_seen=start)
    for run, counted in (("one", hour), ("one", hour), ("two", other)):
        await store.Counts(database, run).save([counted])
    counts = store.Counts(database, "reader")
    read = await counts.since("again", start + HOUR / 2)
    assert sorted(read, key=lambda one: one.accepted) == [hour, other]
    assert await counts.last_seen("again") == hour.last_seen
    assert await counts.last_seen("never") is None
    assert (await counts.all_since(start))["again"] == Hour(
        source="again", hour=start, last_seen=hour.last_seen, accepted=7, rejected={"": 2}
    )
    client.close()


async def test_a_watcher_sees_events_of_all_processes_as_they_come(world: World) -> None:
    await world.create("watched")
    key = (await world.key("watched"))["key"]
    for client in (world.api, world.other):
        await eventually(lambda client=client: _is(client, key, 200))
    seen: dict[str, Any] = {}
    url = "/v1/sources/watched/debug"
    async with (
        asyncio.timeout(30),
        world.other.stream("GET", url, headers=bearer("support")) as stream,
    ):
        assert stream.headers["content-type"] == "text/event-stream; charset=utf-8"
        sending = asyncio.create_task(_keep_sending(world, key))
        try:
            async for line in stream.aiter_lines():
                if line.startswith("data:"):
                    shown = json.loads(line.removeprefix("data:"))
                    seen[shown["message_id"]] = shown
                if {"m-7", "m-8"} <= seen.keys():
                    break
        finally:
            sending.cancel()
    assert seen["m-7"]["event"] == event(7, email="ada@shop.example")
    assert (seen["m-8"]["verdict"], seen["m-8"]["code"]) == ("rejected", "missing_event")
    page = await world.api.get("/v1/sources/watched/recent", headers=bearer("reader"))
    recent = {item["message_id"]: item for item in page.json()["items"]}
    assert recent["m-7"] == seen["m-7"] | {
        "id": recent["m-7"]["id"],
        "at": recent["m-7"]["at"],
        "event": event(7, email="***@***"),
        "masked": True,
    }


async def _keep_sending(world: World, key: str) -> None:
    """One process takes an event, the other refuses one, until the watcher has seen both."""
    while True:
        assert await send(world.api, key, event(7, email="ada@shop.example")) == 200
        assert await send(world.other, key, event(8, event="")) == 400
        await asyncio.sleep(0.1)


async def test_who_leaves_a_stream_makes_room_for_another(world: World) -> None:
    url = "/v1/sources/storefront/debug"
    async with AsyncExitStack() as watching:
        for _ in range(MOST_OF_A_SOURCE):
            stream = world.other.stream("GET", url, headers=bearer("reader"))
            assert (await watching.enter_async_context(stream)).status_code == 200
        full = await world.other.get(url, headers=bearer("reader"))
        assert (full.status_code, full.json()["code"]) == (429, "too_many_streams")
        assert full.headers["retry-after"] == "30"

    async def watched() -> int:
        async with world.other.stream("GET", url, headers=bearer("reader")) as stream:
            return stream.status_code

    await eventually(lambda: _equals(watched, 200))


async def _equals(ask: Callable[[], Awaitable[int]], wanted: int) -> bool:
    return await ask() == wanted


async def test_a_process_that_is_told_to_stop_ends_its_streams(world: World) -> None:
    process, client = await world.another()
    url = "/v1/sources/storefront/debug"
    async with client.stream("GET", url, headers=bearer("reader")) as stream:
        lines = stream.aiter_lines()
        assert await anext(lines) == ": watching"
        stopping = asyncio.create_task(asyncio.to_thread(process.stop))
        assert [line async for line in lines if line.startswith("data:")] == []
    await stopping
    assert process.exit_code == 0


# -- the command ---------------------------------------------------------------------------


async def test_the_command_creates_shows_rotates_and_disables(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGULARS_INGEST_URL", str(world.other.base_url))
    monkeypatch.setenv("REGULARS_ADMIN_TOKEN", "admin")

    async def run(*words: str, given: str | None = None) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, app, ["sources", *words], given)

    created = await run("create", "till-7", "--kind", "store", "--currency", "eur")
    assert created.exit_code == 0, created.output
    old = created.stdout.strip()
    await eventually(lambda: _is(world.other, old, 200))
    again = await run("create", "till-7")
    assert (again.exit_code, again.stdout) == (1, "")
    assert "there is a source till-7" in again.stderr
    options = ("--option", "branch=7", "--option", 'note="7"', "--option", "gone=x")
    assert (await run("set", "till-7", "--region", "de", *options)).exit_code == 0
    changed = await run("set", "till-7", "--events-per-second", "9", "--option", "gone=")
    assert changed.exit_code == 0, changed.output
    source = (await world.api.get("/v1/sources/till-7")).json()
    assert (source["kind"], source["default_currency"], source["default_region"]) == (
        "store",
        "EUR",
        "DE",
    )
    assert (source["events_per_second"], source["options"]) == (9, {"branch": 7, "note": "7"})
    rotated = await run("rotate-key", "till-7", "--overlap-seconds", "0")
    new = rotated.stdout.strip()
    await eventually(lambda: _is(world.other, new, 200))
    assert await send(world.other, old, event(1)) == 401
    assert (await run("set-secret", "till-7", "pin", given="1234\n")).exit_code == 0
    assert (await run("disable", "till-7")).exit_code == 0
    await eventually(lambda: _is(world.other, new, 403))
    shown = await run("show", "till-7")
    for word in ("till-7", "store", "EUR", "False", new[-4:], "pin"):
        assert word in shown.stdout
    for secret in (new, "1234"):
        assert secret not in shown.stdout
    assert (await run("enable", "till-7")).exit_code == 0
    await eventually(lambda: _is(world.other, new, 200))
    listed = (await run("list")).stdout
    assert "till-7" in listed
    assert "storefront" in listed
    for words, said in (
        (("show", "nobody"), "There is no source with this name."),
        (("create", "x", "--currency", "EURO"), "must be a currency of ISO 4217"),
        (("create", "x", "--kind", "pigeon"), "body.kind"),
        (("create", "x", "--option", "lonely"), "say name=value"),
    ):
        failed = await run(*words)
        assert failed.exit_code == 1
        assert failed.stderr.startswith("error: ")
        assert said in failed.stderr
    monkeypatch.setenv("REGULARS_ADMIN_TOKEN", "wrong")
    assert "REGULARS_ADMIN_TOKEN" in (await run("list")).stderr
    monkeypatch.setenv("REGULARS_INGEST_URL", f"http://127.0.0.1:{free_port()}")
    assert "REGULARS_INGEST_URL" in (await run("list")).stderr
    key = (await run("secret-key")).stdout.strip()
    assert Fernet(key).decrypt(Fernet(key).encrypt(b"x")) == b"x"


# -- servers away ------------------------------------------------------------------------


async def test_without_mongodb_events_are_taken_and_sources_cannot_be_changed(
    world: World,
) -> None:
    await world.create("lasting")
    key = (await world.key("lasting"))["key"]
    client = await world.serve(mongo_url=f"mongodb://127.0.0.1:{free_port()}/")

    async def ready() -> bool:
        return (await client.get("/health/ready")).status_code == 200

    await eventually(ready)
    assert await send(client, key, event(1)) == 200
    answers = await asyncio.gather(
        client.get("/v1/sources"),
        client.put("/v1/sources/lasting", json={}),
        client.get("/v1/sources/lasting/activity"),
    )
    for answer in answers:
        assert answer.status_code == 503, answer.text
        assert answer.json()["detail"] == (
            "The database does not answer. Try again in a few seconds."
        )


async def test_what_kafka_did_not_hear_of_is_published_later(world: World) -> None:
    database = world.cluster.database("ingest")
    await world.create("unheard")
    key = (await world.key("unheard"))["key"]
    await eventually(lambda: _is(world.other, key, 200))
    stored = await store.Sources(database).get("unheard")
    assert stored is not None
    assert stored.body is not None
    # As a crash between storing and publishing leaves it.
    off = msgspec.structs.replace(
        stored,
        version=stored.version + 1,
        at=datetime.now(UTC),
        body=msgspec.structs.replace(stored.body, enabled=False),
    )
    assert await store.Sources(database).put(off)
    await world.serve()  # a process that starts looks for such
    await eventually(lambda: _is(world.other, key, 403))


# -- tracking plans ----------------------------------------------------------------------

PLAN = {
    "mode": "block",
    "unknown_events": "warn",
    "events": {"Product Viewed": {"schema": {"required": ["product_id"]}}},
}


async def test_a_plan_holds_in_every_process_until_it_changes(world: World) -> None:
    created = await world.api.put("/v1/plans/shop", json=PLAN)
    assert created.status_code == 201, created.text
    assert created.json() | {"updated_at": None} == {
        "name": "shop",
        "version": 1,
        "updated_at": None,
        "published": True,
        "used_by": [],
        "plan": PLAN,
    }
    await world.create("planned", plan="shop")
    key = (await world.key("planned"))["key"]
    promised = {"productId": 7}

    async def blocked() -> bool:
        return await send(world.other, key, event(901, properties={"price": 1})) == 400

    await eventually(blocked)
    refused = await world.other.post("/v1/track", json=event(901), auth=(key, ""))
    assert (refused.json()["code"], refused.json()["detail"]) == (
        "plan_violation",
        "/product_id: required",
    )
    assert await send(world.other, key, event(902, properties=promised)) == 200
    assert await send(world.other, key, event(903, event="Tea Brewed")) == 200

    async def counted() -> bool:
        answer = await world.api.get("/v1/plans/shop/violations", headers=bearer("reader"))
        rows = {(row["event"], row["pointer"], row["rule"]) for row in answer.json()["items"]}
        return rows == {
            ("Product Viewed", "/product_id", "required"),
            ("Tea Brewed", "", "unknown_event"),
        }

    await eventually(counted)
    assert (await world.api.put("/v1/plans/shop", json=PLAN | {"mode": "warn"})).status_code == 200

    async def taken() -> bool:
        return await send(world.other, key, event(904)) == 200

    await eventually(taken)
    in_use = await world.api.delete("/v1/plans/shop")
    assert (in_use.status_code, in_use.json()["code"]) == (409, "plan_in_use")
    assert (await world.api.get("/v1/plans/shop")).json()["used_by"] == ["planned"]
    assert (await world.api.delete("/v1/sources/planned")).status_code == 204

    async def deleted() -> bool:
        return (await world.api.delete("/v1/plans/shop")).status_code == 204

    await eventually(deleted)
    assert (await world.api.get("/v1/plans/shop")).status_code == 404
    assert (await world.api.get("/v1/plans")).json() == {"items": [], "next": None}


async def test_only_an_admin_writes_plans_and_only_good_ones(world: World) -> None:
    denied = await world.api.put("/v1/plans/shop", json=PLAN, headers=bearer("support"))
    assert denied.status_code == 403
    assert (await world.other.get("/v1/plans")).status_code == 401
    bad = PLAN | {"events": {"Sent": {"schema": {"pattern": "(?=x)"}}}}
    refused = await world.api.put("/v1/plans/shop", json=bad)
    assert refused.status_code == 422
    assert [(error["at"], error["code"]) for error in refused.json()["errors"]] == [
        ("body.events.Sent.schema", "bad_schema")
    ]
    for path in ("/v1/plans/shop", "/v1/plans/shop/violations"):
        assert (await world.api.get(path)).status_code == 404
    assert (await world.api.delete("/v1/plans/shop")).status_code == 404

"""Dead letters on the real Kafka and MongoDB: stored once, shown, repaired, replayed once."""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
import pytest_asyncio
from typer.testing import CliRunner

from deploy.local.ports import free_port
from deploy.local.processes import Process, wait_http_ok
from services.ingest.dead_letters.command import app as command
from services.runtime.keys import digest
from services.runtime.publish import Publisher
from services.runtime.turn import Output
from tests.faults.cluster import Cluster, unique_namespace

pytestmark = pytest.mark.broker

KEY, BROKEN = "a-write-key", "a-broken-key"
RECORDED, STORED = 200, 100
"""How many refused events of a source the topic and the database take."""
TOKENS = {role: f"a-{role}" for role in ("reader", "marketer", "support", "admin")}
ORDER: dict[str, Any] = {
    "messageId": "m-1",
    "userId": "ann",
    "event": "Order Completed",
    "timestamp": "2026-03-01T11:59:00Z",
    "properties": {"order_id": "o-1", "revenue": "12,50", "currency": "EUR"},
}
REPAIRED = {**ORDER, "properties": {"order_id": "o-1", "revenue": "12.50", "currency": "EUR"}}
T = TypeVar("T")
PATIENCE_S = 20.0


async def eventually(ask: Callable[[], Awaitable[T]], wanted: Callable[[T], bool]) -> T:
    """The first answer that is as ``wanted``; fails with the last one."""
    end = time.monotonic() + PATIENCE_S
    while not wanted(answer := await ask()):
        assert time.monotonic() < end, f"still {answer}"
        await asyncio.sleep(0.05)
    return answer


class House:
    """Ingest, its dead-letters worker and, where a test wants it, resolve and build."""

    def __init__(self, cluster: Cluster, url: str) -> None:
        self.cluster = cluster
        self.url = url
        self.worker: Process
        self._http = httpx.AsyncClient(base_url=url, timeout=20, trust_env=False)

    def start(self, worker: str = "dead-letters", **env: str) -> Process:
        command = [sys.executable, "-m", "services.cli", "worker", worker]
        name = worker.replace("-", "_")
        port = {f"{name}_worker_port": str(free_port())}
        kept = {"dead_letters_per_source": str(STORED)}
        return self.cluster.start(command, **port, **kept, **env)

    async def close(self) -> None:
        await self._http.aclose()
        await self.cluster.close()

    async def send(self, path: str, body: Any, key: str = KEY) -> httpx.Response:
        return await self._http.post(path, json=body, auth=(key, ""))

    async def call(
        self, method: str, path: str, body: Any = None, *, role: str = "support", **params: Any
    ) -> httpx.Response:
        headers = {"Authorization": f"Bearer {TOKENS[role]}"}
        return await self._http.request(
            method, f"/v1/dead-letters{path}", json=body, params=params, headers=headers
        )

    async def letters(self, **params: Any) -> list[dict[str, Any]]:
        answer = await self.call("GET", "", **params)
        assert answer.status_code == 200, answer.text
        return list(answer.json()["items"])

    async def letter(self, id_: str, role: str = "support") -> dict[str, Any]:
        return dict((await self.call("GET", f"/{id_}", role=role)).json())

    async def arrived(self, number: int = 1, **params: Any) -> list[dict[str, Any]]:
        return await eventually(lambda: self.letters(**params), lambda found: len(found) >= number)

    async def state(self, id_: str) -> str:
        return str((await self.letter(id_))["state"])

    async def events(self, topic: str = "events.orders") -> list[Any]:
        return [json.loads(record.value) for record in await self.cluster.records(topic)]

    async def publish(self, *outputs: Output) -> None:
        publisher = Publisher(self.cluster.settings, "test")
        try:
            await publisher.publish(outputs)
        finally:
            await publisher.stop()


@asynccontextmanager
async def house(stack: Any, logs: Path) -> AsyncIterator[House]:
    cluster = Cluster(stack, unique_namespace(), logs)
    port = free_port()
    made = House(cluster, f"http://127.0.0.1:{port}")
    try:
        await cluster.create_topics(["dead-letters", "profile-resolve", "profile-build"])
        ingest = cluster.start(
            [sys.executable, "-m", "services.cli", "api", "ingest"],
            ingest_port=str(port),
            write_keys=json.dumps({digest(KEY): "web", digest(BROKEN): "broken"}),
            tokens=json.dumps({digest(token): role for role, token in TOKENS.items()}),
            refused_events_per_hour=str(RECORDED),
        )
        await asyncio.to_thread(wait_http_ok, f"{made.url}/health/ready", 30, ingest)
        yield made
    finally:
        await made.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def open_house(stack: Any, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    """One house for the tests that break nothing; each has messages of its own."""
    async with house(stack, tmp_path_factory.mktemp("logs")) as made:
        made.worker = made.start()
        yield made


def rejected(offset: int, **headers: str) -> Output:
    """What a stage leaves on ``profile.interactions.dead``."""
    facts = {
        "ce_id": f"i-{offset}",
        "ce_type": "regulars.interaction.recorded.v1",
        "dl_reason": "not_as_declared",
        "dl_detail": "DecodeError",
        "dl_topic": "profile.interactions",
        "dl_partition": "3",
        "dl_offset": str(offset),
        "dl_stage": "profile-build",
        "dl_at": "2026-03-01T12:00:00Z",
        **headers,
    }
    encoded = [(name, value.encode()) for name, value in facts.items()]
    return Output("profile.interactions.dead", 0, b"p1", b'{"name": "Cart Viewed"}', encoded)


@pytest.mark.asyncio(loop_scope="module")
async def test_a_refused_order_is_seen_repaired_and_replayed_once(open_house: House) -> None:
    house = open_house
    assert (await house.send("/v1/track", ORDER)).status_code == 400
    (listed,) = await house.arrived(text="m-1")
    assert (listed["source"], listed["reason"], listed["state"]) == ("web", "bad_amount", "open")
    assert (listed["name"], listed["message_id"]) == ("Order Completed", "m-1")
    assert "content" not in listed
    whole = await house.letter(listed["id"])
    assert whole["content"] == {"json": ORDER}

    path = f"/{listed['id']}/replay"
    refused = await house.call("POST", path)
    assert (refused.status_code, refused.json()["code"]) == (422, "bad_amount")
    dry = await house.call("POST", path, {"body": REPAIRED, "dry_run": True})
    assert (dry.status_code, dry.json()["accepted"]) == (200, True)
    assert dry.json()["before"] == {"json": ORDER}
    assert dry.json()["after"]["json"]["messageId"] == "m-1"
    assert await house.events() == []

    clicks = await asyncio.gather(*(house.call("POST", path, {"body": REPAIRED}) for _ in range(5)))
    assert sorted(click.status_code for click in clicks) == [202, 409, 409, 409, 409]
    await eventually(lambda: house.state(listed["id"]), lambda state: state == "replayed")
    (event,) = await house.events()
    assert (event["messageId"], event["timestamp"]) == ("m-1", "2026-03-01T11:59:00Z")
    assert event["properties"] == REPAIRED["properties"]
    after = await house.letter(listed["id"])
    assert after["edited"] == {"json": REPAIRED}
    assert [(one["deed"], one["by"]) for one in after["history"]] == [
        ("refused", "support"), ("replaying", "support"), ("replayed", ""),
    ]  # fmt: skip
    assert (await house.call("POST", path)).status_code == 409


@pytest.mark.asyncio(loop_scope="module")
async def test_a_letter_that_a_crash_has_written_twice_is_one(open_house: House) -> None:
    house = open_house
    await house.publish(rejected(1), rejected(1), rejected(1, dl_stage="reporting"), rejected(2))
    found = await house.arrived(3, topic="profile.interactions")
    assert sorted(one["id"] for one in found) == [
        "profile.interactions:3:1:profile-build",
        "profile.interactions:3:1:reporting",
        "profile.interactions:3:2:profile-build",
    ]
    counts = (await house.call("GET", "/counts", topic="profile.interactions")).json()
    assert counts["items"] == [
        {"day": "2026-03-01", "source": "unknown", "topic": "profile.interactions",
         "reason": "not_as_declared", "stored": 3, "suppressed": 0, "dropped": 0}
    ]  # fmt: skip


@pytest.mark.asyncio(loop_scope="module")
async def test_only_some_see_contents_and_act(open_house: House) -> None:
    house = open_house
    await house.send("/v1/track", {**ORDER, "messageId": "m-secret"})
    (listed,) = await house.arrived(text="m-secret")
    for role in ("reader", "marketer"):
        assert "content" not in await house.letter(listed["id"], role)
        for path in (f"/{listed['id']}/replay", f"/{listed['id']}/dismiss", "/replay", "/erase"):
            assert (await house.call("POST", path, role=role)).status_code == 403
    assert "content" in await house.letter(listed["id"], "admin")
    unknown = await house.call("POST", "/nobody/dismiss")
    assert (unknown.status_code, unknown.json()["title"]) == (404, "Not Found")


@pytest.mark.asyncio(loop_scope="module")
async def test_many_are_repaired_alike_and_the_others_stay(open_house: House) -> None:
    house = open_house
    batch: list[dict[str, Any]] = [
        {"type": "track", "userId": "u", "event": "Order Completed", "messageId": f"many-{n}",
         "properties": {"reference": f"o-{n}", "total": n}}
        for n in range(3)
    ]  # fmt: skip
    odd_one = {**batch[0], "messageId": "many-odd", "properties": {}}
    batch.append(odd_one)
    answer = await house.send("/v1/batch", {"batch": batch, "context": {"locale": "de"}})
    assert len(answer.json()["rejected"]) == 4
    await house.arrived(4, text="many-")
    asked: dict[str, Any] = {
        "filter": {"reason": "missing_order_id", "text": "many-"},
        "patch": [{"op": "move", "from": "/properties/reference", "path": "/properties/order_id"}],
    }
    dry = (await house.call("POST", "/replay", {**asked, "dry_run": True})).json()
    assert (dry["taken"], dry["refused"]) == (0, 1)
    assert {one["id"]: one["accepted"] for one in dry["letters"]} == {
        one["id"]: one["message_id"] != "many-odd" for one in await house.letters(text="many-")
    }
    done = await house.call("POST", "/replay", asked)
    assert (done.status_code, done.json()["taken"], done.json()["refused"]) == (202, 3, 1)
    await eventually(
        lambda: house.letters(text="many-", state="replayed"), lambda found: len(found) == 3
    )
    (odd,) = await house.letters(text="many-", state="open")
    assert (odd["message_id"], odd["history"]) == ("many-odd", [])
    events = [one for one in await house.events() if one["messageId"].startswith("many-")]
    assert sorted((one["properties"]["order_id"], one["context"]["locale"]) for one in events) == [
        (f"o-{n}", "de") for n in range(3)
    ]
    everything = await house.call("POST", "/replay", {"filter": {}})
    assert (everything.status_code, everything.json()["code"]) == (422, "no_filter")


@pytest.mark.asyncio(loop_scope="module")
async def test_many_are_made_anew_by_an_expression_and_the_rest_is_dismissed(
    open_house: House,
) -> None:
    house = open_house
    batch: list[dict[str, Any]] = [
        {"type": "track", "userId": "u", "event": "Order Completed", "messageId": f"anew-{n}",
         "number": n, "cents": 1000 + n}
        for n in range(2)
    ]  # fmt: skip
    batch.append(
        {"type": "track", "userId": "u", "event": "Order Completed", "messageId": "anew-x"}
    )
    await house.send("/v1/batch", {"batch": batch})
    await house.arrived(3, text="anew-")
    asked: dict[str, Any] = {
        "filter": {"text": "anew-"},
        "expression": "merge(@, {properties: {order_id: to_string(number),"
        " total: shift(cents, `-2`), currency: 'EUR'}})",
    }
    dry = (await house.call("POST", "/replay", {**asked, "dry_run": True})).json()
    shown = {one["before"]["json"]["messageId"]: one for one in dry["letters"]}
    assert {name: one["accepted"] for name, one in shown.items()} == {
        "anew-0": True, "anew-1": True, "anew-x": False,
    }  # fmt: skip
    assert shown["anew-1"]["before"] == {"json": batch[1]}
    properties = {"order_id": "1", "total": 10.01, "currency": "EUR"}
    assert shown["anew-1"]["after"]["json"]["properties"] == properties
    assert await house.letters(text="anew-", state="replaying") == []
    done = (await house.call("POST", "/replay", asked)).json()
    assert (done["taken"], done["refused"]) == (2, 1)
    await eventually(
        lambda: house.letters(text="anew-", state="replayed"), lambda found: len(found) == 2
    )
    events = {one["messageId"]: one["properties"] for one in await house.events()}
    assert events["anew-1"] == properties
    (left,) = await house.letters(text="anew-", state="open")
    these = {"filter": {"text": "anew-"}}
    counted = await house.call("POST", "/dismiss", {**these, "dry_run": True})
    assert (counted.json(), await house.state(left["id"])) == ({"dismissed": 1}, "open")
    assert (await house.call("POST", "/dismiss", these)).json() == {"dismissed": 1}
    after = await house.letter(left["id"])
    assert (after["state"], [(one["deed"], one["by"]) for one in after["history"]]) == (
        "dismissed", [("dismissed", "support")],
    )  # fmt: skip
    assert len(await house.letters(text="anew-", state="replayed")) == 2
    assert (await house.call("POST", "/dismiss", these)).json() == {"dismissed": 0}
    again = await house.call("POST", f"/{left['id']}/replay", {"body": {**batch[0], **REPAIRED}})
    assert again.status_code == 202  # a dismissed one may still be replayed


@pytest.mark.asyncio(loop_scope="module")
async def test_pages_and_filters_show_each_letter_once(open_house: House) -> None:
    house = open_house
    await house.send("/v1/batch", {"batch": [{"messageId": f"page-{n}"} for n in range(5)]})
    await house.arrived(5, text="page-")
    seen: list[str] = []
    following: dict[str, Any] = {}
    while True:
        page = (await house.call("GET", "", text="page-", limit=2, **following)).json()
        seen += [one["message_id"] for one in page["items"]]
        following = {"cursor": page["next"]}
        if page["next"] is None:
            break
    assert sorted(seen) == [f"page-{n}" for n in range(5)]
    hour = timedelta(hours=1)
    now = datetime.now(UTC)
    assert len(await house.letters(text="page-", **{"from": (now - hour).isoformat()})) == 5
    assert await house.letters(text="page-", to=(now - hour).isoformat()) == []
    assert await house.letters(text="page-.*", source="web") == []
    assert await house.letters(text="page-", source="app") == []
    (first,) = await house.letters(text="page-0")
    dismissed = await house.call("POST", f"/{first['id']}/dismiss")
    assert dismissed.json()["state"] == "dismissed"
    assert len(await house.letters(text="page-", state="open")) == 4
    bad = await house.call("GET", "", cursor="x")
    assert bad.status_code == 400


@pytest.mark.asyncio(loop_scope="module")
async def test_what_a_person_is_named_in_is_erased_also_when_it_comes_late(
    open_house: House,
) -> None:
    house = open_house
    mail = "Zoe@Shop.example"
    event = {"type": "track", "userId": "zoe", "messageId": "erase-1",
             "context": {"traits": {"email": mail}}}  # fmt: skip
    other = {"type": "track", "userId": "bob", "messageId": "erase-2"}
    await house.send("/v1/batch", {"batch": [event, other]})
    listed = await house.arrived(2, text="erase-")
    who = {"identifiers": [{"type": "email", "value": "zoe@shop.example "}]}
    answer = await house.call("POST", "/erase", who)
    assert (answer.status_code, answer.json()) == (200, {"erased": 1})
    (left,) = await house.letters(text="erase-")
    assert left["message_id"] == "erase-2"
    (gone,) = [one["id"] for one in listed if one["message_id"] == "erase-1"]
    whole = await house.letter(gone)
    assert (whole["state"], whole["content"], whole["message_id"]) == ("erased", None, None)
    assert "zoe" not in json.dumps(whole).lower()
    assert (await house.call("POST", f"/{gone}/replay")).status_code == 409

    late = rejected(77, ce_id="i-late")
    late.value = b'{"email": "zoe@shop.example"}'
    await house.publish(late)
    id_ = "profile.interactions:3:77:profile-build"
    found = await eventually(lambda: house.letter(id_), lambda one: "state" in one)
    assert (found["state"], found["content"]) == ("erased", None)
    database = house.cluster.database("ingest")
    kept = [one async for one in database["dead_letters"].find({})]
    assert b"zoe@shop" not in b"".join(str(one).encode().lower() for one in kept)
    assert (await house.call("POST", "/erase", who)).json() == {"erased": 0}


@pytest.mark.asyncio(loop_scope="module")
async def test_the_command_shows_repairs_and_replays(
    open_house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = open_house
    monkeypatch.setenv("REGULARS_INGEST_URL", house.url)
    monkeypatch.setenv("REGULARS_TOKEN", TOKENS["support"])
    monkeypatch.setenv("COLUMNS", "300")

    async def run(*words: str) -> tuple[int, str]:
        result = await asyncio.to_thread(CliRunner().invoke, command, words)
        return result.exit_code, result.output

    await house.send("/v1/track", {**ORDER, "messageId": "cli-1"})
    await house.send("/v1/track", {**ORDER, "messageId": "cli-2"})
    id_, _ = [one["id"] for one in await house.arrived(2, text="cli-")]
    code, text = await run("list", "--text", "cli-", "--reason", "bad_amount")
    assert (code, text.count("Order Completed")) == (0, 2)
    code, text = await run("show", id_)
    assert json.loads(text)["content"]["json"]["properties"] == ORDER["properties"]
    code, text = await run("replay", id_)
    assert (code, "bad_amount: revenue" in text) == (1, True)
    (tmp_path / "body.json").write_text(json.dumps(REPAIRED))
    code, text = await run("replay", id_, "--body", str(tmp_path / "body.json"))
    assert (code, text) == (0, f"{id_}  accepted\n")
    (tmp_path / "patch.json").write_text(
        '[{"op": "replace", "path": "/properties/revenue", "value": 0.10}]'
    )
    patch = ("--text", "cli-", "--patch", str(tmp_path / "patch.json"))
    code, text = await run("replay", *patch, "--dry-run")
    assert (code, '"revenue": 0.1' in text, "0 sent again" in text) == (0, True, True)
    code, text = await run("replay", *patch)
    assert (code, text.splitlines()[-1]) == (0, "1 sent again, 0 still refused")
    code, text = await run("counts", "--reason", "bad_amount")
    assert (code, "events.rejected" in text) == (0, True)
    (tmp_path / "anew.jmespath").write_text("merge(@, {userId: 'ann'})")
    anew = ("--text", "cli-", "--expression", str(tmp_path / "anew.jmespath"), "--dry-run")
    code, text = await run("replay", *anew)
    assert (code, text) == (0, "0 sent again, 0 still refused\n")
    code, text = await run("dismiss", "--text", "cli-", "--dry-run")
    assert (code, text) == (0, "0 would be dismissed\n")
    code, text = await run("dismiss", "nothing")
    assert (code, "There is no dead letter with this id." in text) == (1, True)
    code, text = await run("erase", "--user-id", "nobody", "--email", "nobody@shop.example")
    assert (code, text) == (0, "0 erased\n")
    monkeypatch.setenv("REGULARS_INGEST_URL", "http://127.0.0.1:9")
    code, text = await run("list")
    assert (code, "regulars dead-letters topics" in text) == (1, True)


@pytest.mark.asyncio(loop_scope="module")
async def test_what_is_refused_again_reopens_its_letter_and_makes_no_new_one(
    open_house: House,
) -> None:
    house = open_house
    body = {"messageId": "again-1", "userId": "test", "event": "Tea", "properties": 7}
    await house.send("/v1/track", body)
    (listed,) = await house.arrived(text="again-1")
    # Resolve blocks this id: it may be no one person's.
    fixed = {**body, "properties": {}}
    assert (await house.call("POST", f"/{listed['id']}/replay", {"body": fixed})).status_code == 202
    resolve = house.start("profile-resolve")
    try:
        reopened = await eventually(
            lambda: house.letter(listed["id"]), lambda one: one["state"] == "edited"
        )
    finally:
        resolve.kill()
    assert (reopened["stage"], reopened["reason"]) == ("profile-resolve", "no_identifier")
    assert [one["deed"] for one in reopened["history"]] == ["replaying", "replayed", "refused"]
    assert len(await house.letters(text="again-1")) == 1
    named = {**fixed, "userId": "ann"}
    assert (await house.call("POST", f"/{listed['id']}/replay", {"body": named})).status_code == 202


@pytest.mark.asyncio(loop_scope="module")
async def test_a_broken_client_fills_neither_topic_nor_database(open_house: House) -> None:
    house = open_house
    batch = {"batch": [{"messageId": f"flood-{n}"} for n in range(500)]}
    answers = await asyncio.gather(
        *(house.send("/v1/batch", batch, key=BROKEN) for _ in range(4)),
        house.send("/v1/page", {"userId": "u"}, key=BROKEN),
    )
    assert {one.status_code for one in answers} == {200}

    async def counted() -> dict[str, Any]:
        return dict((await house.call("GET", "/counts", source="broken")).json())

    counts = await eventually(
        counted, lambda said: sum(one["stored"] for one in said["items"]) == RECORDED
    )
    (row,) = counts["items"]
    assert (row["source"], row["reason"]) == ("broken", "unknown_type")
    assert (row["dropped"], counts["states"]) == (RECORDED - STORED, {"open": STORED})
    records = await house.cluster.records("events.rejected")
    assert sum(record.key == b"broken" for record in records) == RECORDED


@pytest.mark.fault
@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("step", "offset"), [("committed:2", 101), ("published:1", 102)])
async def test_a_worker_that_dies_while_it_replays_replays_once(
    open_house: House, step: str, offset: int
) -> None:
    house = open_house
    id_ = f"profile.interactions:3:{offset}:profile-build"
    house.worker.kill()
    doomed = house.start(failpoint=step)  # its first turn only stores the letter
    try:
        await house.publish(rejected(offset))
        await eventually(lambda: house.letter(id_), lambda one: "state" in one)
        assert (await house.call("POST", f"/{id_}/replay")).status_code == 202
        await eventually(gone(doomed), bool)
    finally:
        doomed.kill()
        house.worker = house.start()
    await eventually(lambda: house.state(id_), lambda state: state == "replayed")
    await house.cluster.quiet(
        {"dead-letters": ("ingest", ["events.rejected", "profile.interactions.dead"])}
    )
    published = [dict(one.headers) for one in await house.cluster.records("profile.interactions")]
    mine = [one for one in published if one.get("dl_replay") == id_.encode()]
    assert all(one["dl_for"] == b"profile-build" for one in mine)
    # What is published twice has one number, by which its reader drops the second.
    assert len({(one["origin"], one["seq"]) for one in mine}) == 1


def gone(process: Process) -> Callable[[], Awaitable[bool]]:
    async def asked() -> bool:
        return not process.alive

    return asked

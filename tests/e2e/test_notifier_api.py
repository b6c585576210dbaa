"""The notifier as its users see it: its API, its worker process, and the mails that come of it."""

import asyncio
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import pytest_asyncio
from pydantic import SecretStr

from deploy.demo.mailsink import Faults, Sink
from deploy.local.ports import free_port
from schemas.addresses import digest_of
from schemas.messages import (
    Confirmation,
    Consent,
    ConsentRequested,
    Definition,
    MessageChanged,
)
from services.notifier import confirmation
from services.notifier.api import create_app
from services.notifier.rules import message_id
from services.notifier.settings import NotifierSettings
from services.runtime.keys import digest
from tests.faults.cluster import Cluster, unique_namespace
from tests.notifying import BODY, ProfileApi, changed, recipient

pytestmark = pytest.mark.broker

WORKER = [sys.executable, "-m", "services.cli", "worker", "notifier"]
SECRET = "0123456789abcdef"
CART = message_id("cart", "p1", None)


class World:
    """A worker process and the API on real servers, a mail sink and a profile API."""

    def __init__(self, cluster: Cluster, stack: Any) -> None:
        self.cluster = cluster
        self.kafka_url = stack.kafka_url
        self.sink = Sink()
        self.profiles = ProfileApi()
        self.api: httpx.AsyncClient
        self.serving: AsyncExitStack
        self.worker: Any = None
        self._env: dict[str, str] = {}

    async def start(self, stack: AsyncExitStack) -> None:
        smtp_port = await self.sink.start("127.0.0.1", 0)
        stack.push_async_callback(self.sink.stop)
        self._env = {
            "smtp_port": str(smtp_port),
            "notifier_profile_url": await self.profiles.start(),
            "notifier_secret": SECRET,
            "notifier_grace_seconds": "0.5",
            "notifier_poll_seconds": "0.2",
            "notifier_retry_first_seconds": "0.2",
        }
        stack.push_async_callback(self.profiles.stop)
        self.serving = await stack.enter_async_context(AsyncExitStack())
        self.api = await self.serving.enter_async_context(self.client(self.kafka_url))

    def client(self, kafka_url: str, role: str = "admin") -> "ApiClient":
        """A client of an API in this process; with another Kafka if need be."""
        settings = NotifierSettings(
            kafka_url=kafka_url,
            mongo_url=self.cluster.settings.mongo_url,
            namespace=self.cluster.settings.namespace,
            notifier_secret=SecretStr(SECRET),
            notifier_profile_url=self._env["notifier_profile_url"],
            tokens={digest(name): name for name in ("reader", "marketer", "support", "admin")},
        )
        return ApiClient(settings, role)

    def start_worker(self, worker_id: str = "1", **env: str) -> None:
        port = str(free_port())
        env = {**self._env, "notifier_worker_port": port, **env}
        self.worker = self.cluster.start(WORKER, worker_id, **env)

    async def put(self, key: str = "cart", **fields: Any) -> httpx.Response:
        return await self.api.put(f"/v1/campaigns/{key}", json={**BODY, **fields})

    async def enter(self, *profile_ids: str, segment: str = "cart-left") -> None:
        """These people have an address, have agreed, and enter the segment."""
        records, now = [], datetime.now(UTC)
        for id_ in profile_ids:
            traits = {"firstName": "Ada", "email": f"{id_}@example.com"}
            self.profiles.people.setdefault(id_, recipient(id_, at=now, traits=traits))
            change = changed(id_, segment=segment, at=now)
            records.append((id_, msgspec.json.encode(change)))
        await self.cluster.produce("segment.changes", records)

    def mails(self) -> list[Any]:
        return [mail.parsed for mail in self.sink.mailbox.find("", "", None)]

    async def message(self, id_: str = CART) -> dict[str, Any]:
        return (await self.api.get(f"/v1/messages/{id_}")).json()

    async def becomes(self, state: str, id_: str = CART) -> None:
        async def reached() -> bool:
            return (await self.message(id_)).get("state") == state

        await eventually(reached, lambda: f"{id_} is not {state}\n{self.worker.tail()}")

    async def changes(self) -> list[tuple[str, str]]:
        """(profile, state) of everything on message.changes, the order within each kept.

        As a reader sees it: what a new owner publishes again is dropped by origin and seq.
        """
        steps = dict[Any, MessageChanged]()
        for record in await self.cluster.records("message.changes"):
            headers = dict(record.headers)
            seen = headers.get("origin"), headers.get("seq", record.offset)
            steps[seen] = msgspec.json.decode(record.value, type=MessageChanged)
        return [(step.profile_id, step.state) for step in steps.values()]


class ApiClient(httpx.AsyncClient):
    """An HTTP client with the app it talks to, started and stopped with it."""

    def __init__(self, settings: NotifierSettings, role: str) -> None:
        self._app = create_app(settings)
        self._life = self._app.router.lifespan_context(self._app)
        super().__init__(
            transport=httpx.ASGITransport(self._app),
            base_url="http://notifier",
            headers={"Authorization": f"Bearer {role}"},
        )

    async def __aenter__(self) -> "ApiClient":
        await self._life.__aenter__()
        return await super().__aenter__()

    async def __aexit__(self, *error: Any) -> None:
        await super().__aexit__(*error)
        await self._life.__aexit__(*error)


async def eventually(check: Callable[[], Awaitable[bool]], why: Callable[[], str]) -> None:
    """Wait until ``check`` holds; fails after half a minute, saying why."""
    for _ in range(600):
        if await check():
            return
        await asyncio.sleep(0.05)
    raise AssertionError(why())


@pytest_asyncio.fixture
async def world(stack: Any, tmp_path: Path) -> AsyncIterator[World]:
    cluster = Cluster(stack, unique_namespace(), tmp_path)
    await cluster.create_topics(["notifier"])
    async with AsyncExitStack() as exits:
        exits.push_async_callback(cluster.close)
        made = World(cluster, stack)
        await made.start(exits)
        yield made


async def test_who_enters_gets_a_mail_and_after_one_click_none_ever_again(world: World) -> None:
    assert (await world.put()).json()["version"] == 1
    assert (await world.put("second", trigger={"segment": "vip"})).status_code == 200
    world.start_worker()
    await world.enter("p1", "p2")
    await world.becomes("sent")
    await world.becomes("sent", message_id("cart", "p2", None))
    assert sorted(mail.to for mail in world.mails()) == ["p1@example.com", "p2@example.com"]

    [mail] = [mail for mail in world.mails() if mail.to == "p1@example.com"]
    link = mail.headers["List-Unsubscribe"].strip("<>").removeprefix("http://127.0.0.1:8400")
    asked = await world.api.get(link, headers={"Authorization": ""})
    assert (asked.status_code, asked.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert ("p1", "unsubscribed") not in await world.changes()
    for _ in range(2):
        done = await world.api.post(
            link, data={"List-Unsubscribe": "One-Click"}, headers={"Authorization": ""}
        )
        assert (done.status_code, done.headers.get("location")) == (200, None)
        assert "set-cookie" not in done.headers
    assert (await world.api.post("/unsubscribe/nonsense")).status_code == 404

    await world.enter("p1", "p2", segment="vip")
    await world.becomes("sent", message_id("second", "p2", None))
    await world.becomes("skipped", message_id("second", "p1", None))
    assert len(world.mails()) == 3
    told = await world.message(message_id("second", "p1", None))
    assert (told["reason"], [step["state"] for step in told["steps"]]) == (
        "suppressed",
        ["decided", "skipped"],
    )
    states = [state for person, state in await world.changes() if person == "p1"]
    assert set(states) == {"decided", "sent", "unsubscribed", "skipped"}
    assert [step["state"] for step in (await world.message())["steps"]] == [
        "decided",
        "sent",
        "unsubscribed",
    ]
    await asyncio.to_thread(world.worker.stop)


async def test_who_must_confirm_gets_one_mail_whose_link_confirms_once(world: World) -> None:
    await world.put()
    world.start_worker()
    await world.enter("p2")
    await world.becomes("sent", message_id("cart", "p2", None))
    now = datetime.now(UTC)
    said = Consent(state="denied", at=now, message_id="s1", reason="consent_pending")
    ada = recipient("p1", consent=None)
    ada.consent = {"email": said}
    world.profiles.people["p1"] = ada
    asked = ConsentRequested(
        profile_id="p1", channel="email", purpose="marketing", statement_id="s1", statement_at=now,
        address=digest_of("ada@example.com"),
    )  # fmt: skip
    record = ("p1", msgspec.json.encode(asked))
    await world.cluster.produce("consent.requests", [record, record])
    id_ = confirmation.message_ids(asked)[0]
    await world.becomes("sent", id_)
    [mail] = [mail for mail in world.mails() if mail.to != "p2@example.com"]
    link = re.search(r"http://127.0.0.1:8400(/v1/consent/confirm\S+)", mail.text)[1]
    anybody = {"Authorization": ""}
    for scan in (world.api.head, world.api.get):
        assert (await scan(link, headers=anybody)).status_code == 200
    assert ("p1", "clicked") not in await world.changes()
    link = await another_link(world, id_, now)
    id_ = opened(link)
    for _ in range(2):
        assert (await world.api.post(link, headers=anybody)).status_code == 200
    steps = [
        msgspec.json.decode(one.value, type=MessageChanged)
        for one in await world.cluster.records("message.changes")
    ]
    clicks = [(step.change_id, step.confirms) for step in steps if step.state == "clicked"]
    confirmed = Confirmation(
        purpose="marketing",
        statement_id="s1",
        statement_at=now,
        ip="127.0.0.1",
        address=asked.address,
    )
    assert clicks == [(f"{id_}/confirmed", confirmed)]  # published once
    old = {"token": confirmation.token(id_, now, SECRET.encode())}
    for call in (world.api.get, world.api.post):  # Who has confirmed is not sent to sign up again.
        answer = await call("/v1/consent/confirm", params=old)
        assert (answer.status_code, "Your choice is confirmed" in answer.text) == (200, True)
    token = confirmation.token("0" * 32, now, SECRET.encode())
    for wrong, status in {"nonsense": 404, "": 404, "a" * 300: 404, token: 410}.items():
        for call in (world.api.get, world.api.post):
            answer = await call("/v1/consent/confirm", params={"token": wrong})
            assert answer.status_code == status
    for call in (world.api.get, world.api.post):  # A mail program has cut the link off.
        assert (await call("/v1/consent/confirm")).status_code == 404
    unknown = confirmation.token("0" * 32, now + timedelta(days=1), SECRET.encode())
    answer = await world.api.post("/v1/consent/confirm", params={"token": unknown})
    assert answer.status_code == 404
    await asyncio.to_thread(world.worker.stop)


def opened(link: str) -> str:
    """The message of a link."""
    found = confirmation.opened(link.split("token=")[1], SECRET.encode())
    assert found is not None
    return found[0]


async def another_link(world: World, id_: str, now: datetime) -> str:
    """By the button on the page of a link that has ended; nothing else sends one."""
    token = confirmation.token(id_, now, SECRET.encode())
    anybody, ended = {"Authorization": ""}, {"token": token}
    requests = len(await world.cluster.records("consent.requests"))
    for call, path in (
        (world.api.head, "confirm"), (world.api.get, "confirm"), (world.api.post, "confirm"),
        (world.api.head, "again"), (world.api.get, "again"),
    ):  # fmt: skip
        answer = await call(f"/v1/consent/{path}", params=ended, headers=anybody)
        assert answer.status_code == 410
    assert f"<form method='post' action='again?token={token}'>" in answer.text
    working = confirmation.token(id_, now + timedelta(days=1), SECRET.encode())
    for other, status in ((working, 200), (token[:-2], 404), ("", 404)):
        answer = await world.api.post("/v1/consent/again", params={"token": other})
        assert answer.status_code == status
    async with world.client(f"127.0.0.1:{free_port()}") as no_kafka:
        answer = await no_kafka.post("/v1/consent/again", params=ended, headers=anybody)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "30")
    assert len(await world.cluster.records("consent.requests")) == requests
    answer = await world.api.post("/v1/consent/again", params=ended, headers=anybody)
    assert (answer.status_code, "Look into your inbox" in answer.text) == (200, True)

    def links() -> set[str]:
        found = (re.search(r"8400(/v1/consent/confirm\S+)", mail.text) for mail in world.mails())
        return {link[1] for link in found if link and opened(link[1]) != id_}

    async def arrived() -> bool:
        return bool(links())

    await eventually(arrived, world.worker.tail)
    [link] = links()
    return link


async def test_who_presses_the_button_of_a_confirmation_again_and_again_is_asked_to_wait(
    world: World,
) -> None:
    world.start_worker()
    now = datetime.now(UTC)
    world.profiles.people["p1"] = ada = recipient("p1", consent=None)
    pending = Consent(state="denied", at=now, message_id="s1", reason="consent_pending")
    ada.consent = {"email": pending}
    asked = ConsentRequested(
        profile_id="p1", channel="email", purpose="marketing", statement_id="s1", statement_at=now,
        address=digest_of("ada@example.com"),
    )  # fmt: skip
    await world.cluster.produce("consent.requests", [("p1", msgspec.json.encode(asked))])
    id_ = confirmation.message_ids(asked)[0]
    await world.becomes("sent", id_)
    ended = {"token": confirmation.token(id_, now, SECRET.encode())}
    for path in ("again", "confirm"):
        async with world.client(world.kafka_url) as api:
            before = len(await world.cluster.records("consent.requests"))
            pages = [await api.post(f"/v1/consent/{path}", params=ended) for _ in range(7)]
            taken = {"again": 200, "confirm": 410}[path]
            assert [page.status_code for page in pages] == [taken] * 5 + [429] * 2
            requests = len(await world.cluster.records("consent.requests"))
            assert requests - before == {"again": 5, "confirm": 0}[path]
            assert 0 < int(pages[-1].headers["retry-after"]) <= 60
            assert "Please wait a minute" in pages[-1].text
            json = {"Accept": "application/json"}
            told = await api.post(f"/v1/consent/{path}", params=ended, headers=json)
            assert told.headers["content-type"] == "application/problem+json"
            assert (told.json()["status"], told.json()["code"]) == (429, "rate_limited")
            other = {"token": confirmation.token("0" * 32, now, SECRET.encode())}
            assert (await api.post("/v1/consent/confirm", params=other)).status_code == 410
            assert (await api.get("/v1/consent/confirm", params=ended)).status_code == 410
    await asyncio.to_thread(world.worker.stop)


async def test_a_crash_while_the_server_takes_the_mail_leaves_it_uncertain_until_a_person_decides(
    world: World,
) -> None:
    await world.put()
    world.sink.faults = Faults(delay_seconds=30)
    world.start_worker(smtp_connections="1")
    await world.enter("p1", "p2", "p3")
    ids = [message_id("cart", f"p{n}", None) for n in (1, 2, 3)]

    async def attempting() -> bool:
        page = (await world.api.get("/v1/messages?state=attempting")).json()
        return bool(page["items"])

    await eventually(attempting, lambda: world.worker.tail())
    [begun] = (await world.api.get("/v1/messages?state=attempting")).json()["items"]
    world.worker.kill()
    world.sink.faults = Faults()
    world.start_worker()
    await world.becomes("uncertain", begun["message_id"])
    for id_ in set(ids) - {begun["message_id"]}:
        await world.becomes("sent", id_)
    assert len(world.mails()) == 2
    [listed] = (await world.api.get("/v1/messages?state=uncertain")).json()["items"]
    assert (listed["message_id"], listed["reason"]) == (begun["message_id"], "sender_lost")

    resend = f"/v1/messages/{begun['message_id']}/resend"
    marketer = {"Authorization": "Bearer marketer"}
    assert (await world.api.post(resend, headers=marketer)).status_code == 403
    assert (await world.api.post(resend)).status_code == 202
    await world.becomes("sent", begun["message_id"])
    assert len(world.mails()) == 3
    assert (await world.api.post(resend)).status_code == 409
    states = [s for person, s in await world.changes() if person == begun["profile_id"]]
    assert states == ["decided", "uncertain", "sent"]
    await asyncio.to_thread(world.worker.stop)


async def test_a_worker_that_is_stopped_politely_leaves_nothing_uncertain(world: World) -> None:
    await world.put()
    people = [f"p{n}" for n in range(200)]
    world.start_worker()
    await world.enter(*people)

    async def some() -> bool:
        return len(world.mails()) > 20

    await eventually(some, lambda: world.worker.tail())
    await asyncio.to_thread(world.worker.stop)
    assert len(world.mails()) < 200
    world.start_worker()
    for id_ in people:
        await world.becomes("sent", message_id("cart", id_, None))
    assert sorted(mail.to for mail in world.mails()) == sorted(f"{p}@example.com" for p in people)
    assert sorted(await world.changes()) == sorted(
        (person, state) for person in people for state in ("decided", "sent")
    )
    await asyncio.to_thread(world.worker.stop)


async def test_a_crash_leaves_one_uncertain_mail_a_connection_though_no_turn_was_stored_for_long(
    world: World,
) -> None:
    await world.put()
    people = [f"p{n}" for n in range(60)]
    world.sink.faults = Faults(delay_seconds=0.1)
    world.start_worker(smtp_connections="3")
    await world.enter(*people)

    async def page(state: str = "") -> list[Any]:
        query = f"&state={state}" if state else ""
        return list((await world.api.get(f"/v1/messages?limit=200{query}")).json()["items"])

    async def decided() -> bool:
        return len(await page()) == len(people)

    async def many() -> bool:
        return len(world.mails()) > 20

    async def all_await_an_answer() -> bool:
        return world.sink.faults.times is None

    await eventually(decided, lambda: world.worker.tail())
    checkpoints = world.cluster.database("notifier")["checkpoints"]
    async with await world.cluster.client.start_session() as session:
        session.start_transaction()  # from here on every turn of theirs conflicts with ours
        await checkpoints.update_many({}, {"$set": {"held": True}}, session=session)
        await eventually(many, lambda: world.worker.tail())
        world.sink.faults = Faults(delay_seconds=60, times=3)
        await eventually(all_await_an_answer, lambda: world.worker.tail())
        world.worker.kill()
        await session.abort_transaction()
    world.start_worker()

    async def settled() -> bool:
        return len(await page("sent")) + len(await page("uncertain")) == len(people)

    await eventually(settled, lambda: world.worker.tail())
    uncertain = {item["profile_id"] for item in await page("uncertain")}
    assert len(uncertain) == 3
    mails = [mail.to.split("@")[0] for mail in world.mails()]
    assert sorted(mails) == sorted(set(people) - uncertain)
    await asyncio.to_thread(world.worker.stop)


async def test_a_stopped_worker_that_wakes_up_after_another_took_over_sends_nothing_twice(
    world: World,
) -> None:
    await world.put()
    people = [f"p{n}" for n in range(200)]
    world.sink.faults = Faults(delay_seconds=0.05)
    world.start_worker("1")
    await world.enter(*people)

    async def some() -> bool:
        return len(world.mails()) > 20

    await eventually(some, lambda: world.worker.tail())
    stopped = world.worker
    stopped.suspend()
    world.start_worker("2")

    async def page(state: str) -> list[Any]:
        answer = await world.api.get(f"/v1/messages?limit=200&state={state}")
        return list(answer.json()["items"])

    async def settled() -> bool:
        return len(await page("sent")) + len(await page("uncertain")) == 200

    await eventually(settled, lambda: world.worker.tail())
    uncertain = {item["profile_id"] for item in await page("uncertain")}
    assert len(uncertain) <= 10  # one on each of its connections
    stopped.resume()

    async def reported() -> bool:  # what it had in flight when it was stopped
        return "claimed" in stopped.tail(5) or await page("uncertain") == []

    await eventually(reported, lambda: stopped.tail())
    for worker in (stopped, world.worker):
        await asyncio.to_thread(worker.stop)
    mails = [mail.to.split("@")[0] for mail in world.mails()]
    assert len(mails) == len(set(mails))
    assert set(people) - set(mails) <= uncertain


async def test_campaigns_are_checked_versioned_published_and_deleted(world: World) -> None:
    answer = (await world.put(html="<p>{{ traits.firstName }}</p>")).json()
    assert (answer["version"], answer["published"], answer["from"]) == (
        1,
        True,
        "Shop <hello@shop.example>",
    )

    async def noted() -> bool:  # once the API has read which segments there are
        answer = (await world.api.get("/v1/campaigns/cart")).json()
        return bool(answer["notes"]) and "'cart-left' is not defined" in answer["notes"][0]

    await eventually(noted, lambda: "no note")
    assert (await world.put(html="<p>{{ traits.firstName }}</p>")).json()["version"] == 1
    assert (await world.put(subject="Other")).json()["version"] == 2
    for key, fields in (
        ("cart", {"text": "{% if %}"}),
        ("cart", {"text": "{% include 'x' %}"}),
        ("cart", {"subject": "{{ x | nope }}"}),
        ("cart", {"from": "Shop\r\nBcc: a@b.example <a@b.example>"}),
        ("cart", {"delay_seconds": -1}),
        ("cart", {"delay": 1}),
        ("cart", {"trigger": {"segment": "x", "on": "left"}}),
        ("bad key", {}),
    ):
        refused = await world.put(key, **fields)
        assert (refused.status_code, refused.headers["content-type"]) == (
            422,
            "application/problem+json",
        )
    listed = (await world.api.get("/v1/campaigns?limit=1")).json()
    assert ([item["key"] for item in listed["items"]], listed["next"]) == (["cart"], None)
    assert (await world.api.delete("/v1/campaigns/cart")).status_code == 204
    assert (await world.api.get("/v1/campaigns/cart")).status_code == 404
    assert (await world.put()).json()["version"] == 4
    records = await world.cluster.records("control.definitions")
    versions = [
        record.value and msgspec.json.decode(record.value, type=Definition).version
        for record in records
    ]
    assert versions == [1, 2, None, 4]


async def test_only_the_right_roles_may_do_what(world: World) -> None:
    await world.put()
    for role, put, read in ((None, 401, 401), ("reader", 403, 200), ("marketer", 200, 200)):
        headers = {"Authorization": f"Bearer {role}" if role else ""}
        answer = await world.api.put("/v1/campaigns/cart", json=dict(BODY), headers=headers)
        assert answer.status_code == put
        for path in ("/v1/campaigns", "/v1/campaigns/cart", "/v1/messages"):
            assert (await world.api.get(path, headers=headers)).status_code == read


async def test_a_preview_shows_what_a_person_would_get_and_whether(world: World) -> None:
    await world.put()
    world.profiles.people["p1"] = recipient("p1", consent=None)
    preview = await world.api.post("/v1/campaigns/cart/preview", json={"profile_id": "p1"})
    shown = preview.json()
    assert (shown["subject"], shown["skip"]) == ("Hello Ada", "no_consent")
    unknown = await world.api.post("/v1/campaigns/cart/preview", json={"profile_id": "p9"})
    assert unknown.status_code == 404


async def test_while_kafka_is_away_choices_are_kept_and_told_later(world: World) -> None:
    await world.put()
    world.start_worker()
    await world.enter("p1")
    await world.becomes("sent")
    await asyncio.to_thread(world.worker.stop)
    [mail] = world.mails()
    link = mail.headers["List-Unsubscribe"].strip("<>").removeprefix("http://127.0.0.1:8400")
    await world.serving.aclose()  # or it would tell Kafka
    async with world.client(f"127.0.0.1:{free_port()}") as world.api:
        answer = await world.put(name="Renamed")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "15")
        assert (await world.api.get("/v1/campaigns/cart")).json()["published"] is False
        answer = await world.api.post(link)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "30")
        assert (await world.message())["unsubscribed_at"] is not None
        assert ("p1", "unsubscribed") not in await world.changes()
    async with world.client(world.kafka_url) as again:

        async def told() -> bool:
            campaign = (await again.get("/v1/campaigns/cart")).json()
            return campaign["published"] and ("p1", "unsubscribed") in await world.changes()

        await eventually(told, lambda: "not told")

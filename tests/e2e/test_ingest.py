"""Ingest as it runs: its own process, a real broker, and senders that know nothing of it."""

import asyncio
import gzip
import itertools
import json
import random
import re
import sys
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.local.ports import free_port
from deploy.local.processes import Process, wait_http_ok
from deploy.local.stack import LocalStack
from schemas.topics import BY_NAME, EVENTS
from services.ingest import producer as producing
from services.ingest.handler import Unavailable
from services.ingest.model import Accepted
from services.ingest.producer import Producer
from services.ingest.settings import IngestSettings
from services.runtime.keys import digest
from services.runtime.publish import partition_of
from tests.faults.cluster import Cluster, unique_namespace
from tests.sdks import SCANNED, SDKS

pytestmark = pytest.mark.broker

KEY = "a-write-key"
Sdk = Callable[[str, str, int], list[str]]
COMMAND = [sys.executable, "-m", "services.cli", "api", "ingest"]


class Service:
    """A running ingest, and what has come of it."""

    def __init__(self, cluster: Cluster, process: Process, url: str) -> None:
        self.cluster = cluster
        self.process = process
        self.url = url

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.url, auth=(KEY, ""), timeout=20, trust_env=False)

    async def records(self) -> dict[str, Any]:
        """Every record of every event topic by ``ce_id``; a repetition fails."""
        found: dict[str, Any] = {}
        for topic in EVENTS:
            for record in await self.cluster.records(topic.name):
                message_id = dict(record.headers)["ce_id"].decode()
                assert message_id not in found
                found[message_id] = record
        return found


@asynccontextmanager
async def running(stack: Any, logs: Path, processes: int = 1) -> AsyncIterator[Service]:
    cluster = Cluster(stack, unique_namespace(), logs)
    try:
        await cluster.create_topics([])
        port = free_port()
        process = cluster.start(
            COMMAND,
            ingest_port=str(port),
            ingest_processes=str(processes),
            write_keys=json.dumps({digest(KEY): "web"}),
            ack_seconds="2",
        )
        url = f"http://127.0.0.1:{port}"
        await asyncio.to_thread(wait_http_ok, f"{url}/health/ready", 60, process)
        yield Service(cluster, process, url)
    finally:
        await cluster.close()


@pytest.fixture
async def service(stack: Any, tmp_path: Path) -> AsyncIterator[Service]:
    async with running(stack, tmp_path) as service:
        yield service


def page(number: int) -> dict[str, Any]:
    return {
        "type": "page",
        "messageId": f"m-{number}",
        "anonymousId": f"a-{number % 7}",
        "properties": {"number": number},
    }


async def test_an_accepted_event_lies_on_its_topic_with_its_headers(service: Service) -> None:
    order = {
        "messageId": "order-1",
        "userId": "u-1",
        "event": "order completed",
        "timestamp": "1997-01-01T12:00:00Z",
        "properties": {"order_id": "o-1", "revenue": 12.50, "currency": "USD"},
        "invented": [1],
    }
    async with service.client() as client:
        response = await client.post("/v1/track", json=order)
    assert response.json() == {"success": True, "accepted": 1, "duplicates": 0, "rejected": []}

    (record,) = (await service.records()).values()
    orders = "events.orders"
    assert record.topic == service.cluster.settings.topic(orders)
    assert record.key == b"u-1"
    assert record.partition == partition_of(b"u-1", BY_NAME[orders].partitions)
    assert dict(record.headers) == {
        "ce_specversion": b"1.0",
        "ce_id": b"order-1",
        "ce_source": b"/ingest/web",
        "ce_type": b"regulars.event.accepted.v1",
        "ce_time": b"1997-01-01T12:00:00Z",
        "ce_subject": b"u-1",
        "content-type": b"application/json",
        "event": b"Order Completed",
    }
    value = json.loads(record.value)
    assert value.pop("receivedAt")
    assert value == order | {
        "type": "track",
        "event": "Order Completed",
        "source": "web",
        "originalTimestamp": "1997-01-01T12:00:00Z",
    }


async def test_many_senders_at_once_lose_nothing_and_keep_their_order(service: Service) -> None:
    batches = [[page(n * 20 + i) for i in range(20)] for n in range(30)]
    async with service.client() as client:
        answers = await asyncio.gather(
            *(
                client.post(
                    "/v1/batch",
                    content=gzip.compress(json.dumps({"batch": batch}).encode()),
                    headers={"Content-Encoding": "gzip"},
                )
                for batch in batches
            ),
            *(client.post("/v1/page", json=page(1_000 + n)) for n in range(50)),
        )
    assert {answer.status_code for answer in answers} == {200}
    records = await service.records()
    expected = {f"m-{n}" for n in range(600)} | {f"m-{1_000 + n}" for n in range(50)}
    assert set(records) == expected
    for batch in batches:
        by_sender: dict[str, list[int]] = {}
        for event in batch:
            by_sender.setdefault(event["anonymousId"], []).append(
                records[event["messageId"]].offset
            )
        for offsets in by_sender.values():
            assert offsets == sorted(offsets)


async def test_the_sdks_of_others_need_no_change(service: Service) -> None:
    sending = (asyncio.to_thread(sdk, service.url, KEY, 120) for sdk in SDKS)
    assert await asyncio.gather(*sending) == [[], [], []]
    events = [json.loads(record.value) for record in (await service.records()).values()]
    kinds = ["alias", "group", "identify", "page", "screen", *["track"] * 120]
    assert sorted(event["type"] for event in events) == sorted(kinds * len(SDKS))
    assert scanned(events) == sorted([*range(120)] * len(SDKS))
    assert all("sentAt" in event and "flags" not in event for event in events)
    assert KEY not in json.dumps(events)

    # They also understand that a key is unknown, and do not try it again and again.
    sending = (asyncio.to_thread(sdk, service.url, "no-such-key", 1) for sdk in SDKS)
    for failures in await asyncio.gather(*sending):
        assert failures
        assert all("401" in failure for failure in failures)


async def test_what_a_sender_was_told_of_is_recorded_though_ingest_dies_then(
    service: Service,
) -> None:
    bad = [page(1), {**page(2), "type": "?"}]
    async with service.client() as client:
        answer = await client.post("/v1/batch", json={"batch": bad})
        service.process.kill()
    assert [one["code"] for one in answer.json()["rejected"]] == ["unknown_type"]
    (record,) = await service.cluster.records("events.rejected")
    assert json.loads(record.value) == bad[1]


def scanned(events: Iterable[dict[str, Any]]) -> list[int]:
    return sorted(e["properties"]["number"] for e in events if e.get("event") == SCANNED)


async def test_sigterm_answers_what_is_under_way_and_leaves_nobody(service: Service) -> None:
    async with service.client() as client:
        posts = [asyncio.create_task(client.post("/v1/page", json=page(n))) for n in range(20)]
        await posts[0]
        await asyncio.to_thread(service.process.stop)
        answers = await asyncio.gather(*posts, return_exceptions=True)
    assert service.process.exit_code == 0
    stored = await service.records()
    promised = [
        n
        for n, answer in enumerate(answers)
        if isinstance(answer, httpx.Response) and answer.status_code == 200
    ]
    assert {f"m-{n}" for n in promised} <= set(stored)


class Sender:
    """Sends batches and single events until told to stop, each until it is acknowledged."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client
        self._numbers = itertools.count()
        self.acknowledged: set[str] = set()
        self.refused: list[httpx.Response] = []
        self.stopping = False

    async def drive(self) -> None:
        while not self.stopping:
            events = [page(next(self._numbers)) for _ in range(random.choice((1, 20)))]
            ids = {event["messageId"] for event in events}
            while not ids <= self.acknowledged:
                answer = await self._client.post("/v1/batch", json={"batch": events})
                if answer.status_code == 200:
                    self.acknowledged |= ids
                else:
                    self.refused.append(answer)

    async def reached(self, check: Callable[[], bool]) -> None:
        async with asyncio.timeout(90):
            while not check():
                await asyncio.sleep(0.01)


@pytest.mark.fault
@pytest.mark.parametrize("how", ["suspended", "killed"])
async def test_without_the_broker_nothing_is_promised_and_later_nothing_is_missing(
    private_stack: LocalStack, tmp_path: Path, how: str
) -> None:
    kafka = private_stack.kafka
    async with running(private_stack, tmp_path, processes=2) as service, service.client() as client:
        sender = Sender(client)
        driving = [asyncio.create_task(sender.drive()) for _ in range(8)]
        await sender.reached(lambda: len(sender.acknowledged) > 500)
        if how == "suspended":
            kafka.suspend()
        else:
            kafka.kill()
        try:
            sdks = [asyncio.to_thread(sdk, service.url, KEY, 30) for sdk in SDKS]
            sending = asyncio.gather(*sdks)
            await sender.reached(lambda: len(sender.refused) > 12)
            assert (await client.get("/health/ready")).status_code == 503
            assert (await client.get("/health/live")).status_code == 200
            assert 0 <= pending((await client.get("/metrics")).text) < 5_000_000
        finally:
            if how == "suspended":
                kafka.resume()
            else:
                await asyncio.to_thread(kafka.restart)
        ready = f"{service.url}/health/ready"
        await asyncio.to_thread(wait_http_ok, ready, 30, service.process)
        before = len(sender.acknowledged)
        await sender.reached(lambda: len(sender.acknowledged) > before + 500)
        sender.stopping = True
        await asyncio.gather(*driving)
        assert await sending == [[], [], []]
        assert {answer.status_code for answer in sender.refused} == {503}
        assert all(int(answer.headers["Retry-After"]) > 0 for answer in sender.refused)

        # What was not acknowledged in time may lie there twice: resolve drops repetitions.
        stored: dict[str, dict[str, Any]] = {}
        for topic in EVENTS:
            for record in await service.cluster.records(topic.name):
                stored[dict(record.headers)["ce_id"].decode()] = json.loads(record.value)
        assert {id for id in stored if id.startswith("m-")} == sender.acknowledged
        assert scanned(stored.values()) == sorted([*range(30)] * len(SDKS))
        # What was given up while it was under way is let go of a little later.
        async with asyncio.timeout(30):
            while pending((await client.get("/metrics")).text) != 0:
                await asyncio.sleep(0.05)


@pytest.mark.fault
async def test_a_batch_that_waits_without_end_is_given_up_and_the_next_has_a_new_producer(
    private_stack: LocalStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = Cluster(private_stack, unique_namespace(), tmp_path)
    await cluster.create_topics([])
    given = cluster.settings.model_dump() | {"ack_seconds": 60}
    producer = Producer(IngestSettings(**given))
    await producer.start()
    try:
        await takes(producer, "before")
        monkeypatch.setattr(producing, "_PATIENCE", 0.5)
        private_stack.kafka.suspend()
        try:
            with pytest.raises(Unavailable, match="Kafka has not taken it"):
                await producer.deliver([accepted("meanwhile")], "web")
        finally:
            private_stack.kafka.resume()
            monkeypatch.undo()
        await takes(producer, "after")
    finally:
        await producer.stop()
        await cluster.close()


async def takes(producer: Producer, message_id: str) -> None:
    async with asyncio.timeout(30):
        while await producer.unready() is not None:
            await asyncio.sleep(0.05)
        await producer.deliver([accepted(message_id)], "web")


def accepted(message_id: str) -> Accepted:
    return Accepted("events.clicks", "u-1", b"{}", message_id, datetime.now(UTC), "page")


def pending(metrics: str) -> float:
    [said] = re.findall(r"^regulars_ingest_pending_bytes (\S+)", metrics, re.MULTILINE)
    return float(said)

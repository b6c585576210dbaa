"""Accepted events to Kafka: small batches over all requests, answered after the ack.

Each partition is a lane with at most one batch under way; what arrives meanwhile makes up
the next batch. So one slow moment makes larger batches instead of longer queues, and order
within a partition holds. The producer is idempotent and acks come from all replicas.
"""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from msgspec import Struct

from schemas.topics import BY_NAME
from services.ingest.handler import Unavailable
from services.ingest.model import Accepted
from services.ingest.settings import IngestSettings
from services.runtime import metrics
from services.runtime.backoff import Backoff
from services.runtime.publish import partition_of

_BATCH_BYTES = 900_000
_OVERHEAD = 600
"""What a waiting event costs beside its value, roughly."""

log = structlog.get_logger()


class _Delivery:
    """One request's events under way."""

    def __init__(self, events: int) -> None:
        self.left = events
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def acknowledged(self) -> None:
        self.left -= 1
        if not self.left and not self.done.done():
            self.done.set_result(None)

    def failed(self, error: BaseException) -> None:
        if not self.done.done():
            self.done.set_exception(Unavailable(type(error).__name__))
            self.done.exception()  # Several lanes may fail for one request: asked for or not.


class _Item(Struct):
    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]]
    delivery: _Delivery

    @property
    def size(self) -> int:
        return len(self.value) + _OVERHEAD


class _Lane:
    """One partition of one topic."""

    def __init__(self, topic: str, partition: int) -> None:
        self.topic = topic
        self.partition = partition
        self.waiting: deque[_Item] = deque()
        self.pump: asyncio.Task[None] | None = None
        self.sent_at: float | None = None
        """When the batch under way was sent (monotonic seconds)."""


class Producer:
    """The ``Sink`` on Kafka. Starts, and waits, without a broker."""

    def __init__(self, settings: IngestSettings) -> None:
        self._settings = settings
        self._producer: AIOKafkaProducer | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._lanes: dict[tuple[str, int], _Lane] = {}
        self._pending = 0

    async def start(self) -> None:
        """Connect as soon as a broker answers; does not wait for it."""
        self._reconnect()

    async def stop(self) -> None:
        """Let what is under way finish, for as long as a request may wait; then close."""
        pumps = [lane.pump for lane in self._lanes.values() if lane.pump is not None]
        if pumps:
            await asyncio.wait(pumps, timeout=self._settings.ack_seconds)
        for task in (*pumps, self._connecting):
            if task is not None and not task.done():
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
        if self._producer is not None:
            await _close(self._producer)
        for closing in tuple(self._closing):
            await closing

    async def unready(self) -> str | None:
        """None while the broker takes and acknowledges events; else why not, in a line."""
        if self._producer is None:
            return "Kafka is not reachable."
        now = time.monotonic()
        sent = [lane.sent_at for lane in self._lanes.values() if lane.sent_at is not None]
        if sent and now - min(sent) > self._settings.ack_seconds:
            return f"Kafka has not acknowledged for {now - min(sent):.0f} s."
        try:
            async with asyncio.timeout(2):
                await self._producer.client.fetch_all_metadata()
        except (KafkaError, TimeoutError, OSError) as error:
            return f"Kafka does not answer ({type(error).__name__})."
        return None

    async def deliver(self, events: Sequence[Accepted], source: str) -> None:
        """Publish ``events``; returns when all are acknowledged, else ``Unavailable``."""
        if self._producer is None:
            raise Unavailable("Kafka is not reachable.")
        if self._pending > self._settings.pending_bytes:
            raise Unavailable("Too much is waiting for Kafka.")
        started = time.perf_counter()
        delivery = _Delivery(len(events))
        ce_source = b"/ingest/" + source.encode()
        for event in events:
            self._queue(event, ce_source, delivery)
        try:
            async with asyncio.timeout(self._settings.ack_seconds):
                await delivery.done
        except TimeoutError:
            raise Unavailable("Kafka has not acknowledged in time.") from None
        metrics.INGEST_ACK.observe(time.perf_counter() - started)

    def _queue(self, event: Accepted, ce_source: bytes, delivery: _Delivery) -> None:
        key = event.key.encode()
        partition = partition_of(key, BY_NAME[event.topic].partitions)
        lane = self._lanes.get((event.topic, partition))
        if lane is None:
            lane = _Lane(self._settings.topic(event.topic), partition)
            self._lanes[event.topic, partition] = lane
        item = _Item(key, event.value, _headers(event, key, ce_source), delivery)
        lane.waiting.append(item)
        self._charge(item.size)
        if lane.pump is None:
            lane.pump = asyncio.create_task(self._pump(lane))

    def _charge(self, size: int) -> None:
        self._pending += size
        metrics.INGEST_PENDING.set(self._pending)

    async def _pump(self, lane: _Lane) -> None:
        """Send what waits in ``lane``, a batch at a time, until nothing does."""
        try:
            while lane.waiting:
                producer = self._producer
                if producer is None:
                    self._give_up(lane)
                    return
                await self._send(producer, lane)
        finally:
            lane.pump = None

    async def _send(self, producer: AIOKafkaProducer, lane: _Lane) -> None:
        batch = producer.create_batch()
        items: list[_Item] = []
        while lane.waiting:
            item = lane.waiting[0]
            if not item.delivery.done.done():  # A request that gave up is sent again whole.
                if (
                    batch.append(
                        timestamp=None, key=item.key, value=item.value, headers=item.headers
                    )
                    is None
                ):
                    break
                items.append(item)
            else:
                self._charge(-item.size)
            lane.waiting.popleft()
        if not items:
            return
        lane.sent_at = time.monotonic()
        try:
            await (await producer.send_batch(batch, lane.topic, partition=lane.partition))
        except BaseException as error:
            for item in items:
                item.delivery.failed(error)
            if not isinstance(error, Exception):
                raise
            log.warning("broker refused a batch", topic=lane.topic, error=type(error).__name__)
            self._renew(producer)
        else:
            for item in items:
                item.delivery.acknowledged()
        finally:
            lane.sent_at = None
            self._charge(-sum(item.size for item in items))

    def _give_up(self, lane: _Lane) -> None:
        while lane.waiting:
            item = lane.waiting.popleft()
            item.delivery.failed(KafkaError())
            self._charge(-item.size)

    def _renew(self, failed: AIOKafkaProducer) -> None:
        """An idempotent producer cannot go on after a batch was given up: take a new one."""
        if self._producer is failed:
            self._producer = None
            closing = asyncio.create_task(_close(failed))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)
            self._reconnect()

    def _reconnect(self) -> None:
        self._connecting = asyncio.create_task(self._connect())

    async def _connect(self) -> None:
        backoff = Backoff(first=0.2)
        while True:
            producer = AIOKafkaProducer(
                bootstrap_servers=self._settings.kafka_url,
                client_id="ingest",
                acks="all",
                enable_idempotence=True,
                max_batch_size=_BATCH_BYTES,
                max_request_size=12_000_000,
                request_timeout_ms=10_000,
            )
            try:
                await producer.start()
            except (KafkaError, OSError) as error:
                log.warning("no broker yet", error=type(error).__name__)
                await _close(producer)
                await asyncio.sleep(backoff.next())
            except asyncio.CancelledError:
                await _close(producer)
                raise
            else:
                self._producer = producer
                return


async def _close(producer: AIOKafkaProducer) -> None:
    with suppress(KafkaError, TimeoutError, OSError):
        async with asyncio.timeout(5):
            await producer.stop()


def _headers(event: Accepted, key: bytes, ce_source: bytes) -> list[tuple[str, bytes]]:
    """CloudEvents 1.0 in binary mode (Kafka protocol binding), and the event's name."""
    return [
        ("ce_specversion", b"1.0"),
        ("ce_id", event.message_id.encode()),
        ("ce_source", ce_source),
        ("ce_type", event.type.encode()),
        ("ce_time", event.at.isoformat().replace("+00:00", "Z").encode()),
        ("ce_subject", key),
        ("content-type", b"application/json"),
        ("event", event.name.encode()),
    ]

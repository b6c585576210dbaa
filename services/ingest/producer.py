"""Accepted events to Kafka: small batches over all requests, answered after the ack.

Each partition is a lane with at most one batch under way; what arrives meanwhile makes up
the next batch. So one slow moment makes larger batches instead of longer queues, and order
within a partition holds. The producer is idempotent and acks come from all replicas.

Lanes leave together, ``_LINGER`` after the first event came: requests to a broker, and its
work, are then shared by many events. After a pause nobody else is waited for.
"""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from schemas.topics import BY_NAME
from services.ingest.handler import Unavailable
from services.ingest.lane import Delivery, Item, Lane, size_of
from services.ingest.meter import Meter
from services.ingest.model import Accepted
from services.ingest.settings import IngestSettings
from services.runtime.backoff import Backoff
from services.runtime.publish import partition_of

_BATCH_BYTES = 900_000
_LINGER = 0.005
"""Seconds. Measured with single events, to 0.002: a tenth less CPU here, a third at the broker."""
_PAUSE = 0.02
"""Seconds without a departure after which an event leaves at once."""
_PATIENCE = 20.0
"""Seconds for a batch, and for a producer to start: one that waits for longer is replaced. Its
own attempts have no end, and a broker may be back while it still waits for what never comes."""

log = structlog.get_logger()


class Producer:
    """The ``Sink`` on Kafka. Starts, and waits, without a broker."""

    def __init__(self, settings: IngestSettings) -> None:
        self._settings = settings
        self._producer: AIOKafkaProducer | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._lanes: dict[tuple[str, int], Lane] = {}
        self._departure: asyncio.TimerHandle | None = None
        self._departed_at = 0.0
        self._pending = 0
        self._meter = Meter()

    async def start(self) -> None:
        """Connect as soon as a broker answers; does not wait for it."""
        self._reconnect()

    async def stop(self) -> None:
        """Let what is under way finish, for as long as a request may wait; then close."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._settings.ack_seconds):
                while any(lane.waiting for lane in self._lanes.values()) or self._sending():
                    self._depart()
                    await asyncio.wait(self._sending())
        for task in (*self._sending(), self._connecting):
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
        delivery = Delivery(len(events))
        self._queue(events, b"/ingest/" + source.encode(), delivery)
        why = "Kafka has not acknowledged in time."
        loop = asyncio.get_running_loop()
        patience = loop.call_later(self._settings.ack_seconds, delivery.failed, why)
        try:
            await delivery.done
        finally:
            patience.cancel()
        self._meter.acknowledged(time.perf_counter() - started)

    def _queue(self, events: Sequence[Accepted], source: bytes, delivery: Delivery) -> None:
        size = 0
        for event in events:
            key = event.key.encode()
            place = (event.topic, partition_of(key, BY_NAME[event.topic].partitions))
            lane = self._lanes.get(place)
            if lane is None:
                lane = self._lanes[place] = Lane(self._settings.topic(event.topic), place[1])
            lane.waiting.append(Item(key, event, source, delivery))
            size += size_of(event)
        self._charge(size)
        self._arm()

    def _charge(self, size: int) -> None:
        self._pending += size
        self._meter.pending(self._pending)

    def _arm(self) -> None:
        if self._departure is None:
            loop = asyncio.get_running_loop()
            paused = loop.time() - self._departed_at > _PAUSE
            self._departure = loop.call_later(0 if paused else _LINGER, self._depart)

    def _depart(self) -> None:
        """Send what waits in every lane that has nothing under way."""
        self._departure = None
        self._departed_at = asyncio.get_running_loop().time()
        for lane in self._lanes.values():
            if lane.waiting and lane.sending is None:
                lane.sending = asyncio.create_task(self._send(lane))

    def _sending(self) -> list[asyncio.Task[None]]:
        return [lane.sending for lane in self._lanes.values() if lane.sending is not None]

    async def _send(self, lane: Lane) -> None:
        """Send one batch of what waits in ``lane``; what is left leaves with the next."""
        producer = self._producer
        items: list[Item] = []
        size = 0
        lane.sent_at = time.monotonic()
        try:
            if producer is None:
                size = lane.give_up("Kafka is not reachable.")
                return
            batch = producer.create_batch()
            size = lane.fill(batch, items)
            if items:
                async with asyncio.timeout(_PATIENCE):
                    await (await producer.send_batch(batch, lane.topic, partition=lane.partition))
            for item in items:
                item.delivery.acknowledged()
        except BaseException as error:
            for item in items:
                item.delivery.failed(f"Kafka has not taken it ({type(error).__name__}).")
            if not isinstance(error, Exception):
                raise
            unforeseen = not isinstance(error, KafkaError | TimeoutError)
            name = type(error).__name__
            log.warning("batch not sent", topic=lane.topic, error=name, exc_info=unforeseen)
            self._renew(producer)
        finally:
            lane.sent_at = lane.sending = None
            self._charge(-size)
            if lane.waiting:
                self._arm()

    def _renew(self, failed: AIOKafkaProducer | None) -> None:
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
                async with asyncio.timeout(_PATIENCE):
                    await producer.start()
            except BaseException as error:
                await _close(producer)
                if not isinstance(error, Exception):
                    raise
                unforeseen = not isinstance(error, KafkaError | OSError)
                name = type(error).__name__
                log.warning("no broker yet", error=name, exc_info=unforeseen)
                await asyncio.sleep(backoff.next())
            else:
                self._producer = producer
                return


async def _close(producer: AIOKafkaProducer) -> None:
    with suppress(KafkaError, TimeoutError, OSError):
        async with asyncio.timeout(5):
            await producer.stop()

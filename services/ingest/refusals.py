"""Refused events on their way to ``events.rejected``, where they are before it is answered.

So what a sender was told of is there for people to repair, whatever becomes of this process.
While Kafka is away nobody waits: what is refused then is queued in memory and published
behind the answer. A source that is refused too often is only counted (``suppressed``), and
once a minute the topic is told how many there were, so that a broken client fills neither
memory nor disk, and never waits.
"""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from itertools import islice
from typing import Protocol
from uuid import uuid4

import msgspec
import structlog
from aiokafka.errors import KafkaError

from schemas.topics import REJECTED
from services.ingest.model import Origin, Rejection, Shared
from services.ingest.settings import IngestSettings
from services.runtime import metrics
from services.runtime.backoff import Backoff
from services.runtime.bucket import Bucket
from services.runtime.publish import Publisher
from services.runtime.turn import Output

MAX_RAW = 64 * 1024
"""Bytes that are kept of a refused event."""
_QUEUED_BYTES = 16_000_000
_RECORDS = 500
_SUMMARY_SECONDS = 60.0
_LAST_SECONDS = 5.0
_PATIENCE_SECONDS = 1.0

log = structlog.get_logger()
_encode = msgspec.json.Encoder(decimal_format="number").encode


class Lane(Protocol):
    """What is needed of ``services.runtime.publish.Publisher``."""

    async def publish(self, outputs: Sequence[Output]) -> None: ...

    async def stop(self) -> None: ...


class Refusals:
    """The port of the handler on Kafka. Costs nothing until something is refused."""

    def __init__(
        self,
        settings: IngestSettings,
        lane: Lane | None = None,
        clock: Callable[[], float] = time.monotonic,
        patience: float = _PATIENCE_SECONDS,
    ) -> None:
        self._events = settings.refused_events_per_hour
        self._bytes = settings.refused_bytes_per_hour
        self._lane = lane or Publisher(settings, "ingest-refusals")
        self._clock = clock
        self._patience = patience
        self._allowed: dict[str, tuple[Bucket, Bucket]] = {}
        self._queue: deque[Output] = deque()
        self._queued = 0
        self._put_count = self._published = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._away = False
        """Whether the broker lets records wait."""
        self._suppressed: dict[str, Counter[str]] = {}
        self._pump: asyncio.Task[None] | None = None
        self._summary: asyncio.TimerHandle | None = None

    async def record(
        self, texts: Sequence[bytes], rejections: Sequence[Rejection], origin: Origin
    ) -> None:
        """Keep ``texts[rejection.index]`` for each of the rejections.

        Returns once Kafka has them, or without knowing after a second, or at once while
        Kafka is away or when all of them are only counted.
        """
        recorded = False
        for rejection in rejections:
            text = texts[rejection.index]
            output = _record(text, rejection, origin)
            if self._may(origin.source, len(output.value or b"")):
                self._put(output)
                recorded = True
                metrics.INGEST_REFUSALS.labels("recorded").inc()
            else:
                self._suppress(origin.source, rejection.code)
        if recorded and not self._away:
            await self._acknowledged()

    async def stop(self) -> None:
        """Publish what is queued, if the broker takes it within seconds; then close."""
        if self._summary is not None:
            self._summary.cancel()
        self.summarise()
        pump = self._pump
        if pump is not None:
            await asyncio.wait({pump}, timeout=_LAST_SECONDS)
            pump.cancel()
            await asyncio.gather(pump, return_exceptions=True)
        if self._queue:
            log.warning("refused events not recorded", events=len(self._queue))
            metrics.INGEST_REFUSALS.labels("lost").inc(len(self._queue))
        with suppress(KafkaError, OSError):
            await self._lane.stop()

    def summarise(self) -> None:
        """Tell the topic what was only counted since the last time."""
        self._summary = None
        at = datetime.now(UTC)
        for source, counts in self._suppressed.items():
            self._put(_summary(source, counts, at))
        self._suppressed = {}

    def _may(self, source: str, size: int) -> bool:
        if self._queued + size > _QUEUED_BYTES:
            return False
        now = self._clock()
        allowed = self._allowed.get(source)
        if allowed is None:
            allowed = self._allowed[source] = (Bucket(self._events, now), Bucket(self._bytes, now))
        needed = ((1, self._events), (size, self._bytes))
        return not any(
            bucket.take(units, most / 3_600, most, now)
            for bucket, (units, most) in zip(allowed, needed, strict=True)
        )

    def _suppress(self, source: str, code: str) -> None:
        metrics.INGEST_REFUSALS.labels("suppressed").inc()
        self._suppressed.setdefault(source, Counter())[code] += 1
        if self._summary is None:
            loop = asyncio.get_running_loop()
            self._summary = loop.call_later(_SUMMARY_SECONDS, self.summarise)

    async def _acknowledged(self) -> None:
        """Wait for what is queued until now, but not for long."""
        done = asyncio.get_running_loop().create_future()
        self._waiting.append((self._put_count, done))
        try:
            async with asyncio.timeout(self._patience):
                await done
        except TimeoutError:
            self._away = True

    def _release(self, number: int | None = None) -> None:
        """Have those who wait for the first ``number`` records wait no more; None: all."""
        while self._waiting and (number is None or self._waiting[0][0] <= number):
            _, done = self._waiting.popleft()
            if not done.done():
                done.set_result(None)

    def _put(self, output: Output) -> None:
        self._queue.append(output)
        self._put_count += 1
        self._queued += len(output.value or b"")
        if self._pump is None:
            self._pump = asyncio.create_task(self._publish())

    async def _publish(self) -> None:
        """Send what is queued, some at a time, until nothing is."""
        backoff = Backoff()
        try:
            while self._queue:
                outputs = list(islice(self._queue, _RECORDS))
                try:
                    await self._lane.publish(outputs)
                except (KafkaError, OSError) as error:
                    log.warning("refused events wait for Kafka", error=type(error).__name__)
                    self._away = True
                    self._release()
                    await asyncio.sleep(backoff.next())
                    continue
                backoff.reset()
                self._away = False
                self._published += len(outputs)
                self._release(self._published)
                for output in outputs:
                    self._queue.popleft()
                    self._queued -= len(output.value or b"")
        finally:
            self._pump = None
            self._release()


def _record(text: bytes, rejection: Rejection, origin: Origin) -> Output:
    facts = {
        "dl_id": uuid4().hex,
        "dl_reason": rejection.code,
        "dl_detail": rejection.detail[:500],
        "dl_source": origin.source,
        "dl_door": origin.door,
        "dl_stage": "ingest",
        "dl_at": _rfc3339(origin.at),
    }
    if origin.call is not None:
        facts["dl_call"] = origin.call
    if len(text) > MAX_RAW:
        facts["dl_size"] = str(len(text))
    headers = [(name, value.encode()) for name, value in facts.items()]
    if origin.shared != Shared():
        headers.append(("dl_shared", _encode(origin.shared)))
    return Output(REJECTED.name, 0, origin.source.encode(), text[:MAX_RAW], headers)


def _summary(source: str, counts: Counter[str], at: datetime) -> Output:
    headers = [
        ("dl_suppressed", b"%d" % counts.total()),
        ("dl_source", source.encode()),
        ("dl_at", _rfc3339(at).encode()),
    ]
    return Output(REJECTED.name, 0, source.encode(), msgspec.json.encode(counts), headers)


def _rfc3339(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")

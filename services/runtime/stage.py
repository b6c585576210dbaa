"""The stage: every consumer of a firehose is this loop around its service's handler.

One turn:

1. read a batch from the owned partitions, and the timers that are due in them;
2. drop what was seen before, by origin and seq;
3. in ONE MongoDB transaction: the handler loads, decides and stores; then the timers, and
   the checkpoint of each partition with its outbox;
4. publish the outbox, and wait for every ack (meanwhile the next turn is handled);
5. go on.

The checkpoint is the truth about offsets; Kafka's own committed offset is for lag
monitors. A crash anywhere is repaired by the next owner: it publishes the stored outbox
again (readers drop by origin and seq what they had) and goes on from the stored offset.
A worker that lost its partition without noticing cannot commit, since the new owner has
raised the checkpoint's epoch.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import islice
from time import monotonic
from typing import Any

import structlog
from aiokafka.errors import KafkaError
from faust import Service

from schemas.topics import EVENTS
from services.runtime import deadletter, metrics
from services.runtime.backoff import Backoff
from services.runtime.checkpoints import Advance, Checkpoints, Fenced
from services.runtime.failpoint import Failpoint
from services.runtime.intake import Intake
from services.runtime.mongo import CommitUnknown, PyMongoError, conflict, too_large, transaction
from services.runtime.publish import Publisher, output_of
from services.runtime.settings import Settings
from services.runtime.timers import Timers
from services.runtime.turn import Completion, Handler, Output, Record, Source, Timer, Turn

log = structlog.get_logger()

_IDLE_SECONDS = 1.0
_STALLED_SECONDS = 30.0
_PUBLISH_SECONDS = 10.0
_OUTBOX_BYTES = 12_000_000
_TIMERS_A_TURN = 1_000
_CULPRIT_TRIES = 5
_POSTPONE = timedelta(seconds=60)
_OPEN = frozenset(topic.name for topic in EVENTS)
"""Topics that storefronts write too: their senders cannot be trusted with origin and seq."""


class TooLarge(Exception):
    """The outbox of one partition would not fit into its checkpoint document."""


class Poisoned(Exception):
    """Most of a large batch does not fit: more likely our fault than the senders'."""


class Unpublished(Exception):
    """The last turn's outbox could not be published in time."""


class Stage(Service):
    """Runs ``handler`` over the records, timers and completions of the owned partitions."""

    abstract = False

    def __init__(
        self,
        name: str,
        handler: Handler,
        *,
        settings: Settings,
        intake: Intake,
        publisher: Publisher,
        checkpoints: Checkpoints,
        timers: Timers,
        session: Any,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.name = name
        self._handler = handler
        self._settings = settings
        self._intake = intake
        self._publisher = publisher
        self._checkpoints = checkpoints
        self._timers = timers
        self._session = session
        self._clock = clock
        self._failpoint = Failpoint(settings.failpoint)
        self._backoff = Backoff()

        self._pending: deque[Record] = deque()
        self._completions: deque[Completion] = deque()
        self._gained: list[Source] = []  # what the handler was not told of yet
        self._publishing: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._running: asyncio.Task[None] | None = None

        self._limit = settings.batch_records  # halved while turns fail, doubled while they work
        self._bisecting = False  # looking for the input that makes the handler fail
        self._culprit_tries = 0
        self._progressed = monotonic()
        self._trouble = ""

    # -- what others may call ------------------------------------------------------------

    def complete(self, source_id: str, body: Any) -> None:
        """Hand the result of outside work to the next turn.

        It is forgotten when the partition is no longer ours: the new owner decides.
        """
        source = self._intake.owned.get(source_id)
        if source is not None:
            self._completions.append(Completion(source, body))
            self._wake.set()

    def not_ready(self) -> str | None:
        """None, or why this worker does not keep up: one line for the readiness probe."""
        if not self._intake.joined:
            return "waiting for Kafka to assign partitions"
        stalled = monotonic() - self._progressed
        if stalled < _STALLED_SECONDS or not (self._trouble or self._intake.lag()):
            return None
        return f"no batch finished for {stalled:.0f} s: {self._trouble or 'still working on one'}"

    # -- the loop ------------------------------------------------------------------------

    async def on_start(self) -> None:
        self._running = asyncio.ensure_future(self._run())

    async def on_stop(self) -> None:
        self._wake.set()
        if self._running is not None:
            await asyncio.wait({self._running}, timeout=_PUBLISH_SECONDS)
            self._running.cancel()
        await self._intake.stop()
        if self._publishing is not None:
            await asyncio.wait({self._publishing}, timeout=_PUBLISH_SECONDS)
            self._publishing.cancel()
        await self._intake.tell_offsets()

    @Service.timer(5.0)
    async def _tell(self) -> None:
        self._intake.lag()
        await self._intake.tell_offsets()

    async def _run(self) -> None:
        while not self.should_stop:
            try:
                await (self._claim() if self._intake.changed else self._cycle())
            except Exception as error:  # noqa: BLE001  # the one place that decides what is transient
                await self._failed(error)

    async def _claim(self) -> None:
        """Own what the group has assigned; forget what it has not."""
        self._pending.clear()
        if self._publishing is not None:
            self._publishing.cancel()  # its outbox is stored, and published by the claim
            self._publishing = None
        claim = await self._intake.claim()
        if self._intake.changed:
            return  # the group is still deciding
        self._handler.lost(claim.lost)
        self._gained += claim.gained
        self._completions = deque(
            item for item in self._completions if item.source in self._intake.owned.values()
        )
        owned = list(self._intake.owned.values())
        try:
            await self._timers.own(self._intake.owned)
            await self._handler.assigned([source for source in self._gained if source in owned])
        except BaseException:
            self._intake.again()
            raise
        self._gained = []
        self._progressed = monotonic()
        log.info("claimed", stage=self.name, partitions=len(self._intake.owned))

    async def _cycle(self) -> None:
        """Wait for something to do, and do it as one turn."""
        if not self._pending:
            self._pending.extend(
                await self._intake.fetch(self._limit, self._patience(), self._wake)
            )
        self._wake.clear()
        timers = await self._timers.due(self._clock(), min(self._limit, _TIMERS_A_TURN))
        records = self._next_records()
        completions = list(islice(self._completions, self._limit))
        if self._bisecting and records:  # one kind at a time
            timers, completions = [], []
        elif self._bisecting and timers:
            completions = []
        if not (records or timers or completions):
            self._trouble = ""
            self._progressed = monotonic()
            return
        async with self._intake.between_turns:
            if not self._intake.changed:
                await self._turn(records, timers, completions)

    def _patience(self) -> float:
        """How long to wait for records: not at all with work in hand, else to the next timer."""
        if self._completions:
            return 0.0
        if self._timers.next_due is None:
            return _IDLE_SECONDS
        left = (self._timers.next_due - self._clock()).total_seconds()
        return min(max(left, 0.0), _IDLE_SECONDS)

    def _next_records(self) -> list[Record]:
        """A batch, bounded by count and by bytes. Removed from the queue when committed."""
        records: list[Record] = []
        size = 0
        for record in islice(self._pending, self._limit):
            size += len(record.value or b"")
            if records and size > self._settings.batch_bytes:
                break
            records.append(record)
        return records

    # -- one turn ------------------------------------------------------------------------

    async def _turn(
        self, records: list[Record], timers: list[Timer], completions: list[Completion]
    ) -> None:
        started = monotonic()
        fresh, origins = self._fresh(records)
        turn = Turn(
            now=self._clock(),
            session=self._session,
            records=fresh,
            timers=timers,
            completions=completions,
        )
        self._failpoint.reached("read")
        async with transaction(self._session):
            await self._decide(turn)
            self._failpoint.reached("handled")
            advances = self._advances(turn, records, origins)
            await self._timers.store(turn, self._session)
            handled = monotonic()
            await self._published()  # or the commit would overwrite an outbox still needed
            self._failpoint.reached("stored")
            await self._commit(advances)
        self._failpoint.reached("committed")
        self._moved_on(turn, advances, records, completions)
        outputs = [output for advance in advances for output in advance.outputs]
        if outputs:
            self._publishing = asyncio.ensure_future(self._publish(outputs))
        await self._timers.committed(turn)
        await self._handler.committed(turn)
        self._measure(turn, records, started, handled)

    def _fresh(self, records: Sequence[Record]) -> tuple[list[Record], dict[str, dict[str, int]]]:
        """Step 2: the records not seen before, and the highest seq by origin of each source."""
        fresh, origins = [], dict[str, dict[str, int]]()
        for record in records:
            origin = record.headers.get("origin")
            if origin is not None and record.source.topic not in _OPEN:
                source = record.source
                seen = origins.get(source.id)
                if seen is None:
                    seen = origins[source.id] = dict(source.origins)
                name, seq = origin.decode(), int(record.headers["seq"])
                if seq <= seen.get(name, 0):
                    continue
                seen[name] = seq
            fresh.append(record)
        return fresh, origins

    async def _decide(self, turn: Turn) -> None:
        """Step 3: the service's own part, or none for an input that always makes it fail."""
        if self._culprit_tries >= _CULPRIT_TRIES:
            for record in turn.records:
                turn.reject(record, "handler_failed", "the handler failed on it repeatedly")
            for timer in turn.timers:
                turn.set_timer(timer.source, timer.key, turn.now + _POSTPONE, timer.body)
            return
        if turn.records or turn.timers or turn.completions:
            await self._handler.handle(turn)
        rejected = len(turn.rejected)
        if rejected >= self._settings.poison_records and 2 * rejected > len(turn.records):
            raise Poisoned(f"{rejected} of {len(turn.records)} records do not fit")

    def _advances(
        self, turn: Turn, records: Sequence[Record], origins: dict[str, dict[str, int]]
    ) -> list[Advance]:
        """How the turn moves each source that it touched: offset, seq, origins and outbox."""
        advances: dict[str, Advance] = {}

        def of(source: Source) -> Advance:
            advance = advances.get(source.id)
            if advance is None:
                seen = origins.get(source.id, source.origins)
                advance = Advance(source, source.offset, source.seq, seen, [])
                advances[source.id] = advance
            return advance

        for record in records:
            advance = of(record.source)
            advance.offset = max(advance.offset, record.offset + 1)
        for timer in turn.timers:
            of(timer.source)
        for completion in turn.completions:
            of(completion.source)
        for source, message in turn.messages:
            advance = of(source)
            advance.seq += 1
            numbered = (("origin", source.id.encode()), ("seq", b"%d" % advance.seq))
            advance.outputs.append(output_of(message, f"/{self.name}", numbered))
        for rejected in turn.rejected:
            output = deadletter.output_of(rejected, self.name, turn.now)
            of(rejected.record.source).outputs.append(output)
        for advance in advances.values():
            if sum(_size(output) for output in advance.outputs) > _OUTBOX_BYTES:
                raise TooLarge(f"outbox of {advance.source.id}")
        return list(advances.values())

    async def _commit(self, advances: Sequence[Advance]) -> None:
        await self._checkpoints.commit(self._session, advances)

    def _moved_on(
        self,
        turn: Turn,
        advances: Sequence[Advance],
        records: Sequence[Record],
        completions: Sequence[Completion],
    ) -> None:
        """The transaction is durable: now, and only now, memory follows it."""
        for advance in advances:
            source = advance.source
            source.offset, source.seq = advance.offset, advance.seq
            source.origins = advance.origins
        for _ in records:
            self._pending.popleft()
        for _ in completions:
            self._completions.popleft()
        self._culprit_tries = 0
        self._limit = min(self._limit * 2, self._settings.batch_records)
        self._bisecting = self._bisecting and self._limit < self._settings.batch_records
        self._backoff.reset()
        self._progressed = monotonic()
        self._trouble = ""

    # -- publishing ----------------------------------------------------------------------

    async def _publish(self, outputs: Sequence[Output]) -> None:
        """Step 4: try until every record is acknowledged; a crash leaves it to the next owner."""
        started, backoff = monotonic(), Backoff()
        while True:
            try:
                await self._publisher.publish(outputs)
                break
            except (KafkaError, OSError) as error:
                self._trouble = f"cannot publish: {type(error).__name__}"
                log.warning("publish failed", stage=self.name, error=type(error).__name__)
                await asyncio.sleep(backoff.next())
        self._failpoint.reached("published")
        metrics.STAGE_TURN.labels(self.name, "publish").observe(monotonic() - started)

    async def _published(self) -> None:
        """Wait until the last turn's outbox is acknowledged."""
        if self._publishing is None:
            return
        await asyncio.wait({self._publishing}, timeout=_PUBLISH_SECONDS)
        if not self._publishing.done():
            raise Unpublished("Kafka does not acknowledge")
        self._publishing.result()
        self._publishing = None

    # -- trouble -------------------------------------------------------------------------

    async def _failed(self, error: Exception) -> None:
        """Nothing was committed: say why, adapt, wait, and let it be tried again."""
        cause = _cause(error)
        self._trouble = f"{cause}: {type(error).__name__}"
        metrics.STAGE_RETRIES.labels(self.name, cause).inc()
        self._handler.lost(None)
        if cause == "failed":
            log.error("handler failed", stage=self.name, limit=self._limit, exc_info=error)
            self._culprit_tries += self._limit == 1
            self._bisecting = True
        else:
            log.warning("turn failed", stage=self.name, cause=cause, error=type(error).__name__)
        if cause in ("failed", "conflict", "too_large"):
            self._limit = max(1, min(self._limit, len(self._pending) or 1) // 2)
        if cause in ("fenced", "unknown"):
            await self._resynchronise()
        await self.sleep(self._backoff.next())

    async def _resynchronise(self) -> None:
        """Drop the partitions that others have taken; read our own checkpoints again."""
        owned = self._intake.owned
        epochs = dict[str, int]()
        with suppress(PyMongoError):
            epochs = await self._checkpoints.epochs(list(owned))
        lost = [id_ for id_, epoch in epochs.items() if epoch > owned[id_].epoch]
        if not lost:
            self._intake.again()
            return
        metrics.STAGE_FENCED.labels(self.name).inc()
        log.warning("fenced", stage=self.name, partitions=len(lost))
        self._handler.lost([owned[id_] for id_ in lost])
        self._intake.forget(lost)
        gone = set(lost)
        self._pending = deque(item for item in self._pending if item.source.id not in gone)
        self._completions = deque(i for i in self._completions if i.source.id not in gone)
        await self._timers.own(self._intake.owned)

    def _measure(
        self, turn: Turn, records: Sequence[Record], started: float, handled: float
    ) -> None:
        now = monotonic()
        metrics.STAGE_TURN.labels(self.name, "handle").observe(handled - started)
        metrics.STAGE_TURN.labels(self.name, "commit").observe(now - handled)
        metrics.STAGE_BATCH.labels(self.name).observe(len(records))
        metrics.STAGE_TIMERS.labels(self.name).inc(len(turn.timers))
        for timer in turn.timers:
            delay = (turn.now - timer.due_at).total_seconds()
            metrics.STAGE_TIMER_DELAY.labels(self.name).observe(delay)
        for reason, count in turn.dropped.items():
            metrics.STAGE_DROPPED.labels(self.name, reason).inc(count)
        for rejected in turn.rejected:
            metrics.STAGE_DEAD_LETTERS.labels(self.name, rejected.reason).inc()
        replayed = len(records) - len(turn.records)
        metrics.STAGE_RECORDS.labels(self.name, "replayed").inc(replayed)
        metrics.STAGE_RECORDS.labels(self.name, "handled").inc(len(turn.records))


def _size(output: Output) -> int:
    return len(output.value or b"") + sum(len(value) for _, value in output.headers)


def _cause(error: Exception) -> str:
    if isinstance(error, Fenced):
        return "fenced"
    if isinstance(error, CommitUnknown):
        return "unknown"
    if isinstance(error, TooLarge) or too_large(error):
        return "too_large"
    if isinstance(error, Poisoned):
        return "poisoned"
    if conflict(error):
        return "conflict"
    if isinstance(error, PyMongoError | KafkaError | OSError | TimeoutError | Unpublished):
        return "unavailable"
    return "failed"

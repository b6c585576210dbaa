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
raised the checkpoint's epoch; nor can what it had still to publish arrive behind the new
owner's records, since the broker refuses records whose stamp is old, and the new owner waits
until it does.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any

import structlog
from faust import Service

from services.runtime import garbage, metrics, progress
from services.runtime.checkpoints import Advance, Checkpoints, encode, stamp
from services.runtime.failpoint import Failpoint
from services.runtime.intake import Intake
from services.runtime.mongo import PyMongoError, transaction
from services.runtime.outbox import Outbox
from services.runtime.pace import Pace
from services.runtime.publish import Publisher
from services.runtime.recovery import Recovery
from services.runtime.settings import Settings
from services.runtime.timers import Timers
from services.runtime.trouble import Poisoned, cause_of
from services.runtime.turn import Completion, Handler, Record, Source, Timer, Turn
from services.runtime.waiting import Waiting

log = structlog.get_logger()

_IDLE_SECONDS = 1.0
_STALLED_SECONDS = 30.0
_LAST_SECONDS = 10.0
_TIMERS_A_TURN = 1_000
_POSTPONE = timedelta(seconds=60)


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
        up_to_date: Callable[[], Awaitable[None]],
        session: Any,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.name = name
        self._handler = handler
        self._settings = settings
        self._intake = intake
        self._checkpoints = checkpoints
        self._timers = timers
        self._up_to_date = up_to_date  # with the definitions
        self._session = session
        self._clock = clock
        self._failpoint = Failpoint(settings.failpoint)
        self._outbox = Outbox(name, publisher, checkpoints, self._failpoint)
        intake.published = self._outbox.published
        self._pace = Pace(settings.batch_records)

        self._waiting = Waiting(settings.batch_bytes)
        self._recovery = Recovery(
            name,
            handler,
            pace=self._pace,
            waiting=self._waiting,
            intake=intake,
            checkpoints=checkpoints,
            timers=timers,
        )
        self._gained: list[Source] = []  # what the handler was not told of yet
        self._wake = asyncio.Event()
        self._running: asyncio.Task[None] | None = None

        self._progressed = monotonic()
        self._trouble = ""

    # -- what others may call ------------------------------------------------------------

    def complete(self, source_id: str, body: Any) -> None:
        """Hand the result of outside work to the next turn.

        It is forgotten when the partition is no longer ours: the new owner decides.
        """
        source = self._intake.held(source_id)
        if source is not None:
            self._waiting.complete(Completion(source, body))
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
            await asyncio.wait({self._running}, timeout=_LAST_SECONDS)
            self._running.cancel()
        await self._intake.stop()
        if await self._outbox.stop(_LAST_SECONDS):
            with suppress(PyMongoError):
                await self._intake.release()
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
                cause = cause_of(error)
                self._trouble = f"{cause}: {type(error).__name__}"
                await self.sleep(await self._recovery.after(error, cause))

    async def _claim(self) -> None:
        """Own what the group has assigned; forget what it has not."""
        await self._outbox.stop()  # it is stored: the claim publishes it again
        claim = await self._intake.claim()
        if self._intake.changed:
            return  # the group is still deciding
        self._handler.lost(claim.lost)
        self._gained += claim.gained
        owned = list(self._intake.owned.values())
        self._waiting.claimed(owned)
        try:
            await self._timers.own(self._intake.owned)
            await self._up_to_date()  # no former owner has seen more
            await self._handler.assigned([source for source in self._gained if source in owned])
        except BaseException:
            self._intake.again()
            raise
        self._gained = []
        self._progressed = monotonic()
        log.info("claimed", stage=self.name, partitions=len(self._intake.owned))

    async def _cycle(self) -> None:
        """Wait for something to do, and do it as one turn."""
        limit = self._pace.limit
        if not self._waiting.records:
            self._waiting.read(await self._intake.fetch(limit, self._patience(), self._wake))
        self._wake.clear()
        timers = await self._timers.due(self._clock(), min(limit, _TIMERS_A_TURN))
        completions = self._waiting.completions(limit)
        inputs = self._pace.choose((self._waiting.batch(limit), timers, completions))
        if not any(inputs):
            self._trouble = ""
            self._progressed = monotonic()
            garbage.tidy()
            return
        async with self._intake.between_turns:
            if not self._intake.changed:
                await self._turn(*inputs)

    def _patience(self) -> float:
        """How long to wait for records: not at all with work in hand, else to the next timer."""
        if self._waiting.completed:
            return 0.0
        if self._timers.next_due is None:
            return _IDLE_SECONDS
        left = (self._timers.next_due - self._clock()).total_seconds()
        return min(max(left, 0.0), _IDLE_SECONDS)

    # -- one turn ------------------------------------------------------------------------

    async def _turn(
        self,
        records: Sequence[Record],
        timers: Sequence[Timer],
        completions: Sequence[Completion],
    ) -> None:
        started = monotonic()
        fresh, origins = self._fresh(records)
        turn = Turn(
            now=self._clock(),
            session=self._session,
            records=fresh,
            timers=list(timers),
            completions=list(completions),
        )
        self._failpoint.reached("read")
        async with transaction(self._session):
            await self._decide(turn)
            advances = await self._store(turn, records, origins)
            self._failpoint.reached("handled")
            await self._timers.store(turn, self._session)
            handled = monotonic()
            await self._outbox.published()  # or the commit would overwrite what may be needed
            self._failpoint.reached("stored")
            at = stamp()
            packing = self._outbox.pack(advances, at)
            await self._commit(advances, at)
        self._failpoint.reached("committed")
        self._moved_on(advances)
        self._waiting.done(records, completions)
        self._outbox.publish(advances, packing)
        await self._handler.committed(turn)
        await self._timers.committed(turn)
        metrics.turn_taken(
            self.name, turn, len(records), (handled - started, monotonic() - handled)
        )

    def _fresh(self, records: Sequence[Record]) -> tuple[list[Record], progress.Origins]:
        """Step 2."""
        return progress.fresh(progress.meant(records, self.name))

    async def _decide(self, turn: Turn) -> None:
        """Step 3: the service's own part, or none for an input that always makes it fail."""
        if self._pace.gives_up():
            for record in turn.records:
                turn.reject(record, "handler_failed", "the handler failed on it repeatedly")
            for timer in turn.timers:
                turn.set_timer(timer.source, timer.key, turn.now + _POSTPONE, timer.body)
            return
        if turn.records or turn.timers or turn.completions:
            await self._handler.handle(turn)
            self._pace.handled()
        rejected = len(turn.rejected)
        if rejected >= self._settings.poison_records and 2 * rejected > len(turn.records):
            raise Poisoned(f"{rejected} of {len(turn.records)} records do not fit")

    async def _store(
        self, turn: Turn, records: Sequence[Record], origins: progress.Origins
    ) -> list[Advance]:
        """The handler's writes; meanwhile what it has to say is numbered and encoded."""
        writing = asyncio.ensure_future(turn.written())
        try:
            await asyncio.sleep(0)  # The first write is on its way.
            advances = progress.advances(turn, records, origins, self.name)
            encode(advances)
        finally:
            await writing
        return advances

    async def _commit(self, advances: Sequence[Advance], at: int) -> None:
        await self._checkpoints.commit(self._session, advances, at)

    def _moved_on(self, advances: Sequence[Advance]) -> None:
        """The transaction is durable: now, and only now, memory follows it."""
        for advance in advances:
            source = advance.source
            source.offset, source.seq = advance.offset, advance.seq
            source.origins = advance.origins
        self._pace.worked()
        self._progressed = monotonic()
        self._trouble = ""

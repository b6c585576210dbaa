"""The sender: takes due messages from the ledger to the mail server, outside of any turn.

For each message, on one of a bounded set of kept connections (``delivery.Lane``): ask the
profile API anew, check consent and address, render, name sender and recipient to the
server, mark the ledger, and only then send the text. So an entry that says "attempting"
may have arrived, and every other one has not. Results go back to the stage as completions,
again and again until a turn has stored them.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from time import monotonic
from typing import Any, Protocol

import structlog
from faust import Service

from services.notifier import confirmation
from services.notifier.campaigns import Campaigns
from services.notifier.delivery import Desk, Lane, Profiles
from services.notifier.gate import Gate, Starts
from services.notifier.model import Entry, Outcome, Recover
from services.notifier.receipts import Book, Receipts
from services.notifier.settings import NotifierSettings
from services.runtime import metrics
from services.runtime.mongo import PyMongoError

log = structlog.get_logger()

_TELL_AGAIN_SECONDS = 5.0
_TOGETHER_SECONDS = 0.05
"""Results are gathered this long for one turn: the mails are out, and a turn costs its share."""
_STOP_SECONDS = 20.0


class SendLedger(Starts, Book, Protocol):
    """What the sender needs of the ledger, outside of turns."""

    async def due(self, sources: Sequence[str], now: datetime, limit: int) -> list[Entry]:
        """Decided and due entries of these sources, the longest due first."""


class _Held:
    """A message in the sender's hands, until a turn has stored what became of it."""

    __slots__ = ("busy", "entry", "outcome", "told")

    def __init__(self, entry: Entry) -> None:
        self.entry = entry
        self.busy = False
        self.outcome: Outcome | None = None
        self.told = 0.0


class Sender(Service):
    """Sends what is offered, and what it finds due in the ledger of the owned sources."""

    abstract = False

    def __init__(
        self,
        settings: NotifierSettings,
        *,
        ledger: SendLedger,
        campaigns: Campaigns,
        profiles: Profiles,
        complete: Callable[[str, Any], None],
        owner: str,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._settings = settings
        self._ledger = ledger
        self._complete = complete
        self._receipts = Receipts(ledger)
        self._gate = Gate(ledger, self._receipts, owner)
        letter = confirmation.letter(settings)
        desk = Desk(settings, campaigns, profiles, self._gate, self._receipts, letter)
        self._lanes = [Lane(desk) for _ in range(settings.smtp_connections)]
        self._sources = set[str]()
        self._held = dict[str, _Held]()
        self._queue = asyncio.Queue[_Held]()
        self._hungry = asyncio.Event()  # the ledger may hold what was never offered
        self._overflowed = False
        self._untold: list[_Held] = []
        self._telling: asyncio.TimerHandle | None = None
        self._told = 0.0
        self._working = dict[Lane, asyncio.Task[None]]()
        self._background = set[asyncio.Task[None]]()

    # -- what the handler calls ----------------------------------------------------------

    def offer(self, entries: Sequence[Entry]) -> None:
        """Send these now. What does not fit is found in the ledger when there is room."""
        for entry in entries:
            if entry.message_id in self._held or entry.source not in self._sources:
                continue
            if len(self._held) >= self._settings.notifier_queue:
                self._overflowed = True
                break
            held = self._held[entry.message_id] = _Held(entry)
            self._queue.put_nowait(held)
        metrics.SENDER_HELD.set(len(self._held))

    def settled(self, message_ids: Sequence[str]) -> None:
        """A turn has stored what became of these."""
        for id_ in message_ids:
            held = self._held.get(id_)
            if held is not None and held.outcome is not None:
                del self._held[id_]
        self._receipts.settled(message_ids)
        metrics.SENDER_HELD.set(len(self._held))
        if self._overflowed and len(self._held) <= self._settings.notifier_queue // 2:
            self._overflowed = False
            self._hungry.set()

    def own(self, sources: Sequence[str]) -> None:
        """These sources are ours: look for what waits in them."""
        self._sources.update(sources)
        self._hungry.set()

    def disown(self, sources: Sequence[str]) -> None:
        """Others own these now: begin nothing more of them, and leave them our results."""
        self._sources.difference_update(sources)
        gone = [h for h in self._held.values() if h.entry.source not in self._sources]
        self._untold = [h for h in self._untold if h.entry.source in self._sources]
        for held in gone:
            if not held.busy:  # else ``_finish`` sees to it
                del self._held[held.entry.message_id]
        self._leave(gone)

    def holds(self, message_id: str) -> bool:
        """Whether its result is still to come from here."""
        return message_id in self._held

    # -- life ----------------------------------------------------------------------------

    async def on_start(self) -> None:
        self._spawn(self._gate.run())
        self._spawn(self._feed())
        self._working = {lane: asyncio.create_task(self._work(lane)) for lane in self._lanes}

    async def on_stop(self) -> None:
        """Let the mails in flight finish, then note every result that no turn has stored."""
        for lane, task in self._working.items():
            if not lane.committed:
                task.cancel()
        if self._working:
            await asyncio.wait(self._working.values(), timeout=_STOP_SECONDS)
        if self._telling is not None:
            self._telling.cancel()
        tasks = [*self._working.values(), *self._background]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._note(self._held.values())
        with suppress(PyMongoError):  # then the next owner finds them out of date
            await self._receipts.sweep()
        await asyncio.gather(*(lane.close() for lane in self._lanes))

    # -- sending -------------------------------------------------------------------------

    async def _work(self, lane: Lane) -> None:
        while not self.should_stop:
            held = await self._queue.get()
            if self._held.get(held.entry.message_id) is not held:
                continue  # disowned while it was queued
            held.busy = True
            try:
                outcome = await lane.deliver(held.entry, partial(self._wanted, held))
            except Exception as error:  # a bug: one message must not end the connection
                log.error("delivery failed", exc_info=error)
                outcome = None
            finally:
                held.busy = False
            self._finish(held, outcome)

    def _wanted(self, held: _Held) -> bool:
        return held.entry.source in self._sources and not self.should_stop

    def _finish(self, held: _Held, outcome: Outcome | None) -> None:
        source = held.entry.source
        if outcome is None:
            # Somebody else changed the entry, or began it and is gone: let a turn see.
            del self._held[held.entry.message_id]
            self._complete(source, Recover())
            return
        held.outcome = outcome
        self._untold.append(held)
        if self._telling is None:
            wait = max(0.0, self._told + _TOGETHER_SECONDS - monotonic())
            self._telling = asyncio.get_running_loop().call_later(wait, self._tell_all)
        if source not in self._sources:
            del self._held[held.entry.message_id]
            self._leave([held])

    def _tell_all(self) -> None:
        self._told, self._telling = monotonic(), None
        untold, self._untold = self._untold, []
        for held in untold:
            self._tell(held)

    def _tell(self, held: _Held) -> None:
        held.told = monotonic()
        self._complete(held.entry.source, held.outcome)

    # -- the ledger ----------------------------------------------------------------------

    async def _feed(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._settings.notifier_poll_seconds):
                    await self._hungry.wait()
            self._hungry.clear()
            for held in self._held.values():
                # A completion is forgotten while partitions change hands.
                if held.told and monotonic() - held.told > _TELL_AGAIN_SECONDS:
                    self._tell(held)
            try:
                await self._receipts.sweep()
                await self._refill()
            except PyMongoError as error:
                log.warning("ledger away", error=type(error).__name__)

    async def _refill(self) -> None:
        limit = self._settings.notifier_queue
        if not self._sources or len(self._held) >= limit:
            return
        entries = await self._ledger.due(sorted(self._sources), datetime.now(UTC), limit)
        self._overflowed = len(entries) == limit
        self.offer(entries)

    def _leave(self, held: Sequence[_Held]) -> None:
        """Note the results of these for the workers that own them now."""
        if any(one.outcome is not None for one in held):
            self._spawn(self._note(held))

    async def _note(self, held: Iterable[_Held]) -> None:
        results = {one.outcome.message_id: one for one in held if one.outcome is not None}
        for one in results.values():
            assert one.outcome is not None
            self._receipts.keep(one.entry.source, one.outcome)
        try:
            await self._receipts.write()
        except PyMongoError as error:  # they will be found without a result: uncertain
            log.warning("results not noted", count=len(results), error=type(error).__name__)
        self._receipts.release(results)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

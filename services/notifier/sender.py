"""The sender: takes due messages from the ledger to the mail server, outside of any turn.

For each message, on one of a bounded set of kept connections: ask the profile API anew,
check consent and address, render, name sender and recipient to the server, mark the ledger
(``Gate``), and only then send the text. So an entry that says "attempting" may have
arrived, and every other one has not. Results go back to the stage as completions.
"""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any, Protocol

import structlog
from faust import Service

from services.notifier.campaigns import Campaigns
from services.notifier.delivery import Delivery, Result, Transport
from services.notifier.gate import Gate, Starts
from services.notifier.model import Entry, Outcome, Recover
from services.notifier.profiles import ProfilesAway
from services.notifier.settings import NotifierSettings
from services.notifier.smtp import Unreachable
from services.runtime import metrics
from services.runtime.backoff import Backoff

log = structlog.get_logger()

_TELL_AGAIN_SECONDS = 5.0
_STOP_SECONDS = 20.0


class Completions(Protocol):
    """The stage's ear."""

    def complete(self, source_id: str, body: Any) -> None:
        """Hand ``body`` to the next turn; forgotten when the source is not owned."""


class SendLedger(Starts, Protocol):
    """What the sender needs of the ledger, outside of turns."""

    async def due(self, sources: Sequence[str], now: datetime, limit: int) -> list[Entry]:
        """Decided and due entries of these sources, the longest due first."""

    async def note(self, outcomes: Sequence[Outcome]) -> None:
        """Keep results that may not reach a turn, for whoever owns their source next."""


class _Held:
    """A message in the sender's hands: until a turn has stored what became of it."""

    __slots__ = ("entry", "outcome", "told")

    def __init__(self, entry: Entry) -> None:
        self.entry = entry
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
        delivery: Delivery,
        completions: Completions,
        owner: str,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._settings = settings
        self._ledger = ledger
        self._delivery = delivery
        self._completions = completions
        self._gate = Gate(ledger, owner)
        self._sources = set[str]()
        self._held = dict[str, _Held]()
        self._queue = deque[_Held]()
        self._more = asyncio.Event()  # something is queued
        self._hungry = asyncio.Event()  # the ledger may hold more than the queue
        self._overflowed = False
        self._tasks = set[asyncio.Task[None]]()
        self._lanes = list[asyncio.Task[None]]()

    # -- what the handler calls ----------------------------------------------------------

    def offer(self, entries: Sequence[Entry]) -> None:
        """Send these now. What does not fit into the queue is found in the ledger later."""
        for entry in entries:
            if entry.message_id in self._held:
                continue
            if len(self._held) >= self._settings.notifier_queue:
                self._overflowed = True
                break
            held = self._held[entry.message_id] = _Held(entry)
            self._queue.append(held)
        if self._queue:
            self._more.set()

    def settled(self, message_ids: Sequence[str]) -> None:
        """A turn has stored what became of these."""
        for id_ in message_ids:
            held = self._held.get(id_)
            if held is not None and held.outcome is not None:
                del self._held[id_]
        if self._overflowed and len(self._held) < self._settings.notifier_queue // 2:
            self._hungry.set()

    def own(self, sources: Sequence[str]) -> None:
        """These sources are ours: look for what waits in them."""
        self._sources.update(sources)
        self._hungry.set()

    def disown(self, sources: Sequence[str]) -> None:
        """Others own these now: begin nothing more of them, and leave them our results."""
        self._sources.difference_update(sources)
        gone = [held for held in self._held.values() if held.entry.source in set(sources)]
        self._spawn_note([held.outcome for held in gone if held.outcome is not None])
        # What a connection works on stays until it is done; `_finish` then notes it.
        queued = {id(held) for held in self._queue}
        for held in gone:
            if held.outcome is not None or id(held) in queued:
                del self._held[held.entry.message_id]
        self._queue = deque(held for held in self._queue if held.entry.source in self._sources)

    @property
    def in_hand(self) -> int:
        """How many messages wait or are being sent."""
        return len(self._held)

    # -- life ----------------------------------------------------------------------------

    async def on_start(self) -> None:
        self._lanes = [
            asyncio.create_task(self._lane()) for _ in range(self._settings.smtp_connections)
        ]
        for loop in (self._gate.run(), self._feed()):
            task = asyncio.create_task(loop)
            self._tasks.add(task)

    async def on_stop(self) -> None:
        """Let the mails in flight finish, then note every result that no turn has stored."""
        self._queue.clear()
        for lane in self._lanes:
            if not self._delivery.busy(lane):
                lane.cancel()
        if self._lanes:
            await asyncio.wait(self._lanes, timeout=_STOP_SECONDS)
        for task in (*self._lanes, *self._tasks):
            task.cancel()
        await asyncio.gather(*self._lanes, *self._tasks, return_exceptions=True)
        unsettled = [held.outcome for held in self._held.values() if held.outcome is not None]
        await self._note(unsettled)
        await self._delivery.close()

"""The last step before DATA, for many messages at once.

Whoever is about to send asks here; requests that arrive while one round trip to the ledger
is under way go together in the next, so the cost a mail falls as the load rises. The answers
to earlier mails are made durable before any mark.
"""

import asyncio
from collections.abc import Sequence
from typing import Protocol

import structlog

from services.notifier.model import Began, Start
from services.notifier.receipts import Receipts
from services.runtime.backoff import Backoff
from services.runtime.mongo import PyMongoError

log = structlog.get_logger()


class Starts(Protocol):
    """What the gate needs of the ledger."""

    async def begin(self, starts: Sequence[Start], owner: str) -> dict[str, Began]:
        """Mark what may go as attempting, by message id; safe to repeat after an error."""


class Gate:
    """Collects ``Start``s; ``run`` is its only loop."""

    def __init__(self, ledger: Starts, receipts: Receipts, owner: str) -> None:
        self._ledger = ledger
        self._receipts = receipts
        self._owner = owner
        self._waiting: list[tuple[Start, asyncio.Future[Began]]] = []
        self._wake = asyncio.Event()

    async def begin(self, start: Start) -> Began:
        """Whether this message may be sent now; ``begun`` is given once an attempt."""
        future = asyncio.get_running_loop().create_future()
        self._waiting.append((start, future))
        self._wake.set()
        began: Began = await future
        return began

    async def run(self) -> None:
        """Serve requests until cancelled. While the ledger is away, nothing begins."""
        backoff = Backoff()
        while True:
            await self._wake.wait()
            self._wake.clear()
            batch, self._waiting = self._waiting, []
            while batch:
                try:
                    await self._receipts.write()
                    began = await self._ledger.begin([start for start, _ in batch], self._owner)
                except PyMongoError as error:
                    log.warning("ledger away", error=type(error).__name__)
                    await asyncio.sleep(backoff.next())
                    continue
                backoff.reset()
                for start, future in batch:
                    if not future.done():
                        future.set_result(began.get(start.entry.message_id, "gone"))
                batch = []

"""An import from the first row to the last acknowledgement."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from typing import Protocol

from services.ingest.history.batches import Batch
from services.ingest.history.model import Refusal
from services.ingest.history.resume import Counts, Ledger, Rejects, State
from services.ingest.history.sending import Verdict


class Outlet(Protocol):
    """Where batches go."""

    async def send(self, batch: Batch) -> Verdict:
        """Return once they are stored for good."""


class Journal:
    """What is noted of each acknowledged batch, in the order of the file."""

    def __init__(self, state: State, ledger: Ledger, rejects: Rejects) -> None:
        self.state = state
        self._ledger = ledger
        self._rejects = rejects
        self.examples: dict[str, list[Refusal]] = {}
        """The first three refusals of each code."""

    @property
    def counts(self) -> Counts:
        return self.state.counts

    def settle(self, batch: Batch, verdict: Verdict) -> None:
        """Everything up to the end of ``batch`` is done."""
        refused = sorted([*batch.refused, *verdict.refused], key=lambda one: one.line)
        self._rejects.write([*refused])
        counts = self.counts
        counts.rows += batch.rows
        counts.skipped += batch.skipped
        counts.accepted += verdict.accepted
        counts.duplicates += verdict.duplicates
        for one in refused:
            counts.refused[one.code] = counts.refused.get(one.code, 0) + 1
            first = self.examples.setdefault(one.code, [])
            if len(first) < 3:
                first.append(one)
        state = self.state
        state.offset, state.line, state.rejects = batch.end, batch.line, self._rejects.size
        self._ledger.note(state)


async def run(
    batches: Iterable[Batch],
    outlet: Outlet,
    journal: Journal,
    *,
    in_flight: int,
    look: Callable[[], None],
) -> None:
    """Send every batch, ``in_flight`` at once, and note each once all before it are done."""
    window: deque[tuple[Batch, asyncio.Task[Verdict]]] = deque()

    async def settle() -> None:
        batch, task = window[0]
        verdict = await task
        window.popleft()
        journal.settle(batch, verdict)
        look()

    try:
        for batch in batches:
            window.append((batch, asyncio.create_task(outlet.send(batch))))
            await asyncio.sleep(0)  # The requests under way go on between two batches.
            while window[0][1].done() or len(window) >= in_flight:
                await settle()
                if not window:
                    break
        while window:
            await settle()
    finally:
        for _, task in window:
            task.cancel()
        await asyncio.gather(*(task for _, task in window), return_exceptions=True)

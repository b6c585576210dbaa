"""Records ahead of the turn: taken from the consumer as they come, also while one is handled.

As long as it holds records that nobody has taken, the consumer asks the broker for no more of
their partition, and then waits for the others' first: as long as the broker may hold back its
answer, where nothing happens in them. So everything is taken at once, whatever is done with it
later; and where no more is wanted for a while, the consumer is held, so that it asks for nothing
at all.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import AbstractContextManager

from services.runtime.ahead import ReadAhead, Reading
from services.runtime.turn import Record

ANSWER_BYTES = 1_000_000
"""The most that one answer of the broker carries: a turn waits while one is unpacked."""

_AHEAD_BYTES = 2 * ANSWER_BYTES
"""Of record values held for later turns: more would wait too long to stay in fast memory."""


class Feed:
    """What ``take`` gives, again and again, in its order. Starts with the first ``fetch``.

    ``held`` is entered while nothing more is to come: as long as too much is waiting, and for
    ``rest_s`` seconds after something came, so that a stage whose output nobody waits for has
    few and large turns; not when so much came that the broker must have more. Whatever waits
    is ``read`` meanwhile.
    """

    def __init__(
        self,
        take: Callable[[], Awaitable[Sequence[Record]]],
        held: Callable[[], AbstractContextManager[None]],
        rest_s: float,
        read: Reading | None = None,
    ) -> None:
        self._take = take
        self._held = held
        self._rest_s = rest_s
        self._taking: asyncio.Task[None] | None = None
        self._records = deque[Record]()
        self._bytes = 0
        self._ahead = None if read is None else ReadAhead(read)
        self._wake = asyncio.Event()
        self._room = asyncio.Event()

    async def fetch(self, limit: int, seconds: float, wake: asyncio.Event) -> list[Record]:
        """Up to ``limit`` records; waits at most ``seconds``, and no longer than ``wake``.

        Waits from a cleared ``wake`` on: what was to be seen before, the caller has seen.
        Raises what ``take`` raised.
        """
        self._wake = wake
        if self._taking is None:
            self._taking = asyncio.ensure_future(self._keep_taking())
            self._taking.add_done_callback(lambda _: self._wake.set())
        if not self._records and not self._taking.done():
            await self._something(seconds)
        if self._taking.done():
            taking, self._taking = self._taking, None
            taking.result()
        records = [self._records.popleft() for _ in range(min(limit, len(self._records)))]
        self._bytes -= _size(records)
        self._still_waiting()
        self._room.set()
        return records

    def forget(self, source_ids: Collection[str]) -> None:
        """Drop the records of these partitions."""
        self._records = deque(r for r in self._records if r.source.id not in source_ids)
        self._bytes = _size(self._records)
        self._still_waiting()

    async def stop(self) -> None:
        """Take no more, and forget what was not fetched."""
        taking, self._taking = self._taking, None
        if taking is not None:
            taking.cancel()
            await asyncio.gather(taking, return_exceptions=True)
        self._records.clear()
        self._bytes = 0
        self._still_waiting()

    async def _keep_taking(self) -> None:
        while True:
            records = await self._take()
            came = _size(records)
            self._records += records
            self._bytes += came
            if not records:
                continue
            self._wake.set()
            if self._ahead is not None:
                self._ahead.came(records)
            rest_s = self._rest_s if came < ANSWER_BYTES // 2 else 0.0
            if rest_s or self._bytes > _AHEAD_BYTES:
                with self._held():
                    await asyncio.sleep(rest_s)
                    while self._bytes > _AHEAD_BYTES:
                        self._room.clear()
                        await self._room.wait()

    def _still_waiting(self) -> None:
        if self._ahead is not None:
            self._ahead.left(len(self._records))

    async def _something(self, seconds: float) -> None:
        """Wait for records, for trouble in taking them, or for whoever else wakes us."""
        self._wake.clear()
        late = asyncio.get_running_loop().call_later(seconds, self._wake.set)
        try:
            await self._wake.wait()
        finally:
            late.cancel()


def _size(records: Collection[Record]) -> int:
    return sum(len(record.value or b"") for record in records)

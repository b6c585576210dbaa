"""Records read before their turn, while the database is at work on an earlier one."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from services.runtime.turn import Record

Reading = Callable[[Record, datetime], Any]
"""``(record, now)`` to what becomes ``record.ahead``: pure, and the same in its turn."""

_AT_A_TIME = 64
"""Records between two looks at what the turn in hand waits for: about a millisecond."""


class ReadAhead:
    """Reads records in their order, a few at a time, as long as they wait for their turn."""

    def __init__(self, read: Reading) -> None:
        self._read = read
        self._unread = deque[Record]()
        self._reading: asyncio.Task[None] | None = None

    @property
    def reading(self) -> bool:
        """Whether there is something to read."""
        return self._reading is not None

    def came(self, records: Iterable[Record]) -> None:
        """These wait now, behind the others."""
        self._unread.extend(records)
        if self._reading is None and self._unread:
            self._reading = asyncio.ensure_future(self._go_on())

    def left(self, count: int) -> None:
        """Only the last ``count`` records still wait."""
        while len(self._unread) > count:
            self._unread.popleft()

    async def _go_on(self) -> None:
        while self._unread:
            now = datetime.now(UTC)
            for _ in range(min(_AT_A_TIME, len(self._unread))):
                record = self._unread.popleft()
                try:  # noqa: SIM105 - costs nothing where nothing fails
                    record.ahead = self._read(record, now)
                except Exception:  # noqa: BLE001, S110 - its turn looks into it
                    pass
            await asyncio.sleep(0)
        self._reading = None

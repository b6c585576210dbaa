"""Records read before their turn, while the database is at work on an earlier one."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from services.runtime.turn import Record

Reading = Callable[[Record, datetime], Any]
"""``(record, now)`` to what becomes ``record.ahead``: pure, and the same in its turn."""

_AT_A_TIME = 64
"""Records between two looks at what the turn in hand waits for: about a millisecond."""


async def read_ahead(records: Sequence[Record], read: Reading) -> None:
    """Have each record read; what fails is left for its turn, where that is looked into."""
    now = datetime.now(UTC)
    for number, record in enumerate(records, 1):
        try:  # noqa: SIM105 - costs nothing where nothing fails
            record.ahead = read(record, now)
        except Exception:  # noqa: BLE001, S110
            pass
        if number % _AT_A_TIME == 0:
            await asyncio.sleep(0)

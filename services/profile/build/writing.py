"""What a turn stores, on its way while the turn goes on: the server works while we fold.

A transaction takes one operation at a time, so there is one write at a time, and whoever
needs the transaction for anything else finishes first.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from services.profile.build.changes import Row

SLICE = 250
"""Rows of one write: large enough to cost no more each, small enough that a turn has some."""


class Writing:
    """Writes rows in slices; ``save`` stores some in the turn's transaction."""

    def __init__(self, save: Callable[[list[Row]], Awaitable[None]]) -> None:
        self._save = save
        self._begun: asyncio.Future[None] | None = None

    async def begin(self, rows: list[Row]) -> None:
        """Take ``rows``, and empty the list, if there are enough of them for a slice."""
        if len(rows) >= SLICE:
            await self.finish()
            self._begun = asyncio.ensure_future(self._save(rows.copy()))
            rows.clear()
            await asyncio.sleep(0)  # It is on its way before anything else is computed.

    async def end(self, rows: list[Row]) -> None:
        """Write what is left; returns when everything is written."""
        await self.finish()
        if rows:
            await self._save(rows)

    async def abandon(self) -> None:
        """Wait for what was begun, whatever becomes of it: the transaction fails anyway."""
        if self._begun is not None:
            await asyncio.wait({self._begun})
            with suppress(BaseException):
                self._begun.result()

    async def finish(self) -> None:
        """Wait until what was begun is written."""
        begun, self._begun = self._begun, None
        if begun is not None:
            await begun

"""Writes down, about twice a second and only when there is something, what was counted and seen.

Nobody who sends events waits for it. A database that is away makes what one reads of a
source older, and loses nothing of its counts.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from services.ingest.sources.activity import Activity, Hour
from services.ingest.sources.directory import Directory
from services.ingest.sources.lens import Lens
from services.ingest.sources.sighting import Sighting
from services.runtime.backoff import Backoff
from services.runtime.mongo import PyMongoError

log = structlog.get_logger()

PAUSE_SECONDS = 0.5
_LOOK_SECONDS = 2.0
"""How often a process asks what is watched through others."""
WATCH = timedelta(minutes=1)
"""How long a source counts as watched after somebody asked for its events."""
_LAST_WRITE_SECONDS = 3.0


class Counts(Protocol):
    """What is needed of the stored counts."""

    async def save(self, hours: Collection[Hour]) -> None: ...


class Sightings(Protocol):
    """What is needed of the stored sightings."""

    async def save(self, sightings: Collection[Sighting]) -> None: ...

    async def watch(self, source: str, until: datetime) -> None: ...

    async def watched(self, at: datetime) -> Mapping[str, datetime]: ...


class Scribe:
    """One process's counts and sightings on their way to the database.

    ``something`` is set when there is anything to write.
    """

    def __init__(
        self,
        activity: Activity,
        lens: Lens,
        directory: Directory,
        *,
        something: asyncio.Event,
        clock: Callable[[], datetime],
        now: Callable[[], float],
    ) -> None:
        self._activity = activity
        self._lens = lens
        self._directory = directory
        self._clock = clock
        self._now = now
        self._something = something
        self._watched: dict[str, datetime] = {}
        self._generation = -1

    async def write(self, counts: Counts, sightings: Sightings) -> None:
        """Write what there is; what cannot be written is kept for the next time, but sightings."""
        self._something.clear()
        self._forget()
        if seen := self._lens.take():
            await sightings.save(seen)
        if hours := self._activity.changed():
            try:
                await counts.save(hours)
            except BaseException:
                self._activity.give_back(hours)
                raise

    async def keep_writing(self, counts: Counts, sightings: Sightings) -> None:
        """Write whenever there is something. Runs until cancelled, and then writes the rest."""
        backoff = Backoff(first=PAUSE_SECONDS)
        try:
            while True:
                await self._something.wait()
                await asyncio.sleep(PAUSE_SECONDS)
                try:
                    await self.write(counts, sightings)
                    backoff.reset()
                except PyMongoError as error:
                    log.warning("activity not stored yet", error=type(error).__name__)
                    self._something.set()
                    await asyncio.sleep(backoff.next())
        finally:
            try:
                async with asyncio.timeout(_LAST_WRITE_SECONDS):
                    await self.write(counts, sightings)
            except (PyMongoError, TimeoutError) as error:
                log.warning("latest activity not stored", error=type(error).__name__)

    async def watch(self, source: str, sightings: Sightings) -> None:
        """Somebody looks at this source: every process shall show its events for a minute."""
        until = self._clock() + WATCH
        self._watched[source] = until
        self._aim()
        await sightings.watch(source, until)

    async def look(self, sightings: Sightings) -> None:
        """Learn what is watched through other processes."""
        self._watched |= await sightings.watched(self._clock())
        self._aim()

    async def keep_looking(self, sightings: Sightings) -> None:
        """Look now and then. Runs until cancelled."""
        while True:
            try:
                await self.look(sightings)
            except PyMongoError as error:
                log.debug("watchers not read", error=type(error).__name__)
            await asyncio.sleep(_LOOK_SECONDS)

    def _aim(self) -> None:
        at = self._clock()
        self._watched = {name: until for name, until in self._watched.items() if until > at}
        now = self._now()
        self._lens.watch(
            {name: now + (until - at).total_seconds() for name, until in self._watched.items()}
        )

    def _forget(self) -> None:
        if self._directory.complete and self._generation != self._directory.generation:
            self._generation = self._directory.generation
            self._activity.keep(self._directory.names())

"""When exchange rates change: which profiles are to be valued anew, partition by partition.

A part of build's turn. What orders are worth is no part of a profile's state but of what is
kept beside it, so that no history need be read: only the profiles that had something to
convert are loaded (at first, all with orders), and those of which the sum differs announced.
"""

from collections.abc import Iterable
from typing import Any, Protocol

from schemas.messages import Definition
from services.profile.commerce.rules.rates import NO_RATES, Table
from services.runtime.turn import Source, Timer, Turn

RATES = "rates"
"""The timer's key."""


class Valued(Protocol):
    """The stored profiles, by the rates that they were valued at."""

    async def valued_otherwise(
        self, partition: int, rates: tuple[str, str], limit: int, session: Any
    ) -> list[str]:
        """Some profiles of a partition whose orders are valued at none of ``rates``, or not yet."""


class Definitions(Protocol):
    """The complete view of ``control.definitions``."""

    current: dict[tuple[str, str], Definition]
    revision: int


class Valuation:
    """The rates in force, and the partitions that have yet to be looked through for them."""

    def __init__(self, profiles: Valued, definitions: Definitions, base: str | None) -> None:
        self.table = NO_RATES
        self._profiles = profiles
        self._definitions = definitions
        self._base = base
        self._revision: int | None = None
        self._owned: dict[str, Source] = {}
        self._unswept: set[str] = set()

    def begin(self, turn: Turn) -> None:
        """Take up rates that have changed, and have every partition looked through."""
        if self._base is None:
            return
        if self._revision != self._definitions.revision:
            self._revision = self._definitions.revision
            table = Table.of(self._base, self._definitions.current)
            if table.fingerprint != self.table.fingerprint:
                self.table = table
                self._unswept |= set(self._owned)
        for source_id in self._unswept:
            turn.set_timer(self._owned[source_id], RATES, turn.now)

    async def take(self, turn: Turn, timer: Timer, limit: int) -> list[str]:
        """The next profiles of the timer's partition; it fires again until there are none."""
        partition, rates = timer.source.partition, (self.table.fingerprint, self.table.plain)
        found = await self._profiles.valued_otherwise(partition, rates, limit, turn.session)
        if found:
            turn.set_timer(timer.source, RATES, turn.now)
        return found

    def began(self, turn: Turn) -> None:
        """The turn is committed: what it asked for is a timer now."""
        self._unswept -= {source_id for source_id, key in turn.timers_set if key == RATES}

    def gained(self, sources: Iterable[Source]) -> None:
        """These partitions are ours: a former owner may have left them unfinished."""
        for source in sources:
            self._owned[source.id] = source
            self._unswept.add(source.id)

    def lost(self, source_ids: Iterable[str]) -> None:
        """These are ours no more."""
        for source_id in source_ids:
            self._owned.pop(source_id, None)
            self._unswept.discard(source_id)

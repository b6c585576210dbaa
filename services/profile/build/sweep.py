"""Sweeps: every profile of a partition is brought up to the definitions in force.

A sweep is a timer of its partition: each firing takes up some profiles that are behind, and
the last one notes that none is. So it survives whatever the stage survives, and whoever owns
the partition next goes on with it. Asking for a rebuild of everything is a definition, too
(``rebuild/all``, whose version rises): it makes every profile one that is behind.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from msgspec import Struct

from schemas.messages import Definition
from services.profile.build.changes import Limits
from services.profile.build.rules.computed import Composition, Traits
from services.profile.build.rules.declared import declared_traits
from services.runtime.turn import Source, Timer, Turn

SWEEP = "sweep"
EVERYTHING = ("rebuild", "all")
"""The definition that asks for a rebuild of every profile."""


class Progress(Struct):
    """What all profiles of a partition have, and what they are being brought to."""

    fingerprint: str
    """Of the definitions that the partition is swept for."""
    generation: int
    done: bool
    has: dict[str, str]
    """Computed trait key -> digest of its definition: whatever the sweep has left to do."""


class Sweeps(Protocol):
    """What is kept of sweeps, in the turn's transaction."""

    async def stale(self, partition: int, fingerprint: str, limit: int, session: Any) -> list[str]:
        """Some profiles of a partition that were computed with other definitions."""

    async def progress(self, source_id: str, session: Any) -> Progress | None:
        """How far the partition is."""

    async def proceed(self, source: Source, progress: Progress, session: Any) -> None:
        """Keep how far the partition is."""

    async def compose(self, composition: Composition, session: Any) -> None:
        """Keep what a fingerprint stands for."""

    async def composition(self, fingerprint: str, session: Any) -> Composition | None:
        """What a fingerprint stands for, if it is known."""


class Definitions(Protocol):
    """The complete view of ``control.definitions``."""

    current: dict[tuple[str, str], Definition]
    revision: int


class Sweep:
    """The definitions in force, and the owned partitions that they have yet to reach."""

    def __init__(
        self, store: Sweeps, definitions: Definitions, limits: Limits, beside: str = ""
    ) -> None:
        self._store = store
        self._beside = beside
        self._definitions = definitions
        self._limits = limits
        self._revision: int | None = None
        self._waiting: set[str] = set()
        self._known: dict[str, Composition | None] = {}
        self.owned: dict[str, Source] = {}
        self.traits = Traits({})
        self.pace = 1.0
        """Which part of its limits a turn uses: less after turns that failed."""

    def is_behind(self) -> bool:
        """Whether definitions changed since the last turn."""
        return self._revision != self._definitions.revision

    async def begin(self, turn: Turn) -> None:
        """Take up the definitions, before anything is folded; ask for the sweeps they need."""
        self._compile()
        for source_id in self._waiting:
            source = self.owned[source_id]
            turn.set_timer(source, SWEEP, turn.now)
            await self._reach(source, turn.session)
        if self._waiting:
            await self._store.compose(self.traits.composition, turn.session)

    def began(self, turn: Turn) -> None:
        """The turn is durable, and so are its timers."""
        self._waiting -= {source_id for source_id, key in turn.timers_set if key == SWEEP}

    async def take(self, turn: Turn, timer: Timer) -> list[str]:
        """The profiles that one firing takes up; with none, the partition is done."""
        source, fingerprint = timer.source, self.traits.fingerprint
        limit = max(1, int(self._limits.swept * self.pace))
        stale = await self._store.stale(source.partition, fingerprint, limit, turn.session)
        if stale:
            turn.set_timer(source, SWEEP, turn.now)
        else:
            done = self._progress(done=True, has=self.traits.composition.digests)
            await self._store.proceed(source, done, turn.session)
        return stale

    async def composition(self, fingerprint: str, session: Any) -> Composition | None:
        """What a profile with this fingerprint was computed with."""
        if fingerprint not in self._known:
            self._known[fingerprint] = await self._store.composition(fingerprint, session)
        return self._known[fingerprint]

    def gained(self, sources: Sequence[Source]) -> None:
        """Look for profiles that a former owner had not brought up to date."""
        self.owned |= {source.id: source for source in sources}
        self._waiting |= {source.id for source in sources}

    def lost(self, source_ids: set[str]) -> None:
        """These partitions are somebody else's."""
        self._waiting -= source_ids
        for id_ in source_ids:
            self.owned.pop(id_, None)

    def _compile(self) -> None:
        if not self.is_behind():
            return
        self._revision = self._definitions.revision
        current = self._definitions.current
        everything = current.get(EVERYTHING)
        generation = 0 if everything is None else everything.version
        traits = declared_traits(current.values(), self._beside, generation)
        if traits.fingerprint != self.traits.fingerprint:
            self.traits = traits
            self._known.clear()
            self._waiting |= set(self.owned)

    async def _reach(self, source: Source, session: Any) -> None:
        """From this turn on profiles may lose what is not defined any more."""
        known = await self._store.progress(source.id, session)
        if known is not None and known.fingerprint == self.traits.fingerprint:
            return
        has: Mapping[str, str] = {} if known is None else known.has
        wanted = self.traits.composition.digests
        both = {key: digest for key, digest in has.items() if wanted.get(key) == digest}
        await self._store.proceed(source, self._progress(done=False, has=both), session)

    def _progress(self, *, done: bool, has: Mapping[str, str]) -> Progress:
        made = self.traits.composition
        return Progress(made.fingerprint, made.generation, done, dict(has))

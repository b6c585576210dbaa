"""Sweeps: every profile of a partition is brought up to the definitions in force.

A sweep is a timer of its partition: each firing takes up the next profiles by their id, those
that are behind, and the last one notes that none is. How far it came is stored with what it did,
so it survives whatever the stage survives, and whoever owns the partition next goes on with it.
Asking for a rebuild of everything is a definition, too (``rebuild/all``, whose version rises): it
makes every profile one that is behind.
"""

from collections.abc import Collection, Mapping, Sequence
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
    cursor: str = ""
    """The last profile id that it has taken up: no profile up to it is behind."""


class Sweeps(Protocol):
    """What is kept of sweeps, in the turn's transaction."""

    async def stale(
        self, partition: int, behind: tuple[str, str], limit: int, session: Any
    ) -> tuple[list[str], str]:
        """Profiles of a partition computed with other definitions, and the id that is reached.

        ``behind`` is the fingerprint of the definitions, and the id after which to look. Up to
        ``limit`` by id, none left out; few or none, and an id, where many are up to date; none
        and the empty string at the end.
        """

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
        self._begun: set[str] = set()
        self._taken: dict[str, tuple[Progress, list[str]]] = {}
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
        self._taken.clear()
        self._begun = set(self._waiting)
        for source_id in self._begun:
            source = self.owned[source_id]
            if await self._reach(source, turn.session):
                turn.set_timer(source, SWEEP, turn.now)
        if self._begun:
            await self._store.compose(self.traits.composition, turn.session)

    def began(self, turn: Turn) -> None:
        """The turn is durable, and so is what ``begin`` said."""
        self._waiting -= self._begun
        self._begun = set()

    async def take(self, turn: Turn, timer: Timer) -> list[str]:
        """The profiles that one firing takes up; with none, the partition is done."""
        source, fingerprint = timer.source, self.traits.fingerprint
        before = await self._store.progress(source.id, turn.session)
        if before is None or before.done:
            return []
        limit = max(1, int(self._limits.swept * self.pace))
        behind = fingerprint, before.cursor
        stale, cursor = await self._store.stale(source.partition, behind, limit, turn.session)
        if cursor:
            turn.set_timer(source, SWEEP, turn.now)
            reached = self._progress(done=False, has=before.has, cursor=cursor)
            self._taken[source.id] = before, stale
        else:
            reached = self._progress(done=True, has=self.traits.composition.digests)
        await self._store.proceed(source, reached, turn.session)
        return stale

    async def left(self, turn: Turn, source: Source, profile_ids: Collection[str]) -> None:
        """These have to wait, of those that were taken up: the next firing goes on with them."""
        before, stale = self._taken[source.id]
        first = stale.index(min(profile_ids))
        cursor = stale[first - 1] if first else before.cursor
        reached = self._progress(done=False, has=before.has, cursor=cursor)
        await self._store.proceed(source, reached, turn.session)

    def takes(self, source: Source, profile_id: str) -> bool:
        """Whether this turn has taken a profile up because it is behind."""
        return source.id in self._taken and profile_id in self._taken[source.id][1]

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

    async def _reach(self, source: Source, session: Any) -> bool:
        """From this turn on profiles may lose what is not defined any more.

        Whether there is anything to sweep.
        """
        known = await self._store.progress(source.id, session)
        if known is not None and known.fingerprint == self.traits.fingerprint:
            return not known.done
        has: Mapping[str, str] = {} if known is None else known.has
        wanted = self.traits.composition.digests
        both = {key: digest for key, digest in has.items() if wanted.get(key) == digest}
        await self._store.proceed(source, self._progress(done=False, has=both), session)
        return True

    def _progress(self, *, done: bool, has: Mapping[str, str], cursor: str = "") -> Progress:
        made = self.traits.composition
        return Progress(made.fingerprint, made.generation, done, dict(has), cursor)

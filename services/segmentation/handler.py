"""The worker's decisions: from profiles, time and definitions to ``segment.changes``.

Stands between the stage, which gives it ``profile.changes`` and due timers, and the store.
When definitions change, each partition is swept over its own copy of the latest profiles,
a chunk a turn, by a timer; until the sweep has come to a person, whoever touches them
applies the definitions first, so everybody is judged by the definitions in force.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

from schemas.messages import Definition
from services.runtime.cache import Cache
from services.runtime.turn import Record, Source, Timer, Turn
from services.segmentation.model import UNFIT, Change, Progress, Standing, decode_change, micros
from services.segmentation.rules.plan import Plan, plan_of
from services.segmentation.rules.standing import (
    Occasion,
    advance,
    decide,
    decide_timed,
    leave_all,
)
from services.segmentation.work import FLIP, Saved, Work

GROUP = "segmentation"
TOPICS = ("profile.changes",)
KINDS = ("segment", "readiness")
SWEEP = "sweep/definitions"
"""The timer of a partition's sweep."""


class Definitions(Protocol):
    """The definitions in force."""

    current: dict[tuple[str, str], Definition]
    revision: int


class Store(Protocol):
    """What the handler needs kept; ``session`` is the turn's transaction."""

    async def standings(self, session: Any, profile_ids: Collection[str]) -> dict[str, Standing]:
        """How these people stand, of those that are known."""

    async def following(
        self, session: Any, partition: int, cursor: str, limit: int
    ) -> list[Standing]:
        """The next ``limit`` people of the partition, by profile id, after ``cursor``."""

    async def progress(self, session: Any, source_ids: Collection[str]) -> dict[str, Progress]:
        """How far these partitions have applied definitions, of those that ever did."""

    async def save(self, session: Any, saved: Saved) -> None:
        """Store everything that one turn changed."""


class SegmentationHandler:
    """Judges each person by each segment (``services.runtime.turn.Handler``)."""

    def __init__(
        self, store: Store, definitions: Definitions, *, cached: int = 20_000, chunk: int = 500
    ) -> None:
        self._store = store
        self._definitions = definitions
        self._people = Cache[Standing](cached)
        self._chunk = chunk
        self._owned: set[str] = set()
        self._progress: dict[str, Progress] = {}
        self._plan = Plan([])
        self._revision = -1

    # -- the stage's calls ---------------------------------------------------------------

    async def handle(self, turn: Turn) -> None:
        """Fold the turn's profiles, then what time changes, then one chunk of each sweep."""
        work = Work(turn)
        sources, begun = await self._follow(turn)
        changes = _changes(turn)
        flips = [timer for timer in turn.timers if timer.key.startswith(FLIP)]
        wanted = {_profile_id(record): record.source for record, _ in changes}
        wanted.update((timer.key.removeprefix(FLIP), timer.source) for timer in flips)
        await self._bring(turn, work, wanted)
        for record, change in changes:
            self._fold(turn, work, record, change)
        for timer in flips:
            self._flip(turn, work, timer)
        for timer in turn.timers:
            if timer.key == SWEEP:
                await self._sweep(turn, work, timer.source)
        saved = work.finish()
        saved.progress = {id_: self._progress[id_] for id_ in sources}
        saved.heard = dict.fromkeys(begun, self._plan.heard()) if begun else {}
        await self._store.save(turn.session, saved)
        self._people.shrink()

    async def committed(self, turn: Turn) -> None:
        """Nothing happens outside."""

    async def assigned(self, sources: Sequence[Source]) -> None:
        """What they have applied is read with their first turn (``behind``)."""
        self._owned.update(source.id for source in sources)

    def lost(self, sources: Sequence[Source] | None) -> None:
        """Forget the people of these partitions, or everyone."""
        if sources is None:
            self._people.lost(None)
            self._progress.clear()
            return
        gone = {source.id for source in sources}
        self._people.lost(gone)
        self._owned -= gone
        for id_ in gone:
            self._progress.pop(id_, None)

    def behind(self) -> list[str]:
        """The owned partitions that have to look at the definitions: each needs a turn.

        May be called while a turn is under way, so it leaves the plan as it is.
        """
        if self._revision != self._definitions.revision:
            return sorted(self._owned)
        fingerprint = self._plan.fingerprint
        return [
            id_
            for id_ in sorted(self._owned)
            if id_ not in self._progress or self._progress[id_].fingerprint != fingerprint
        ]

    # -- definitions ---------------------------------------------------------------------

    def _current(self) -> Plan:
        """The plan of the definitions in force; it stays the same for the rest of a turn."""
        if self._revision != self._definitions.revision:
            self._revision = self._definitions.revision
            self._plan = plan_of(self._definitions.current.values(), self._plan.compiled)
        return self._plan

    async def _follow(self, turn: Turn) -> tuple[set[str], list[str]]:
        """Begin the sweep of every partition of the turn that is behind.

        Answers with the source ids whose progress the turn changes, and those that it begins.
        """
        plan = self._current()
        inputs = [item.source for item in turn.records]
        inputs += [item.source for item in turn.timers]
        inputs += [item.source for item in turn.completions]
        sources = {source.id: source for source in inputs}
        unknown = [id_ for id_ in sources if id_ not in self._progress]
        if unknown:
            known = await self._store.progress(turn.session, unknown)
            self._progress.update((id_, known.get(id_, Progress())) for id_ in unknown)
        changed = {timer.source.id for timer in turn.timers if timer.key == SWEEP}
        begun = []
        for id_, source in sources.items():
            if self._progress[id_].fingerprint != plan.fingerprint:
                self._progress[id_] = Progress(fingerprint=plan.fingerprint)
                turn.set_timer(source, SWEEP, turn.now)
                changed.add(id_)
                begun.append(id_)
        return changed, begun

    async def _sweep(self, turn: Turn, work: Work, source: Source) -> None:
        """Apply the definitions to the next people of the partition."""
        plan, progress = self._plan, self._progress[source.id]
        found = await self._store.following(
            turn.session, source.partition, progress.cursor, self._chunk
        )
        now = micros(turn.now)
        for stored in found:
            id_ = stored.profile_id
            if work.gone(id_):
                continue
            # Whom this turn has touched, or the cache knows, is newer than what is stored.
            standing = work.standing(id_) or self._people.get(id_) or stored
            if standing.applied != plan.fingerprint:
                work.touch(source, standing)
                work.emit(source, decide(standing, plan, Occasion(now, now, "definition")))
        done = len(found) < self._chunk
        cursor = found[-1].profile_id if found else progress.cursor
        self._progress[source.id] = Progress(fingerprint=plan.fingerprint, cursor=cursor, done=done)
        if not done:
            turn.set_timer(source, SWEEP, turn.now)
        else:
            turn.cancel_timer(source, SWEEP)

    # -- people --------------------------------------------------------------------------

    async def _bring(self, turn: Turn, work: Work, wanted: Mapping[str, Source]) -> None:
        """Have the ``wanted`` people at hand, new ones with nothing known of them."""
        people = {profile_id: self._people.get(profile_id) for profile_id in wanted}
        missing = [profile_id for profile_id, known in people.items() if known is None]
        if missing:
            people.update(await self._store.standings(turn.session, missing))
        for profile_id, source in wanted.items():
            standing = people[profile_id] or Standing(profile_id=profile_id)
            if self._swept(source, profile_id):
                standing.applied = self._plan.fingerprint
            work.touch(source, standing)
            self._people.put(source.id, profile_id, standing)

    def _swept(self, source: Source, profile_id: str) -> bool:
        progress = self._progress[source.id]
        return progress.done or profile_id <= progress.cursor

    def _fold(self, turn: Turn, work: Work, record: Record, change: Change | None) -> None:
        standing = work.standing(_profile_id(record)) or Standing(profile_id=_profile_id(record))
        if change is None:
            now = micros(turn.now)
            work.emit(record.source, leave_all(standing, Occasion(now, now, "event")))
            work.forgotten(standing)
            self._people.evict(standing.profile_id)
        elif change.version <= standing.version:
            turn.drop("older_version")
        else:
            changes = advance(standing, change, self._plan, micros(turn.now))
            work.emit(record.source, changes)
            work.learned(standing, record.value if change.profile is not None else None)
            self._people.put(record.source.id, standing.profile_id, standing)

    def _flip(self, turn: Turn, work: Work, timer: Timer) -> None:
        """Time may have changed what the person is in."""
        standing = work.standing(timer.key.removeprefix(FLIP))
        if standing is None:
            return
        work.fired(standing)
        now = max(micros(turn.now), micros(timer.due_at))
        if standing.flip is None or standing.flip > now:
            return  # a record of this turn has looked already
        occasion = Occasion(now, standing.flip, "time")
        if standing.applied == self._plan.fingerprint:
            changes = decide_timed(standing, self._plan, occasion)
        else:
            changes = decide(standing, self._plan, Occasion(now, now, "definition"))
        work.emit(timer.source, changes)


def _changes(turn: Turn) -> list[tuple[Record, Change | None]]:
    """The records that fit, decoded; None for a person who is to be forgotten."""
    changes: list[tuple[Record, Change | None]] = []
    for record in turn.records:
        change = None
        if record.value is not None:
            try:
                change = decode_change(record.value)
            except UNFIT as error:
                turn.reject(record, "invalid", str(error))
                continue
            if change.profile is None and change.merged_into is None:
                turn.reject(record, "incomplete", "neither a profile nor where it went")
                continue
        profile_id = _profile_id(record)
        if not profile_id or (change is not None and change.profile_id != profile_id):
            turn.reject(record, "wrong_key", "the key is not the profile_id")
            continue
        changes.append((record, change))
    return changes


def _profile_id(record: Record) -> str:
    return (record.key or b"").decode("utf-8", "replace")

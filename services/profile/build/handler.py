"""What one turn of build does: fold, follow merges, rebuild what is behind, announce.

Between ``profile.interactions`` and ``profile.changes``. Records of a profile are folded
into its state, or the profile is rebuilt from resolve's store: when it absorbed another
one, and when computed traits were declared that it was not computed with. One change is
announced for each profile and turn.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

import msgspec

from schemas.messages import IdentityRearranged
from services.profile.build.changes import Changes, Limits, Row
from services.profile.build.covering import forget_vector, not_covered, opened
from services.profile.build.inbox import Work, works_of
from services.profile.build.kept import Kept
from services.profile.build.packed import Packed
from services.profile.build.rebuild import History
from services.profile.build.renewal import REBUILD, Compositions, Renewal
from services.profile.build.rules.before import Earlier
from services.profile.build.rules.computed import carry
from services.profile.build.rules.consent import OPEN, Policy
from services.profile.build.rules.fold import fold
from services.profile.build.sweep import SWEEP, Definitions, Sweep, Sweeps
from services.profile.build.writing import SLICE, Writing
from services.profile.commerce.valuation import RATES, Valuation, Valued
from services.runtime import metrics
from services.runtime.cache import Cache
from services.runtime.turn import Source, Turn

NAME = "profile-build"
TOPICS = ("profile.interactions",)

_rearranged = msgspec.json.Decoder(IdentityRearranged).decode


class Profiles(Sweeps, Valued, Protocol):
    """The stored states, read and written in the turn's transaction."""

    async def load(self, profile_ids: list[str], session: Any) -> dict[str, Kept]:
        """The states that exist, by profile id."""

    async def save(self, rows: list[Row], session: Any) -> None:
        """Write states, whether they existed or not."""


class Build:
    """The handler of the stage ``profile-build``."""

    def __init__(
        self,
        profiles: Profiles,
        history: History,
        definitions: Definitions,
        limits: Limits | None = None,
        *,
        policy: Policy = OPEN,
        base_currency: str | None = None,
    ) -> None:
        self._valuation = Valuation(profiles, definitions, base_currency)
        self._profiles = profiles
        self._history = history
        self._limits = limits or Limits()
        self._policy = policy
        self._cache = Cache[Packed](self._limits.cached)
        self.sweep = Sweep(profiles, definitions, self._limits, str(policy))
        self._renewal = Renewal(history, self.sweep, self._limits)
        self._recomputed = Counter[str]()
        self.wake: Callable[[str, Any], None] = lambda source_id, body: None
        """Asks the stage for a turn of a partition that may be idle."""

    # -- the stage's side --------------------------------------------------------------------

    async def handle(self, turn: Turn) -> None:
        """One turn, as the module says."""
        session = turn.session  # Not the turn: it holds what is to be written, by and by.
        writing = Writing(lambda rows: self._profiles.save(rows, session))
        try:
            await self._handle(turn, writing)
        except BaseException:
            await writing.abandon()
            raise

    async def _handle(self, turn: Turn, writing: Writing) -> None:
        self._recomputed.clear()
        await self.sweep.begin(turn)
        self._valuation.begin(turn)
        works = works_of(turn)
        await self._take_timers(turn, works)
        known = await self._load(works, turn.session)
        traits, rates = self.sweep.traits, self._valuation.table
        changes = Changes(turn, traits, self._cache, self._limits, policy=self._policy, rates=rates)
        fates = await self._fates(works, turn.session)
        befores = await self._compositions(known, turn.session)
        olds: dict[str, Kept] = {}
        for profile_id, work in works.items():
            held = known.pop(profile_id, None)
            kept = held.opened() if isinstance(held, Packed) else held
            if profile_id in fates:
                # What resolve has stored holds: messages of two of its partitions may cross.
                into = fates[profile_id]
                if into is not None:
                    changes.close(profile_id, work, kept or Kept(), into)
                else:
                    work.rebuild = True
                    olds[profile_id] = opened(work, kept)
            elif kept is not None and kept.into is not None:
                changes.follow(work, kept.into)
            elif work.absorbed or work.rebuild:
                olds[profile_id] = kept or Kept()
            elif kept is not None and kept.too_large and work.said:
                changes.refuse(work)
            elif kept is not None and kept.fingerprint != traits.fingerprint:
                if not self._carried(turn, profile_id, (work, kept, befores), changes):
                    olds[profile_id] = kept
            elif work.said:
                kept = kept or Kept(fingerprint=traits.fingerprint)
                self._fold(turn, profile_id, (work, kept), changes)
            elif kept is not None and work.revalue:
                changes.revalue(profile_id, work, kept)
            if len(changes.rows) >= SLICE:
                await writing.begin(changes.rows)
        if olds:
            await writing.finish()  # What follows reads, and so needs the transaction.
            fresh = await self._renewal.rebuilt(turn, works, olds)
            for profile_id, kept in fresh.items():
                person = works[profile_id], olds[profile_id], kept
                self._renewal.renew(profile_id, person, befores, changes)
                await writing.begin(changes.rows)
            self._recomputed["rebuilt"] = len(fresh) - changes.left
            self._recomputed["left"] = changes.left
        await writing.finish()
        turn.write(partial(writing.end, changes.rows))  # while the stage encodes the outbox

    async def committed(self, turn: Turn) -> None:
        """The sweeps that were asked for are now timers."""
        self._cache.shrink()
        self.sweep.pace = min(1.0, self.sweep.pace * 1.25)
        self.sweep.began(turn)
        self._valuation.began(turn)
        for way, count in self._recomputed.items():
            metrics.PROFILES_RECOMPUTED.labels(way).inc(count)

    async def assigned(self, sources: Sequence[Source]) -> None:
        """Look for profiles that a former owner had not brought up to date."""
        self.sweep.gained(sources)
        self._valuation.gained(sources)
        for source in sources:
            self.wake(source.id, SWEEP)

    def lost(self, sources: Sequence[Source] | None) -> None:
        """Forget the states of these partitions."""
        if sources is None:
            self._cache.lost(None)
            # The stage takes fewer records next time; what a timer brings is ours to limit.
            self.sweep.pace = max(self.sweep.pace / 2, 0.001)
            return
        ids = {source.id for source in sources}
        self._cache.lost(ids)
        self.sweep.lost(ids)
        self._valuation.lost(ids)

    def ask_for_turns(self) -> None:
        """Have every owned partition look whether it must be swept, without waiting."""
        for source_id in self.sweep.owned:
            self.wake(source_id, SWEEP)

    # -- what to do --------------------------------------------------------------------------

    async def _take_timers(self, turn: Turn, works: dict[str, Work]) -> None:
        for timer in turn.timers:
            if timer.key.startswith(REBUILD):
                profile_id = timer.key.removeprefix(REBUILD)
                work = works.setdefault(profile_id, Work(timer.source))
                work.rebuild = True
                if timer.body and work.rearranged is None:
                    work.rearranged = _rearranged(timer.body)
            elif timer.key == SWEEP:
                for profile_id in await self.sweep.take(turn, timer):
                    works.setdefault(profile_id, Work(timer.source))
            elif timer.key == RATES:
                limit = max(1, int(self._limits.swept * self.sweep.pace))
                for profile_id in await self._valuation.take(turn, timer, limit):
                    works.setdefault(profile_id, Work(timer.source)).revalue = True

    async def _load(self, works: Mapping[str, Work], session: Any) -> dict[str, Kept | Packed]:
        known: dict[str, Kept | Packed] = {}
        missing: list[str] = []
        for profile_id in works:
            held = self._cache.get(profile_id)
            if held is None:
                missing.append(profile_id)
            else:
                known[profile_id] = held
        if missing:
            known.update(await self._profiles.load(missing, session))
        return known

    async def _fates(self, works: Mapping[str, Work], session: Any) -> dict[str, str | None]:
        """Where the profiles went of which anything was said."""
        asked = [profile_id for profile_id, work in works.items() if work.identity]
        if not asked:
            return {}
        fates = await self._history.fates(asked, session)
        return {id_: fates[id_][0] if id_ in fates else None for id_ in asked}

    async def _compositions(self, known: Mapping[str, Kept | Packed], session: Any) -> Compositions:
        """What the profiles were computed with, by fingerprint."""
        now = self.sweep.traits.composition
        others = {held.fingerprint for held in known.values()}
        others.discard(now.fingerprint)
        befores = {one: await self.sweep.composition(one, session) for one in others}
        return {**befores, now.fingerprint: now}

    def _carried(
        self,
        turn: Turn,
        profile_id: str,
        person: tuple[Work, Kept, Compositions],
        changes: Changes,
    ) -> bool:
        """Bring a profile up to the definitions without its history, if that can be."""
        work, kept, befores = person
        before = befores[kept.fingerprint]
        keys = None if before is None else carry(kept.state, before, self.sweep.traits)
        if keys is None:
            return False
        kept.fingerprint = self.sweep.traits.fingerprint
        self._recomputed["carried"] += 1
        names = {f"computed.{key}" for key in keys}
        self._fold(turn, profile_id, (work, kept), changes, names)
        return True

    def _fold(
        self,
        turn: Turn,
        profile_id: str,
        person: tuple[Work, Kept],
        changes: Changes,
        carried: set[str] | None = None,
    ) -> None:
        """``carried`` are the names of what new definitions alone have changed."""
        work, kept = person
        said = not_covered(work, kept)
        if len(said) < len(work.said):
            turn.drop("rebuilt_already", len(work.said) - len(said))
        if not said and carried is None:
            return
        touched = carried or set()
        traits, state = self.sweep.traits, kept.state
        if kept.version:
            work.earlier = earlier = Earlier(kept)
            if carried:
                earlier.renewed = {name.removeprefix("computed.") for name in carried}
            earlier.foresee(kept, said, traits)
        imported = state.imported
        for interaction in said:
            fold(state, interaction, traits, touched)
        work.history = carried is None and state.imported - imported == len(said)
        if kept.vector:
            forget_vector(work.source, kept)
        changes.announce(profile_id, work, kept, touched)

"""Profiles that a turn computes again: which of them now, and what of each is news.

A part of build's turn, beside ``rebuild``, which reads their history.
"""

from collections import defaultdict
from collections.abc import Mapping

import msgspec

from services.profile.build.changes import Changes, Limits
from services.profile.build.covering import is_history, not_covered
from services.profile.build.inbox import Work
from services.profile.build.joining import joins
from services.profile.build.kept import Kept
from services.profile.build.rebuild import History, rebuild
from services.profile.build.rules.before import Earlier
from services.profile.build.rules.computed import Composition
from services.profile.build.rules.consent import grants_of
from services.profile.build.rules.fold import fold
from services.profile.build.rules.view import differences
from services.profile.build.sweep import Sweep
from services.runtime.turn import Source, Turn

REBUILD = "rebuild/"
"""What the timer's key of a profile begins with that is left to a later turn."""

Compositions = Mapping[str, Composition | None]
"""By fingerprint; None where nobody knows what it stands for."""


class Renewal:
    """Computes profiles again, as many as a turn may hold."""

    def __init__(self, history: History, sweep: Sweep, limits: Limits) -> None:
        self._history = history
        self._sweep = sweep
        self._limits = limits

    async def rebuilt(
        self, turn: Turn, works: Mapping[str, Work], olds: Mapping[str, Kept]
    ) -> dict[str, Kept]:
        """Those of ``olds`` that this turn computes again, anew; the others get a timer."""
        taken, left = self._within_budget(turn, works, olds)
        for source, profile_ids in left.items():
            await self._sweep.left(turn, source, profile_ids)
        traits = self._sweep.traits
        joining = {id_ for id_, old in taken.items() if joins(works[id_], old, traits.fingerprint)}
        return await rebuild(self._history, taken, traits, turn.session, joining)

    def renew(
        self,
        profile_id: str,
        person: tuple[Work, Kept, Kept],
        befores: Compositions,
        changes: Changes,
    ) -> None:
        """Put the new state of a profile in place of the old one."""
        work, old, kept = person
        for interaction in not_covered(work, kept):
            fold(kept.state, interaction, self._sweep.traits, set())
        had = befores.get(old.fingerprint)
        renewed = self._renewed(had)
        touched = differences(old.state, kept.state, self._newly(renewed, old, kept))
        if had is None or had.beside != self._sweep.traits.composition.beside:
            touched |= grants_of(kept.state)
        if old.members != kept.members:
            touched.add("merged_from")
        if old.unread:
            # Nobody knows what differs. Who has the version before this one shall see a gap.
            kept.version += bool(touched)
        elif old.version:
            work.earlier = Earlier(old)
            work.earlier.whole, work.earlier.renewed = old.state, renewed
        work.history = is_history(work, old, kept)
        if not changes.announce(profile_id, work, kept, touched):
            changes.leave(profile_id, work, old, kept.fingerprint)

    def _renewed(self, had: Composition | None) -> set[str]:
        """The computed traits that are another, new or gone since a profile was ``had``."""
        digests = {} if had is None else had.digests
        wanted = self._sweep.traits.composition.digests
        return {key for key in digests.keys() | wanted if digests.get(key) != wanted.get(key)}

    def _newly(self, renewed: set[str], old: Kept, new: Kept) -> tuple[str, ...]:
        """The computed traits that differ, or that the profile did not have, or has no more."""
        before, after = old.state.computed, new.state.computed
        keys = self._sweep.traits.composition.digests.keys() | renewed | before.keys()
        return tuple(key for key in keys if key in renewed or before.get(key) != after.get(key))

    def _within_budget(
        self, turn: Turn, works: Mapping[str, Work], olds: Mapping[str, Kept]
    ) -> tuple[dict[str, Kept], dict[Source, list[str]]]:
        """Those to rebuild now, and by partition those that are left to its sweep.

        Of the others each gets a timer. Their records need not be kept: they are in resolve's
        store.
        """
        budget, taken = self._limits.rebuilt * self._sweep.pace, dict[str, Kept]()
        left = defaultdict[Source, list[str]](list)
        for profile_id, kept in sorted(olds.items(), key=lambda item: not works[item[0]].absorbed):
            if budget > 0:
                taken[profile_id] = kept
                some = self._limits.rebuilt / self._limits.swept
                budget -= some if kept.unread else kept.state.interactions + 1
                continue
            work = works[profile_id]
            if work.absorbed or work.rebuild or work.said:
                body = msgspec.json.encode(work.rearranged) if work.rearranged else b""
                turn.set_timer(work.source, REBUILD + profile_id, turn.now, body)
                turn.drop("left_to_rebuild", len(work.said))
            if self._sweep.takes(work.source, profile_id):
                left[work.source].append(profile_id)  # Also with a timer: it is not done before.
        return taken, left

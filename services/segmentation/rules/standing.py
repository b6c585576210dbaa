"""One person's memberships, folded: each change of profile, time or definitions.

``entered`` and ``exited`` alternate for each person and segment, and occurrences are
counted for as long as the person is known. A standing is changed in place; what follows is
returned, for ``segment.changes``.
"""

from collections.abc import Iterable
from typing import Any

from msgspec import Struct

from schemas.messages import Reason, SegmentChanged
from services.segmentation.model import (
    Change,
    Left,
    Membership,
    Person,
    Standing,
    instant,
    micros,
)
from services.segmentation.rules.compile import CompiledSegment, reasons
from services.segmentation.rules.moment import Moment
from services.segmentation.rules.plan import Plan


class Occasion(Struct, frozen=True):
    """Why and when memberships are decided."""

    now: int
    """The instant that the rules are asked about."""
    at: int
    """The instant that a change is dated with: the event's, the timer's."""
    cause: str
    history: bool = False
    """Nothing but imported history is behind it."""


def advance(standing: Standing, change: Change, plan: Plan, now: int) -> list[SegmentChanged]:
    """Fold a newer version of the profile.

    If the standing is not that of ``plan``, what the definitions change comes first, on the
    person as known before, so that each change has its own cause.
    """
    at = min(micros(change.cause.at), now)
    succeeds = change.version == standing.version + 1
    # What lay in a gap may have been live.
    history = change.cause.history and succeeds
    if change.profile is None:
        standing.version, standing.into = change.version, change.merged_into
        return leave_all(standing, Occasion(now, at, "merge", history))
    follows = standing.read() is not None and succeeds
    changes = []
    if standing.person is not None and standing.applied != plan.fingerprint:
        changes = decide(standing, plan, Occasion(now, now, "definition"))
    elif history and standing.flip is not None and standing.flip <= now:
        # Time has come before the history did, and what it brings is no history.
        changes = decide_timed(standing, plan, Occasion(now, standing.flip, "time"))
    occasion = Occasion(now, at, _cause(standing, change), history)
    standing.version, standing.merged_from = change.version, change.merged_from
    standing.person, standing.into = change.profile, None
    # After a gap (compaction keeps the latest only) `changed` does not tell everything.
    if follows:
        return changes + decide_touched(standing, plan, change.changed, occasion)
    return changes + decide(standing, plan, occasion)


def _cause(standing: Standing, change: Change) -> str:
    if not change.cause.message_id:
        return "definition"  # a computed trait was declared: no message is behind it
    return "event" if change.merged_from == standing.merged_from else "merge"


def decide(standing: Standing, plan: Plan, occasion: Occasion) -> list[SegmentChanged]:
    """Ask every segment about the person; those that are no more are left."""
    gone = [key for key in standing.members if key not in plan.compiled]
    changes = [_exit(standing, key, occasion) for key in gone]
    person = standing.read()
    if person is None:
        return changes + leave_all(standing, occasion)
    standing.undecided, standing.flip = (), None
    changes += _ask(standing, plan.segments.values(), person, occasion)
    standing.applied = plan.fingerprint
    return changes


def decide_touched(
    standing: Standing, plan: Plan, changed: Iterable[str], occasion: Occasion
) -> list[SegmentChanged]:
    """Ask only what ``changed`` can touch; right when the standing is that of ``plan``.

    The instant of the next flip is kept where an earlier one is known: it may have been
    that of a segment asked now, and is then looked at once in vain.
    """
    person = standing.read()
    if person is None or (standing.flip is not None and standing.flip <= occasion.now):
        return decide(standing, plan, occasion)
    segments = plan.touched(changed, standing.undecided)
    standing.undecided = ()  # all of them are among the touched
    return _ask(standing, segments, person, occasion)


def decide_timed(standing: Standing, plan: Plan, occasion: Occasion) -> list[SegmentChanged]:
    """Ask what time alone can change; right when the standing is that of ``plan``."""
    person = standing.read()
    if person is None:
        return []
    waiting = {segment.key for segment in plan.timed}
    standing.undecided = tuple(key for key in standing.undecided if key not in waiting)
    standing.flip = None
    return _ask(standing, plan.timed, person, occasion)


def leave_all(standing: Standing, occasion: Occasion) -> list[SegmentChanged]:
    """The person is no more: leave every segment, and wait for nothing."""
    standing.read()  # for its former ids
    changes = [_exit(standing, key, occasion) for key in sorted(standing.members)]
    standing.person, standing.body = None, None
    standing.undecided, standing.flip = (), None
    return changes


def _ask(
    standing: Standing, segments: Iterable[CompiledSegment], person: Person, occasion: Occasion
) -> list[SegmentChanged]:
    moment = Moment(person, occasion.now)
    members, flip = standing.members, standing.flip
    undecided: list[str] = []
    changes = []
    for segment in segments:
        rule = segment.rule
        member = rule.holds(moment)
        if rule.flip is not None:
            at = rule.flip(moment)
            if at is not None and (flip is None or at < flip):
                flip = at
        if member is None:
            undecided.append(segment.key)
        elif member != (segment.key in members):
            why = reasons(segment, person, occasion.now)
            if member:
                changes.append(_enter(standing, segment, occasion, why))
            else:
                changes.append(_exit(standing, segment.key, occasion, (segment.version, why)))
    standing.flip = flip
    if undecided:
        standing.undecided = tuple(sorted({*standing.undecided, *undecided}))
    return changes


def _enter(
    standing: Standing, segment: CompiledSegment, occasion: Occasion, why: list[Reason]
) -> SegmentChanged:
    left = standing.past.pop(segment.key, Left(0, occasion.at))
    # A late event must not date a change before the one that it follows.
    since = max(occasion.at, left.at)
    membership = Membership(
        segment=segment.key,
        since=since,
        occurrence=left.occurrence + 1,
        definition=segment.version,
    )
    standing.members[segment.key] = membership
    return SegmentChanged(
        **_context(standing, occasion),
        segment=segment.key,
        definition_version=segment.version,
        change="entered",
        occurrence=membership.occurrence,
        at=instant(since),
        why=why,
    )


def _exit(
    standing: Standing, key: str, occasion: Occasion, why: tuple[int, list[Reason]] | None = None
) -> SegmentChanged:
    """``why``: the definition's version and the reasons; None when it was not asked."""
    membership = standing.members.pop(key)
    left = Left(membership.occurrence, max(occasion.at, membership.since))
    standing.past[key] = left
    version, found = why or (membership.definition, [])
    return SegmentChanged(
        **_context(standing, occasion),
        segment=key,
        definition_version=version,
        change="exited",
        occurrence=left.occurrence,
        at=instant(left.at),
        why=found,
    )


def _context(standing: Standing, occasion: Occasion) -> dict[str, Any]:
    return {
        "profile_id": standing.profile_id,
        "decided_at": instant(occasion.now),
        "profile_version": standing.version,
        "cause": occasion.cause,
        "merged_from": list(standing.merged_from),
        "history": occasion.history,
    }

"""What one turn does to people: collected while it decides, stored and published at its end."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Struct, field

from schemas.messages import SegmentChanged
from services.runtime.turn import Message, Source, Turn
from services.segmentation.model import Heard, Left, Membership, Progress, Standing, instant

_encode = msgspec.json.Encoder().encode
FLIP = "flip/"
"""The timer of each person's next flip: this and the profile id."""


class Write(Struct):
    """What to store of one person: the fields named, or nobody any more."""

    standing: Standing
    partition: int
    fields: set[str]
    """Names of ``Standing``'s fields that differ from what is stored."""
    body: bytes | None = None
    """The person's new ``ProfileChanged``, if ``body`` is among the fields."""
    gone: bool = False


class Saved(Struct):
    """Everything that one turn stores."""

    writes: list[Write] = field(default_factory=list)
    progress: dict[str, Progress] = field(default_factory=dict)
    """By source id."""
    sizes: dict[str, Counter[str]] = field(default_factory=dict)
    """Source id -> segment -> by how many its membership changed."""
    heard: dict[str, dict[str, Heard]] = field(default_factory=dict)
    """Source id -> segment -> what the partition goes by from now on."""


class _Kept(Struct):
    """A standing as it was before the turn touched it."""

    source: Source
    standing: Standing
    version: int
    members: dict[str, Membership]
    past: dict[str, Left]
    undecided: tuple[str, ...]
    flip: int | None
    into: str | None
    body: bytes | None = None
    fired: bool = False
    gone: bool = False


class Work:
    """The people that a turn touches, and the segment changes that follow."""

    def __init__(self, turn: Turn) -> None:
        self._turn = turn
        self._kept: dict[str, _Kept] = {}
        self._sizes: defaultdict[str, Counter[str]] = defaultdict(Counter)

    def touch(self, source: Source, standing: Standing) -> None:
        """Note how the standing is now, before it is changed. Repeated calls do nothing."""
        if standing.profile_id not in self._kept:
            self._kept[standing.profile_id] = _Kept(
                source,
                standing,
                standing.version,
                dict(standing.members),
                dict(standing.past),
                standing.undecided,
                standing.flip,
                standing.into,
            )

    def standing(self, profile_id: str) -> Standing | None:
        """The person, if this turn has touched them and they were not forgotten."""
        kept = self._kept.get(profile_id)
        return None if kept is None or kept.gone else kept.standing

    def learned(self, standing: Standing, body: bytes | None) -> None:
        """``body`` is the person's latest change; None for one who was merged into another."""
        kept = self._kept[standing.profile_id]
        kept.standing, kept.body, kept.gone = standing, body, False

    def fired(self, standing: Standing) -> None:
        """The person's flip timer is gone with this turn, unless it is set again."""
        self._kept[standing.profile_id].fired = True

    def forgotten(self, standing: Standing) -> None:
        """Nothing is to be kept of the person."""
        self._kept[standing.profile_id].gone = True

    def gone(self, profile_id: str) -> bool:
        """Whether this turn has forgotten the person."""
        kept = self._kept.get(profile_id)
        return kept is not None and kept.gone

    def emit(self, source: Source, changes: Iterable[SegmentChanged]) -> None:
        """Publish what was decided."""
        for change in changes:
            entered = change.change == "entered"
            self._sizes[source.id][change.segment] += 1 if entered else -1
            self._turn.emit(source, _message(change))

    def finish(self) -> Saved:
        """What to store; sets the timers."""
        writes = []
        for kept in self._kept.values():
            self._set_timer(kept)
            fields = {"gone"} if kept.gone else _differing(kept)
            if fields:
                partition = kept.source.partition
                writes.append(Write(kept.standing, partition, fields, kept.body, kept.gone))
        return Saved(writes, {}, dict(self._sizes))

    def _set_timer(self, kept: _Kept) -> None:
        standing, key = kept.standing, FLIP + kept.standing.profile_id
        flip = None if kept.gone else standing.flip
        if flip == kept.flip and not kept.fired:
            return
        if flip is None:
            self._turn.cancel_timer(kept.source, key)
        else:
            self._turn.set_timer(kept.source, key, instant(flip))


def _differing(kept: _Kept) -> set[str]:
    standing: Any = kept.standing
    names = ("version", "members", "past", "undecided", "flip", "into")
    fields = {name for name in names if getattr(standing, name) != getattr(kept, name)}
    if kept.body is not None or (standing.into is not None and kept.into is None):
        fields.add("body")
    return fields


def _message(change: SegmentChanged) -> Message:
    id_ = f"{change.profile_id}/{change.segment}/{change.occurrence}/{change.change}"
    return Message(
        topic="segment.changes",
        key=change.profile_id,
        value=_encode(change),
        type=f"regulars.segment.{change.change}.v1",
        id=id_,
        time=change.at,
        extra=(("segment", change.segment.encode()),),
    )

"""Traits: of all that was said of one, what the most trusted source said last.

Writes are ordered by trust in their source, then by (event time, message id), and so are
operations on parts of a trait, which hold from the last whole write on.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec
from msgspec import Raw, Struct, field

from schemas.messages import Interaction, TraitSources
from services.profile.build.model import Edit, State, Write
from services.profile.build.rules import edits as rules
from services.profile.build.rules.edits import Edits, edits_of, is_operation, shown

TRAIT_BYTES = 8_000
"""Of one value as it was sent."""
EVERY = "*"
"""The name under which sources are declared for all traits that have none of their own."""
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)
_UNSAID = 1_000_000
"""The rank of a whole write that nobody made: before all others."""

Stamp = tuple[int, datetime, str]
"""(minus the rank, event time, message id): the greatest holds."""


class Trust:
    """Which sources are trusted more with which traits, as declared."""

    def __init__(self, declared: Mapping[str, TraitSources]) -> None:
        self._ranks = {
            name: {source: rank for rank, source in reversed([*enumerate(one.sources)])}
            for name, one in declared.items()
        }

    def rank(self, trait: str, source: str) -> int:
        """How many sources are trusted more; those that are not declared are the least."""
        if not self._ranks:
            return 0
        ranks = self._ranks.get(trait)
        if ranks is None:
            ranks = self._ranks.get(EVERY, {})
        return ranks.get(source, len(ranks))


class Author(NamedTuple):
    """Who writes, when and in which message."""

    at: datetime
    message_id: str
    source: str
    trust: Trust

    def stamp(self, trait: str) -> Stamp:
        """The place of what they write among all that is written of a trait."""
        return -self.trust.rank(trait, self.source), self.at, self.message_id


def write_traits(
    state: State, written: Mapping[str, Raw], author: Author, touched: set[str]
) -> list[str]:
    """Take in the traits of one event; returns why some of them could not be used."""
    flags = []
    for name, raw in written.items():
        value = bytes(raw)  # a Raw equals no bytes
        old, stamp = state.traits.get(name), author.stamp(name)
        if len(value) > TRAIT_BYTES:
            flags.append("trait_too_long")
            continue
        if is_operation(value):
            edits = edits_of(value)
            if edits is None:
                flags.append("trait_operation_not_understood")
                continue
            new = _edited(old, stamp, edits)
        else:
            new = _written(old, stamp, None if value == b"null" else value)
        if new is not old:
            state.traits[name] = new
            if shown(old) != shown(new):
                touched.add("traits." + name)
    return flags


class _Within(Struct):
    traits: dict[str, Raw] = field(default_factory=dict)


class _Told(Struct):
    traits: dict[str, Raw] = field(default_factory=dict)
    context: _Within = field(default_factory=_Within)


_told = msgspec.json.Decoder(_Told)


def written(said: Interaction) -> dict[str, Raw]:
    """The traits that an event writes, as they were sent; none where it cannot be read."""
    if said.type == "message" or b'"traits"' not in bytes(said.event):
        return {}
    try:
        told = _told.decode(said.event)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return {}
    return told.context.traits | (told.traits if said.type == "identify" else {})


def _stamp(write: Write | Edit) -> Stamp:
    return -write.rank, write.at, write.message_id


def _written(old: Write | None, stamp: Stamp, value: bytes | None) -> Write:
    edits = None
    if old is not None:
        # At the same message the later call wins: an identify's own traits over its context's.
        if _stamp(old) > stamp:
            return old
        edits = _later(old.edits, stamp)
    rank, at, message_id = stamp
    return Write(at, message_id, value, -rank, edits)


def _edited(old: Write | None, stamp: Stamp, given: Edits) -> Write:
    if old is None:
        old = Write(_NEVER, "", None, _UNSAID)
    if _stamp(old) >= stamp:
        return old
    rank, at, message_id = stamp
    edits = dict(old.edits or {})
    for place, (target, value) in enumerate(given):
        known = edits.get(target)
        if known is None or _stamp(known) <= stamp:
            edits[target] = Edit(at, message_id, -rank, place, value)
    if len(edits) > rules.MOST_EDITS:
        latest = sorted(edits, key=lambda one: (_stamp(edits[one]), edits[one].place, one))
        edits = {target: edits[target] for target in latest[-rules.MOST_EDITS :]}
    return msgspec.structs.replace(old, edits=edits)


def _later(edits: Mapping[str, Edit] | None, stamp: Stamp) -> dict[str, Edit] | None:
    """Those that a whole write leaves; one at the same instant in the same message does not."""
    left = {target: edit for target, edit in (edits or {}).items() if _stamp(edit) > stamp}
    return left or None

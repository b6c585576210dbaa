"""All segments that are in force, which of them a change can touch, and which have to wait.

A segment waits until every profile has the computed traits that it needs. Until then nobody
enters or leaves it: else people would come and go in the order in which their profiles are
filled in.
"""

import hashlib
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from schemas.messages import Definition
from services.segmentation.model import Heard, Segment
from services.segmentation.rules.compile import CompiledSegment, compile_segment, undecidable
from services.segmentation.rules.parse import parse

_VOLATILE = frozenset({"first_seen", "last_seen", "interactions"})


class Plan:
    """The compiled segments, indexed by what they read. Immutable.

    ``waits``: by the keys of those that have to wait, the computed traits that are not ready.
    """

    def __init__(
        self,
        segments: Iterable[CompiledSegment],
        waits: Mapping[str, Iterable[str]] = MappingProxyType({}),
    ) -> None:
        self.compiled = {segment.key: segment for segment in sorted(segments, key=_key)}
        self.waiting = {key: tuple(sorted(waits[key])) for key in sorted(waits)}
        """Nobody is asked about these."""
        self.segments = {
            key: segment for key, segment in self.compiled.items() if key not in self.waiting
        }
        named = (
            f"{key}@{segment.version} {' '.join(self.waiting.get(key, ()))}"
            for key, segment in self.compiled.items()
        )
        self.fingerprint = hashlib.sha256("\n".join(named).encode()).hexdigest()[:16]
        """Of the definitions' versions and what they wait for: equal plans have equal ones."""
        self.timed = [one for one in self.segments.values() if one.rule.flip is not None]
        self._volatile: list[str] = []  # they read what nearly every event changes
        self._readers: dict[str, list[str]] = {}
        self._sections: dict[str, list[str]] = {}
        for segment in self.segments.values():
            self._index(segment)

    def _index(self, segment: CompiledSegment) -> None:
        reads = segment.rule.reads
        if not _VOLATILE.isdisjoint(reads):
            self._volatile.append(segment.key)
            return
        for name in reads:
            self._readers.setdefault(name, []).append(segment.key)
        for section in {name.partition(".")[0] for name in reads}:
            self._sections.setdefault(section, []).append(segment.key)

    def heard(self) -> dict[str, Heard]:
        """What to tell of each segment, by key."""
        return {
            key: Heard(version=segment.version, waits=self.waiting.get(key, ()))
            for key, segment in self.compiled.items()
        }

    def touched(self, changed: Iterable[str], waiting: Iterable[str]) -> list[CompiledSegment]:
        """The segments to ask after ``changed``, and those ``waiting`` for a computed trait.

        ``changed`` are the names of ``ProfileChanged.changed``; a bare section (``traits``)
        stands for all of it.
        """
        keys = dict.fromkeys(self._volatile)
        for name in changed:
            keys.update(dict.fromkeys(self._reading(name)))
        keys.update(dict.fromkeys(waiting))
        return [self.segments[key] for key in keys if key in self.segments]

    def _reading(self, name: str) -> Iterable[str]:
        section, dot, rest = name.partition(".")
        if not dot or section == "identifiers":  # these are read as a whole
            return (*self._sections.get(section, ()), *self._readers.get(name, ()))
        if section == "counters":
            name = f"counters.{rest.strip().lower()}"
        return self._readers.get(name, ())


def plan_of(definitions: Iterable[Definition], known: Mapping[str, CompiledSegment]) -> Plan:
    """The plan of these definitions, of ``segment`` and of computed traits' ``readiness``.

    ``known`` segments of the same version are reused.
    """
    segments, ready = [], set()
    for definition in definitions:
        if definition.kind == "segment":
            segments.append(_compiled(definition, known))
        elif definition.kind == "readiness":
            ready.add(definition.name)
    missing = {segment.key: segment.needs - ready for segment in segments}
    return Plan(segments, {key: traits for key, traits in missing.items() if traits})


def _compiled(definition: Definition, known: Mapping[str, CompiledSegment]) -> CompiledSegment:
    before = known.get(definition.name)
    if before is not None and before.version == definition.version:
        return before
    segment = parse(definition.body)
    if isinstance(segment, Segment):
        return compile_segment(definition.name, definition.version, segment)
    return undecidable(definition.name, definition.version)


def _key(segment: CompiledSegment) -> str:
    return segment.key

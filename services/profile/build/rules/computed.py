"""Computed traits: the aggregates over a person's events that segments are built on.

The definitions in force, compiled once, and how one event is given to those that it concerns.
``aggregates`` holds what each of them keeps, ``publication`` what others read of it.
"""

import hashlib
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from schemas.conditions import spelled
from schemas.messages import ComputedTrait, ComputedValue, TraitSources
from services.profile.build.kept import LAYOUT
from services.profile.build.model import FOLD, Computed, State
from services.profile.build.rules.aggregates import ALL_TIME, WITHIN, Occurrence, Take
from services.profile.build.rules.conditions import Condition
from services.profile.build.rules.publication import value_of, zero_of
from services.profile.build.rules.traits import Trust


class Trait(Struct, frozen=True):
    """One definition, ready to be applied."""

    key: str
    where: tuple[Condition, ...]
    path: tuple[str, ...]
    """Of the property that is aggregated; empty: matches are counted."""
    take: Take
    kind: str
    """``Computed.aggregate``."""

    @property
    def needs_body(self) -> bool:
        """Whether the event's properties must be read."""
        return bool(self.where or self.path)


class Concerned(Struct, frozen=True):
    """The traits that are about events of one name."""

    traits: tuple[Trait, ...]
    needs_body: bool
    """Whether any of them does."""


class Composition(Struct, frozen=True):
    """What a profile was computed with; equal compositions have equal fingerprints."""

    fingerprint: str
    generation: int
    """Rises when everything is to be computed again, with the same definitions."""
    basis: str
    """Of all that is folded by, but for computed traits."""
    beside: str
    """Whatever else profiles are told by."""
    digests: dict[str, str]
    """Computed trait key -> digest of its definition."""


class Traits:
    """Every computed trait that is defined now, by the event name it looks at."""

    def __init__(
        self,
        definitions: Mapping[str, ComputedTrait],
        sources: Mapping[str, TraitSources] | None = None,
        *,
        beside: str = "",
        generation: int = 0,
    ) -> None:
        """``beside``: whatever else profiles are told by, so that they are behind without it."""
        made = FOLD if LAYOUT == 1 else [FOLD, LAYOUT]
        basis = _digest([made, sorted((sources or {}).items()), beside, generation])
        digests = {key: digest_of(definitions[key]) for key in sorted(definitions)}
        self.keys = tuple(digests)
        self.fingerprint = _digest([basis, digests])
        self.composition = Composition(self.fingerprint, generation, basis, beside, digests)
        self.events = {key: event_key(definitions[key].event) for key in self.keys}
        """Key -> the event that it is about."""
        self.trust = Trust(sources or {})
        """Which sources are trusted more with which traits."""
        self._concerned: dict[str, Concerned] = {}
        self.windows: dict[str, int] = {}
        """Key -> window in milliseconds, of windowed traits."""
        self._zeros = {key: zero_of(definitions[key]) for key in self.keys}
        for key in self.keys:
            self._add(key, definitions[key])

    def _add(self, key: str, definition: ComputedTrait) -> None:
        aggregate, seconds = definition.aggregate, definition.window_seconds
        if seconds is not None:
            self.windows[key] = seconds * 1_000
        counted = aggregate == "count"
        trait = Trait(
            key=key,
            where=tuple(Condition.of(condition) for condition in definition.where),
            path=() if counted else tuple((definition.property or "").split(".")),
            take=(ALL_TIME if seconds is None else WITHIN)[aggregate],
            kind="" if counted or aggregate == "sum" else aggregate,
        )
        event = event_key(definition.event)
        known = self._concerned.get(event)
        all_ = (trait,) if known is None else (*known.traits, trait)
        self._concerned[event] = Concerned(all_, any(one.needs_body for one in all_))

    def concerned(self, name: str) -> Concerned | None:
        """The traits that are about events of this name, if there are any."""
        return self._concerned.get(event_key(name)) if self._concerned else None

    def values(self, state: State) -> dict[str, ComputedValue]:
        """The published value of every trait for one person; what matched nothing is zero."""
        published = dict(self._zeros)
        for key, kept in state.computed.items():
            if key in published:
                published[key] = value_of(kept)
        return published

    def value(self, key: str, kept: Computed | None) -> ComputedValue:
        """The published value of one trait, of which ``kept`` is kept."""
        return self._zeros[key] if kept is None else value_of(kept)


@lru_cache(maxsize=2_000)
def event_key(name: str) -> str:
    """The form in which event names are compared."""
    return name.strip().casefold()


def digest_of(definition: ComputedTrait) -> str:
    """The same for definitions that mean the same, whatever their versions and spelling."""
    distinct = {_encoded(item): item for item in map(spelled, definition.where)}
    return _digest(
        replace(
            definition,
            event=event_key(definition.event),
            where=tuple(distinct[said] for said in sorted(distinct)),
        )
    )


def carry(state: State, before: Composition, traits: Traits) -> set[str] | None:
    """Bring a state to ``traits`` without the person's history; the keys that changed.

    That needs no history where nothing ever happened to the person that a new trait is about.
    None, and the state as it was, where it does need it.
    """
    now = traits.composition
    if before.basis != now.basis:
        return None
    if "unreadable_body" in state.flags:
        return None  # what could not be read was counted for the traits that asked
    new = {key for key, digest in now.digests.items() if before.digests.get(key) != digest}
    events = {traits.events[key] for key in new}
    if events and any(event_key(name) in events for name in state.counters):
        return None
    gone = {key for key, digest in before.digests.items() if now.digests.get(key) != digest}
    for key in gone:
        state.computed.pop(key, None)
    return new | gone


def _digest(said: Any) -> str:
    return hashlib.sha256(_encoded(said)).hexdigest()[:16]


def _encoded(said: Any) -> bytes:
    return msgspec.json.encode(said, order="sorted")


def matching(traits: Iterable[Trait], properties: Mapping[str, Any]) -> list[Trait]:
    """Those of ``traits`` whose conditions the properties fulfil."""
    return [
        trait for trait in traits if all(condition.holds(properties) for condition in trait.where)
    ]


def fold_computed(state: State, trait: Trait, event: Occurrence) -> bool:
    """Take in one matching event; False if that made no difference."""
    known = state.computed.get(trait.key)
    kept = Computed(aggregate=trait.kind) if known is None else known
    changed = trait.take(kept, event, trait.path)
    if changed and known is None:
        state.computed[trait.key] = kept
    return changed

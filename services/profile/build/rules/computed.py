"""Computed traits: the aggregates over a person's events that segments are built on.

An all-time trait is a count, or sums by currency. A windowed one keeps what matches with
its time, from the person's latest event back to the window's length, so that segmentation
can say from the profile alone when time changes the answer. What is kept depends on the
set of events only: the window's start only rises, and the cap keeps the latest entries of
a total order.
"""

import hashlib
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

import msgspec
from msgspec import Struct

from schemas.messages import MAX_WINDOW, ComputedTrait, ComputedValue
from services.profile.build.model import Computed, State
from services.profile.build.rules.conditions import Condition
from services.profile.build.rules.values import currency, number, walk

_ZERO = Decimal("0.00")
_MONEY = frozenset(
    ["amount", "discount", "price", "revenue", "shipping", "subtotal", "tax", "total", "value"]
)
"""Properties that hold money, by their last name."""


class Trait(Struct, frozen=True):
    """One definition, ready to be applied."""

    key: str
    where: tuple[Condition, ...]
    path: tuple[str, ...] | None
    """Of the property that is summed; None: matches are counted."""
    window: int | None
    """Milliseconds; None: all time."""

    @property
    def needs_body(self) -> bool:
        """Whether the event's properties must be read."""
        return bool(self.where) or self.path is not None


class Traits:
    """Every computed trait that is defined now, by the event name it looks at."""

    def __init__(self, definitions: Mapping[str, ComputedTrait]) -> None:
        self.keys = tuple(sorted(definitions))
        self.fingerprint = _fingerprint(definitions)
        self.by_event: dict[str, tuple[Trait, ...]] = {}
        self.windows: dict[str, int] = {}
        """Key -> window in milliseconds, of windowed traits."""
        self._zeros: dict[str, ComputedValue] = {}
        for key in self.keys:
            self._add(key, definitions[key])

    def _add(self, key: str, definition: ComputedTrait) -> None:
        summed = definition.aggregate == "sum"
        seconds = definition.window_seconds
        trait = Trait(
            key=key,
            where=tuple(Condition.of(condition) for condition in definition.where),
            path=tuple((definition.property or "").split(".")) if summed else None,
            window=None if seconds is None else seconds * 1_000,
        )
        if trait.window is not None:
            self.windows[key] = trait.window
            self._zeros[key] = ComputedValue(times=[], values=[] if summed else None)
        else:
            self._zeros[key] = ComputedValue(sums={}) if summed else ComputedValue(count=0)
        event = event_key(definition.event)
        self.by_event[event] = (*self.by_event.get(event, ()), trait)

    def values(self, state: State) -> dict[str, ComputedValue]:
        """The published value of every trait for one person; what matched nothing is zero."""
        published = dict(self._zeros)
        for key, kept in state.computed.items():
            zero = self._zeros.get(key)
            if zero is None:
                continue
            if zero.times is None:
                published[key] = ComputedValue(
                    count=None if zero.count is None else kept.count,
                    sums=None if zero.sums is None else kept.sums,
                )
            else:
                published[key] = ComputedValue(
                    times=kept.times,
                    values=None if zero.values is None else kept.values,
                    currencies=kept.currencies if any(kept.currencies) else None,
                    capped=kept.dropped is not None,
                )
        return published


def event_key(name: str) -> str:
    """The form in which event names are compared."""
    return name.strip().casefold()


def _fingerprint(definitions: Mapping[str, ComputedTrait]) -> str:
    # Without definition versions: putting the same definition again changes nothing.
    body = msgspec.json.encode(sorted(definitions.items()), order="sorted")
    return hashlib.sha256(body).hexdigest()[:16]


def matching(traits: Iterable[Trait], properties: Mapping[str, Any]) -> list[Trait]:
    """Those of ``traits`` whose conditions the properties fulfil."""
    return [
        trait for trait in traits if all(condition.holds(properties) for condition in trait.where)
    ]


def fold_computed(state: State, trait: Trait, time: int, properties: Mapping[str, Any]) -> bool:
    """Add one matching event at ``time`` (ms); False if that made no difference."""
    if trait.path is None:
        amount, code = None, ""
    else:
        amount = _amount(properties, trait.path)
        if amount is None:
            return False
        code = _currency(properties, trait.path[-1])
    kept = state.computed.get(trait.key)
    if kept is None:
        kept = state.computed[trait.key] = Computed()
    if trait.window is not None:
        _insert(kept, time, code, amount)
    elif amount is None:
        kept.count += 1
    else:
        kept.sums[code] = kept.sums.get(code, _ZERO) + amount
    return True


def _amount(properties: Mapping[str, Any], path: tuple[str, ...]) -> Decimal | None:
    numbers = [number(value) for value in walk(properties, path)]
    known = [value for value in numbers if value is not None]
    return number(sum(known, _ZERO)) if known else None


def _currency(properties: Mapping[str, Any], name: str) -> str:
    if name.lower() not in _MONEY:
        return ""
    return currency(properties.get("currency")) or ""


def _insert(kept: Computed, time: int, code: str, amount: Decimal | None) -> None:
    times = kept.times
    if amount is None:
        times.insert(bisect_right(times, time), time)
    else:
        at = bisect_left(times, time)
        end = bisect_right(times, time, at)
        while at < end and (kept.currencies[at], kept.values[at]) <= (code, amount):
            at += 1
        times.insert(at, time)
        kept.values.insert(at, amount)
        kept.currencies.insert(at, code)
    if len(times) > MAX_WINDOW:
        kept.dropped = times[0] if kept.dropped is None else max(kept.dropped, times[0])
        _drop_first(kept, 1)


def _drop_first(kept: Computed, count: int) -> None:
    del kept.times[:count], kept.values[:count], kept.currencies[:count]


def prune(state: State, windows: Mapping[str, int], latest: int) -> list[str]:
    """Drop what has left its window at ``latest`` (ms); returns the keys that changed."""
    changed = []
    for key, kept in list(state.computed.items()):
        window = windows.get(key)
        if window is None:
            continue
        start = latest - window
        if kept.dropped is not None and kept.dropped <= start:
            kept.dropped = None
            changed.append(key)
        if kept.times and kept.times[0] <= start:
            _drop_first(kept, bisect_right(kept.times, start))
            changed.append(key)
        if not kept.times and kept.dropped is None:
            del state.computed[key]
    return changed

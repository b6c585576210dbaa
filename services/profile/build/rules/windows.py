"""Windows: the entries of a computed trait from a person's latest event back.

Each entry keeps its time, so that segmentation can say from the profile alone when time
changes the answer. What is kept depends on the set of events only: the window's start only
rises, and the cap keeps the latest entries of a total order.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from decimal import Decimal

from schemas.messages import MAX_WINDOW
from services.profile.build.model import Computed, State


def insert_time(kept: Computed, time: int) -> None:
    """Add an entry that is nothing but its time (ms)."""
    kept.times.insert(bisect_right(kept.times, time), time)
    _bound(kept)


def insert_amount(kept: Computed, time: int, code: str, amount: Decimal) -> None:
    """Add a number, in a currency or in none (``""``)."""
    at, end = _place(kept, time)
    while at < end and (kept.currencies[at], kept.values[at]) <= (code, amount):
        at += 1
    kept.times.insert(at, time)
    kept.values.insert(at, amount)
    kept.currencies.insert(at, code)
    _bound(kept)


def insert_item(kept: Computed, time: int, item: str) -> None:
    """Add a value of any kind, as canonical JSON."""
    at, end = _place(kept, time)
    while at < end and kept.items[at] <= item:
        at += 1
    kept.times.insert(at, time)
    kept.items.insert(at, item)
    _bound(kept)


def prune(state: State, windows: Mapping[str, int], latest: int) -> list[str]:
    """Drop what has left its window at ``latest`` (ms); returns the keys that changed.

    ``windows`` are the windows in milliseconds, by key.
    """
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


def _place(kept: Computed, time: int) -> tuple[int, int]:
    at = bisect_left(kept.times, time)
    return at, bisect_right(kept.times, time, at)


def _bound(kept: Computed) -> None:
    times = kept.times
    if len(times) > MAX_WINDOW:
        kept.dropped = times[0] if kept.dropped is None else max(kept.dropped, times[0])
        _drop_first(kept, 1)


def _drop_first(kept: Computed, count: int) -> None:
    del kept.times[:count], kept.values[:count], kept.currencies[:count], kept.items[:count]

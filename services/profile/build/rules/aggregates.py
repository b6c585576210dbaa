"""How each aggregate takes in one matching event; what is kept depends on their set only.

Bounds hold in any order of arrival, too. Of more different values than are kept, a unique
list keeps those that occurred last. A most frequent value and a unique count keep those with
the lowest digests: a fixed sample, within which counts are exact, and whose density says how
many there are in all (``services.profile.build.rules.publication``). The sketches of
``datasketches`` estimate as well, but what they store depends on the order of arrival.
"""

import hashlib
from bisect import bisect_left
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from msgspec import Struct

from schemas.messages import MAX_ITEMS, MAX_VALUES
from services.profile.build.model import Chosen, Computed
from services.profile.build.rules.values import currency, number, plain, walk
from services.profile.build.rules.windows import insert_amount, insert_item, insert_time

ZERO = Decimal("0.00")
MONEY = frozenset(
    ["amount", "discount", "price", "revenue", "shipping", "subtotal", "tax", "total", "value"]
)
"""Properties that hold money, by their last name."""

Path = tuple[str, ...]


class Occurrence(Struct, frozen=True):
    """One event that matches."""

    at: datetime
    time: int
    """``at`` in milliseconds."""
    message_id: str
    properties: Mapping[str, Any]


Take = Callable[[Computed, Occurrence, Path], bool]
"""Takes one event into what is kept; False if that made no difference."""


def _count(kept: Computed, event: Occurrence, path: Path) -> bool:
    kept.count += 1
    return True


def _sum(kept: Computed, event: Occurrence, path: Path) -> bool:
    amount = _total(event, path)
    if amount is None:
        return False
    code = _currency(event, path)
    kept.amounts[code] = kept.amounts.get(code, ZERO) + amount
    return True


def _average(kept: Computed, event: Occurrence, path: Path) -> bool:
    amounts = _numbers(event, path)
    if not amounts:
        return False
    code = _currency(event, path)
    kept.amounts[code] = kept.amounts.get(code, ZERO) + sum(amounts, ZERO)
    kept.tally[code] = kept.tally.get(code, 0) + len(amounts)
    return True


def _extreme(choose: Callable[[list[Decimal]], Decimal]) -> Take:
    def take(kept: Computed, event: Occurrence, path: Path) -> bool:
        amounts = _numbers(event, path)
        if not amounts:
            return False
        code = _currency(event, path)
        before = kept.amounts.get(code)
        if before is not None:
            amounts.append(before)
        kept.amounts[code] = after = choose(amounts)
        return after != before

    return take


def _first(kept: Computed, event: Occurrence, path: Path) -> bool:
    values, known = _values(event, path), kept.chosen
    if not values:
        return False
    if known is not None and (known.at, known.message_id) <= (event.at, event.message_id):
        return False
    kept.chosen = Chosen(event.at, event.message_id, values[0])
    return True


def _last(kept: Computed, event: Occurrence, path: Path) -> bool:
    values, known = _values(event, path), kept.chosen
    if not values:
        return False
    if known is not None and (known.at, known.message_id) >= (event.at, event.message_id):
        return False
    kept.chosen = Chosen(event.at, event.message_id, values[-1])
    return True


def _most_frequent(kept: Computed, event: Occurrence, path: Path) -> bool:
    changed = False
    for value in _values(event, path):
        known = kept.tally.get(value)
        if known is not None:
            kept.tally[value] = known + 1
        elif kept.dropped is not None and digest(value) >= kept.dropped:
            continue
        else:
            kept.tally[value] = 1
            if len(kept.tally) > MAX_VALUES:
                last = max(kept.tally, key=digest)
                kept.dropped = digest(last)
                del kept.tally[last]
        changed = True
    return changed


def _unique_list(kept: Computed, event: Occurrence, path: Path) -> bool:
    changed = False
    for value in _values(event, path):
        known = kept.tally.get(value)
        if known is not None and known >= event.time:
            continue
        kept.tally[value] = event.time
        if len(kept.tally) > MAX_ITEMS:
            _, oldest = min((time, value) for value, time in kept.tally.items())
            del kept.tally[oldest]
            changed = changed or kept.dropped is None or oldest != value
            kept.dropped = 0
        else:
            changed = True
    return changed


def _unique_count(kept: Computed, event: Occurrence, path: Path) -> bool:
    changed, digests = False, kept.digests
    for value in _values(event, path):
        found = digest(value)
        at = bisect_left(digests, found)
        if at < len(digests) and digests[at] == found:
            continue
        if kept.dropped is not None and found >= kept.dropped:
            continue
        digests.insert(at, found)
        changed = True
        if len(digests) > MAX_VALUES:
            kept.dropped = digests.pop()
    return changed


ALL_TIME: dict[str, Take] = {
    "count": _count,
    "sum": _sum,
    "average": _average,
    "min": _extreme(min),
    "max": _extreme(max),
    "first": _first,
    "last": _last,
    "most_frequent": _most_frequent,
    "unique_list": _unique_list,
    "unique_count": _unique_count,
}


def _keep_time(kept: Computed, event: Occurrence, path: Path) -> bool:
    insert_time(kept, event.time)
    return True


def _keep_total(kept: Computed, event: Occurrence, path: Path) -> bool:
    amount = _total(event, path)
    if amount is None:
        return False
    insert_amount(kept, event.time, _currency(event, path), amount)
    return True


def _keep_numbers(kept: Computed, event: Occurrence, path: Path) -> bool:
    amounts = _numbers(event, path)
    if not amounts:
        return False
    code = _currency(event, path)
    for amount in amounts:
        insert_amount(kept, event.time, code, amount)
    return True


def _keep_items(kept: Computed, event: Occurrence, path: Path) -> bool:
    values = _values(event, path)
    for value in values:
        insert_item(kept, event.time, value)
    return bool(values)


WITHIN: dict[str, Take] = {
    "count": _keep_time,
    "sum": _keep_total,
    "average": _keep_numbers,
    "min": _keep_numbers,
    "max": _keep_numbers,
    "first": _keep_items,
    "last": _keep_items,
    "most_frequent": _keep_items,
    "unique_list": _keep_items,
    "unique_count": _keep_items,
}


def digest(value: str) -> int:
    """64 bits of a value's canonical JSON, evenly spread."""
    return int.from_bytes(hashlib.blake2b(value.encode(), digest_size=8).digest())


def _values(event: Occurrence, path: Path) -> list[str]:
    found = (plain(value) for value in walk(event.properties, path))
    return [value for value in found if value is not None]


def _numbers(event: Occurrence, path: Path) -> list[Decimal]:
    found = (number(value) for value in walk(event.properties, path))
    return [value for value in found if value is not None]


def _total(event: Occurrence, path: Path) -> Decimal | None:
    known = _numbers(event, path)
    return number(sum(known, ZERO)) if known else None


def _currency(event: Occurrence, path: Path) -> str:
    if path[-1].lower() not in MONEY:
        return ""
    return currency(event.properties.get("currency")) or ""

"""From what is kept of a computed trait to its published value."""

from decimal import Decimal

from msgspec import Raw

from schemas.messages import ComputedTrait, ComputedValue
from services.profile.build.model import Computed
from services.profile.build.rules.values import canonical

_DIGESTS = 2**64
_NUMBERS = ("sum", "average", "min", "max")


def zero_of(definition: ComputedTrait) -> ComputedValue:
    """The value for a person whom nothing matched."""
    aggregate = definition.aggregate
    if definition.window_seconds is not None:
        if aggregate == "count":
            return ComputedValue(times=[])
        if aggregate in _NUMBERS:
            return ComputedValue(times=[], values=[])
        return ComputedValue(times=[], items=[])
    if aggregate == "sum":
        return ComputedValue(sums={})
    if aggregate in _NUMBERS:
        return ComputedValue(amounts={})
    if aggregate == "unique_list":
        return ComputedValue(items=[])
    return ComputedValue() if aggregate in ("first", "last") else ComputedValue(count=0)


def value_of(kept: Computed) -> ComputedValue:
    """The published value; it shares parts with ``kept``."""
    capped = kept.dropped is not None
    if kept.count:
        return ComputedValue(count=kept.count)
    if kept.times:
        return _window(kept, capped)
    match kept.aggregate:
        case "average":
            return ComputedValue(amounts=_averages(kept))
        case "min" | "max":
            return ComputedValue(amounts=kept.amounts)
        case "first" | "last":
            assert kept.chosen is not None  # kept since something matched
            return ComputedValue(value=_raw(kept.chosen.value), at=kept.chosen.at)
        case "most_frequent":
            value, count = min(kept.tally.items(), key=lambda item: (-item[1], item[0]))
            return ComputedValue(value=_raw(value), count=count, capped=capped)
        case "unique_list":
            latest = sorted(kept.tally.items(), key=lambda item: (-item[1], item[0]))
            return ComputedValue(items=[_raw(value) for value, _ in latest], capped=capped)
        case "unique_count":
            return ComputedValue(count=_distinct(kept), capped=capped)
    return ComputedValue(sums=kept.amounts)


def _window(kept: Computed, capped: bool) -> ComputedValue:
    return ComputedValue(
        times=kept.times,
        values=kept.values or None,
        currencies=kept.currencies if any(kept.currencies) else None,
        items=[_raw(item) for item in kept.items] if kept.items else None,
        capped=capped,
    )


def _averages(kept: Computed) -> dict[str, Decimal]:
    """Rounded to six places, half to even."""
    return {code: canonical(total / kept.tally[code]) for code, total in kept.amounts.items()}


def _distinct(kept: Computed) -> int:
    """How many different values there are; beyond ``MAX_VALUES`` an estimate.

    ``(k - 1) / U(k)``, with U(k) the k-th lowest digest as a part of all: unbiased, with a
    standard error of about ``1 / sqrt(k - 2)`` (Beyer, Haas, Reinwald, Sismanis and Gemulla,
    "On synopses for distinct-value estimation under multiset operations", SIGMOD 2007).
    """
    digests = kept.digests
    if kept.dropped is None:
        return len(digests)
    return max((len(digests) - 1) * _DIGESTS // max(digests[-1], 1), len(digests) + 1)


def _raw(value: str) -> Raw:
    return Raw(value.encode())

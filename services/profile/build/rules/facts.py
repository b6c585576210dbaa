"""The built-in facts that are worked out when a profile is published, not kept."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from decimal import ROUND_HALF_EVEN, Decimal

from schemas.messages import Money, Order
from services.profile.build.rules.habits import favourable, leader
from services.profile.build.rules.values import canonical

_CENTS = Decimal("0.01")
_DAY, _MICROSECOND = timedelta(days=1), timedelta(microseconds=1)


def gross_revenue(standing: Sequence[Order]) -> tuple[list[Money], list[Money]]:
    """(revenue before refunds, the same by order) of orders that stand, a currency each."""
    sums: dict[str, Decimal] = {}
    counts: dict[str, int] = {}
    for order in standing:
        code = order.currency
        sums[code] = sums.get(code, Decimal(0)) + order.revenue
        counts[code] = counts.get(code, 0) + 1
    gross = [Money(canonical(sums[code]), code) for code in sorted(sums)]
    average = [
        Money(_cents(money.amount / counts[money.currency]), money.currency) for money in gross
    ]
    return gross, average


def days_between(standing: Sequence[Order]) -> Decimal | None:
    """The mean days from one order to the next, to two places; None of fewer than two."""
    if len(standing) < 2:
        return None
    times = [order.ordered_at for order in standing]
    span = max(times) - min(times)
    days = Decimal(span // _MICROSECOND) / (_DAY // _MICROSECOND)
    return _cents(days / (len(times) - 1))


def favourites(standing: Sequence[Order]) -> tuple[str | None, str | None]:
    """(category, brand) of which most units were bought."""
    lines = [line for order in standing for line in order.products if line.quantity > 0]
    return (
        _most((line.category, line.quantity) for line in lines),
        _most((line.brand, line.quantity) for line in lines),
    )


def _most(units: Iterable[tuple[str | None, int]]) -> str | None:
    counts: dict[str, int] = {}
    for value, quantity in units:
        named = favourable(value)
        if named is not None:
            counts[named] = counts.get(named, 0) + quantity
    return leader(counts) or None


def _cents(value: Decimal) -> Decimal:
    return value.quantize(_CENTS, ROUND_HALF_EVEN)

"""What orders in several currencies are worth in one: by the rate of the day they were placed.

A rate is how much of a currency one unit of the table's reference is worth, as the European
Central Bank publishes them. Of a day without one (a weekend, a holiday) the last before it
counts. Each order's net revenue is converted by itself, exactly, and rounded half to even to
the base currency's digits, so that the parts that are shown add up to the sum.
"""

import hashlib
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal

import msgspec

from schemas.currencies import digits
from schemas.messages import Definition, Money, Order, Profile, Rates
from services.profile.build.rules.orders import net_of
from services.profile.commerce.model import Worth

_EXACT = Context(prec=80, rounding=ROUND_HALF_EVEN)
_ONE = Decimal(1)


class Table:
    """Every rate that is known, and the currency in which sums are wanted."""

    def __init__(self, base: str | None, months: Iterable[Rates] = ()) -> None:
        told = list(months) if base is not None else []
        self.base = base
        self.reference = min((month.reference for month in told), default="")
        self._days: dict[str, list[str]] = {}
        self._rates: dict[str, list[Decimal]] = {}
        days = [
            (day, rates)
            for month in told
            if month.reference == self.reference
            for day, rates in month.days.items()
        ]
        digest = hashlib.sha256(msgspec.json.encode([base, self.reference]))
        for day, rates in sorted(days, key=lambda one: one[0]):
            digest.update(msgspec.json.encode([day, rates], order="sorted"))
            for code, rate in rates.items():
                if rate > 0:
                    self._days.setdefault(code, []).append(day)
                    self._rates.setdefault(code, []).append(rate)
        self.fingerprint = digest.hexdigest()[:16]
        """Of all that a converted amount depends on."""
        self.plain = f"={base}"
        """In place of the fingerprint where nothing had to be converted."""

    @classmethod
    def of(cls, base: str | None, definitions: Mapping[tuple[str, str], Definition]) -> "Table":
        """From the definitions of the kind ``rates``."""
        months = []
        for (kind, _), definition in sorted(definitions.items()):
            if kind == "rates" and base is not None:
                try:
                    months.append(msgspec.convert(definition.body, Rates))
                except msgspec.ValidationError:
                    continue  # Written past the API, which checks.
        return cls(base, months)

    def gave(self, worth: Worth) -> bool:
        """Whether ``worth`` was computed with these rates, or needs none of them."""
        return worth.rates in (self.fingerprint, self.plain)

    def convert(self, amount: Decimal, currency: str, at: datetime) -> Decimal | None:
        """``amount`` in the base currency, by the rates of the UTC day of ``at``; None: no rate."""
        if self.base is None or currency == self.base:
            return amount
        day = at.astimezone(UTC).date().isoformat()
        of, to = self.rate(currency, day), self.rate(self.base, day)
        if of is None or to is None:
            return None
        exact = _EXACT.divide(_EXACT.multiply(amount, to), of)
        return exact.quantize(Decimal(1).scaleb(-digits(self.base)), context=_EXACT)

    def rate(self, currency: str, day: str) -> Decimal | None:
        """Of ``currency`` on ``day`` (``2026-03-02``), or the last before it."""
        if currency == self.reference:
            return _ONE
        days = self._days.get(currency)
        place = bisect_right(days, day) if days else 0
        return self._rates[currency][place - 1] if place else None


NO_RATES = Table(None)


def worth_of(orders: Iterable[Order], table: Table) -> Worth | None:
    """What the orders that stand are worth, net of refunds; no amount without any. None: no base.

    A refund is valued at its order's rate, so that what is wholly paid back is worth nothing.
    """
    standing = [order for order in orders if order.status == "completed"]
    if table.base is None:
        return None
    total, missing, converted = Decimal("0.00"), set[str](), False
    for order in standing:
        net = net_of(order)
        converted = converted or order.currency != table.base
        amount = table.convert(net, order.currency, order.ordered_at) if net else net
        if amount is None:
            missing.add(order.currency)
        else:
            total += amount
    return Worth(
        rates=table.fingerprint if converted else table.plain,
        base=table.base,
        amount=total if standing and not missing else None,
        missing=sorted(missing),
    )


def valued(profile: Profile, worth: Worth | None) -> Profile:
    """``profile`` with what its orders are worth in the base currency."""
    if worth is not None:
        profile.revenue_base_missing = worth.missing
        if worth.amount is not None:
            profile.revenue_base = Money(worth.amount, worth.base)
    return profile

"""What a refund takes from an order's revenue, which excludes the tax and shipping it pays back.

A refund that tells its own revenue, tax or shipping is believed; of any other the part is the
order's ``revenue / total``. Parts are taken from running sums, so that paying back in one
piece or in many comes to the same, and together they take the revenue and no more: all of it
as soon as all that was paid is back.
"""

from collections.abc import Iterable
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any

from schemas.currencies import digits
from services.profile.build.model import Refunded, Version
from services.profile.build.rules.lines import lines_of, sum_of
from services.profile.build.rules.values import canonical, number

_ZERO = Decimal("0.00")
_AMOUNTS = ("total", "revenue", "amount")
_EXACT = Context(prec=80, rounding=ROUND_HALF_EVEN)


def amount_of(said: dict[str, Any]) -> tuple[Decimal, Decimal | None]:
    """(what an Order Refunded pays back, what of it is revenue where it says so); both positive.

    The amount is the first of ``total``, ``revenue`` and ``amount``, else the lines, whose
    prices are without tax and shipping as an order's are.
    """
    given = {name: number(said.get(name)) for name in (*_AMOUNTS, "tax", "shipping")}
    amount = next((given[name] for name in _AMOUNTS if given[name] is not None), None)
    if amount is None:
        worth = abs(sum_of(lines_of(said.get("products"))))
        return worth, worth
    amount = abs(amount)
    if given["revenue"] is not None:
        return amount, abs(given["revenue"])
    extras = [abs(part) for name in ("tax", "shipping") if (part := given[name]) is not None]
    return amount, max(amount - sum(extras), _ZERO) if extras else None


def revenue_parts(version: Version, refunds: Iterable[Refunded]) -> list[Decimal]:
    """What each of ``refunds``, in this order, takes from the revenue of ``version``.

    Their sum does not depend on how an amount is split, and is 0 to the revenue. Shares are
    rounded half to even to the currency's digits.
    """
    revenue = max(version.revenue, _ZERO)
    told = shared = paid = taken = _ZERO
    parts: list[Decimal] = []
    for refund in refunds:
        paid += refund.amount
        if refund.revenue is None:
            shared += refund.amount
        else:
            told += refund.revenue
        due = min(told + _share(shared, version), revenue)
        if 0 < version.total <= paid:
            due = revenue
        parts.append(canonical(due - taken))
        taken = due
    return parts


def _share(paid: Decimal, version: Version) -> Decimal:
    revenue, total = version.revenue, version.total
    if revenue == total or not (revenue > 0 and total > 0):
        return paid
    exact = _EXACT.divide(_EXACT.multiply(paid, revenue), total)
    return exact.quantize(Decimal(1).scaleb(-digits(version.currency)), ROUND_HALF_EVEN, _EXACT)

"""Exact money: decimal arithmetic that never rounds by itself, and amounts as text.

Amounts are decimals and not integer minor units, because shops send unit prices finer than
their currency (fuel at 1.8999, screws at 0.00125). A cell is bounded to 15 integer and 9
fractional digits, so the sum of ten thousand million of them still fits the 34 digits of
Decimal128, in which MongoDB adds: within these bounds ``$inc`` and ``$sum`` are exact, and
subtracting takes back precisely what adding put in.
"""

from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal

from schemas.currencies import digits
from services.reporting.model import Number

EXACT = Context(prec=80, rounding=ROUND_HALF_EVEN)
FINEST = Decimal("1e-9")
LARGEST = Decimal("1e15")


def plus(left: Number, right: Number) -> Number:
    """``left + right``, exactly."""
    if isinstance(left, int) and isinstance(right, int):
        return left + right
    return EXACT.add(Decimal(left), Decimal(right))


def minus(left: Number, right: Number) -> Number:
    """``left - right``, exactly."""
    if isinstance(left, int) and isinstance(right, int):
        return left - right
    return EXACT.subtract(Decimal(left), Decimal(right))


def times(price: Decimal, quantity: int) -> Decimal:
    """``price * quantity``, exactly."""
    return EXACT.multiply(price, Decimal(quantity))


def bounded(amount: Decimal) -> Decimal | None:
    """The amount as a cell may hold it; None when it is beyond what a table can add exactly.

    What is finer than 9 digits is rounded half to even, which also mends senders that
    computed in binary floats (12.340000000000002).
    """
    if not amount.is_finite() or abs(amount) >= LARGEST:
        return None
    exponent = amount.as_tuple().exponent
    if isinstance(exponent, int) and exponent < -9:
        return EXACT.quantize(amount, FINEST)
    return amount


def text(amount: Number, currency: str) -> str:
    """``12.50``: at least the currency's digits, more only where the amount has them."""
    exact = EXACT.normalize(Decimal(amount))
    least = digits(currency)
    exponent = exact.as_tuple().exponent
    if isinstance(exponent, int) and exponent > -least:
        exact = EXACT.quantize(exact, Decimal(1).scaleb(-least))
    return f"{exact:f}" if exact else f"{abs(exact):f}"


def average(amount: Number, count: Number, currency: str) -> Decimal | None:
    """``amount / count`` rounded half to even to the currency's digits; None of nothing."""
    if not count:
        return None
    finest = Decimal(1).scaleb(-digits(currency))
    return EXACT.quantize(EXACT.divide(Decimal(amount), Decimal(count)), finest)


def utc(at: datetime) -> datetime:
    """The instant in UTC; one without an offset is taken to be in UTC already."""
    if at.tzinfo is None:
        return at.replace(tzinfo=UTC)
    try:
        return at.astimezone(UTC)
    except OverflowError:  # The first or last hours of the calendar.
        return at.replace(tzinfo=UTC)


def day(at: datetime) -> str:
    """The UTC day of an instant, ``2026-01-31``."""
    return utc(at).isoformat()[:10]


def minute(at: datetime) -> str:
    """The UTC minute of an instant, ``2026-01-31T10:05:00Z``."""
    return utc(at).isoformat()[:16] + ":00Z"

"""What orders in several currencies are worth in one, at the rates of their days."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.messages import Order, Rates, Refund
from services.profile.commerce.model import Worth
from services.profile.commerce.rules.rates import Table, worth_of

FRIDAY = {"USD": Decimal("1.1000"), "JPY": Decimal("160"), "GBP": Decimal("0.8")}
MONDAY = {"USD": Decimal("1.2000")}
MARCH = Rates(reference="EUR", days={"2026-03-06": FRIDAY, "2026-03-09": MONDAY})


def order(revenue: str, currency: str, day: int, **more: object) -> Order:
    at = datetime(2026, 3, day, 12, tzinfo=UTC)
    fields = {"order_id": f"{currency}{day}", "ordered_at": at, "updated_at": at} | more
    return Order(currency=currency, revenue=Decimal(revenue), **fields)  # type: ignore[arg-type]


def worth(*orders: Order, base: str = "EUR") -> Worth:
    found = worth_of(orders, Table(base, [MARCH]))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("revenue", "currency", "day", "base", "amount"),
    [
        ("11.00", "USD", 6, "EUR", "10.00"),
        ("11.00", "USD", 8, "EUR", "10.00"),  # a Sunday: the rate of Friday
        ("12.00", "USD", 9, "EUR", "10.00"),
        ("0.055", "USD", 6, "EUR", "0.05"),
        ("10.00", "EUR", 1, "EUR", "10.00"),  # needs no rate
        ("8.00", "GBP", 31, "USD", "12.00"),  # each currency's own last rate
        ("1.00", "USD", 6, "JPY", "145"),  # 145.4545...: yen have no digits after the point
    ],
)
def test_an_order_is_worth_what_the_rate_of_its_day_makes_of_it(
    revenue, currency, day, base, amount
):
    assert worth(order(revenue, currency, day), base=base).amount == Decimal(amount)


def test_no_rate_no_sum_but_which_currencies_are_missing():
    found = worth(order("5", "EUR", 1), order("5", "USD", 5), order("5", "CHF", 9))
    assert (found.amount, found.missing) == (None, ["CHF", "USD"])


def test_refunds_are_valued_at_their_orders_rate_and_cancelled_orders_at_nothing():
    back = Refund(
        message_id="r", amount=Decimal(11), revenue=Decimal(11), at=datetime(2026, 3, 9, tzinfo=UTC)
    )
    found = worth(
        order("11", "USD", 6, refunds=[back]),
        order("24", "USD", 9),
        order("7", "CHF", 9, status="cancelled"),
        order("11", "CHF", 6, refunds=[back]),
    )
    assert (found.amount, found.missing) == (Decimal("20.00"), [])
    assert worth(order("7", "USD", 9, status="cancelled")).amount is None


def test_what_needs_no_rate_does_not_depend_on_the_rates():
    assert worth(order("5", "EUR", 1)).rates == "=EUR"
    assert worth(order("5", "USD", 9)).rates == Table("EUR", [MARCH]).fingerprint
    other = Rates(reference="EUR", days={"2026-03-06": FRIDAY | {"USD": Decimal("1.2")}})
    assert Table("EUR", [MARCH]).fingerprint != Table("EUR", [other]).fingerprint
    assert Table("USD", [MARCH]).fingerprint != Table("EUR", [MARCH]).fingerprint


def test_without_a_base_currency_there_is_no_worth():
    assert worth_of([order("5", "EUR", 1)], Table(None, [MARCH])) is None


@given(st.permutations([order("1.13", "USD", 6), order("7.77", "GBP", 7), order("9", "JPY", 9)]))
def test_the_sum_is_that_of_its_parts_in_any_order(orders):
    parts = [worth(one).amount for one in orders]
    assert worth(*orders).amount == sum(part for part in parts if part is not None)

"""Orders as things with versions, and what is left of them."""

from decimal import Decimal

import pytest

from schemas.messages import Interaction, Money
from services.profile.build.model import State
from services.profile.build.rules.computed import Traits
from services.profile.build.rules.fold import fold
from services.profile.build.rules.orders import net_revenue, orders_of
from tests.people import at, ordered

NONE = Traits({})


def state_of(*said: Interaction) -> State:
    state = State()
    for interaction in said:
        fold(state, interaction, NONE, set())
    return state


def orders(*said: Interaction):
    return orders_of(state_of(*said))


def net(*said: Interaction) -> list[Money]:
    return net_revenue(orders(*said))


def usd(amount: str) -> list[Money]:
    return [Money(Decimal(amount), "USD")]


def test_an_order_is_its_latest_version_since_its_completion():
    (order,) = orders(
        ordered(9, name="Order Updated", revenue=80, products=[{"sku": "s", "quantity": "2"}]),
        ordered(5, revenue=100, total=120),
    )
    assert (order.ordered_at, order.updated_at) == (at(5), at(9))
    assert (order.revenue, order.total, order.status) == (80, 80, "completed")
    assert (order.products[0].product_id, order.products[0].quantity) == ("s", 2)


def test_a_version_that_arrives_late_does_not_replace_a_later_one():
    assert net(ordered(9, name="Order Updated", revenue=80), ordered(5, revenue=100)) == usd("80")


@pytest.mark.parametrize(
    ("properties", "revenue", "total"),
    [
        ({"revenue": 10, "tax": 1, "shipping": 2}, "10", "13"),
        ({"total": "13.00", "tax": 1, "shipping": "2"}, "10", "13"),
        ({"products": [{"price": "2.50", "quantity": 3}, {"price": 1}], "tax": 1}, "8.50", "9.50"),
        ({"revenue": 59.970000000000006}, "59.97", "59.97"),
        ({"revenue": "12,50", "total": 9}, "9", "9"),
        ({"revenue": "NaN"}, "0", "0"),
        ({}, "0", "0"),
    ],
)
def test_revenue_is_taken_as_given_else_from_the_total_else_from_the_lines(
    properties, revenue, total
):
    (order,) = orders(ordered(1, **properties))
    assert (order.revenue, order.total) == (Decimal(revenue), Decimal(total))


def test_a_refund_subtracts_once_per_message_whenever_it_arrives():
    refund = ordered(3, name="Order Refunded", amount="30.10", id="r1")
    again = ordered(4, name="Order Refunded", total=10, id="r2")
    assert net(refund, ordered(1, revenue=100), again) == usd("59.90")
    assert net(ordered(1, revenue=100), refund, refund) == usd("69.90")


def test_a_refund_without_an_amount_counts_its_product_lines():
    refund = ordered(2, name="Order Refunded", products=[{"price": 5, "quantity": 2}])
    assert net(ordered(1, revenue=100), refund) == usd("90")


def test_refunds_take_back_no_more_than_the_orders_revenue():
    refund = ordered(2, name="Order Refunded", total=119)
    assert net(ordered(1, revenue=100, tax=19), refund) == usd("0")


@pytest.mark.parametrize(
    ("says", "taken"),
    [
        ({"total": 23.8, "tax": 3.8}, "20"),
        ({"total": -28, "tax": -3, "shipping": "-5"}, "20"),
        ({"total": 23.8, "revenue": 20}, "20"),
        ({"revenue": 20}, "20"),
        ({"amount": 24, "shipping": 5}, "19"),
        ({"total": 62}, "50"),  # half of the total is half of the revenue
        ({"total": 10}, "8.06"),
        ({"products": [{"price": 10, "quantity": 2}], "tax": 3.8}, "20"),
        ({"total": 3, "tax": 19}, "0"),
        ({"total": 124, "tax": 40}, "100"),  # all that was paid
    ],
)
def test_a_refund_takes_from_revenue_what_is_neither_tax_nor_shipping(says, taken):
    refund = ordered(2, name="Order Refunded", **says)
    sale = ordered(1, revenue=100, tax=19, shipping=5, total=124)
    assert net(sale, refund) == usd(str(100 - Decimal(taken)))


def test_shares_of_a_refund_have_the_digits_of_the_currency():
    sale = ordered(1, revenue=1000, total=1100, currency="JPY")
    (order,) = orders(sale, ordered(2, name="Order Refunded", total=500))
    assert [refund.revenue for refund in order.refunds] == [Decimal(455)]


@pytest.mark.parametrize(
    ("revenue", "total", "left"), [("5", "0", "3"), ("0", "5", "0"), ("5", "-1", "3")]
)
def test_of_an_order_without_a_total_to_share_a_refund_takes_what_it_says(revenue, total, left):
    sale = ordered(1, revenue=revenue, total=total)
    assert net(sale, ordered(2, name="Order Refunded", total="2")) == usd(left)


def test_a_refund_in_another_currency_is_not_subtracted():
    refund = ordered(2, name="Order Refunded", total=50, currency="EUR")
    assert net(ordered(1, revenue=100, currency="usd"), refund) == usd("100")


def test_a_cancelled_order_brings_nothing_even_if_it_was_cancelled_before_it_came():
    cancel = ordered(5, name="Order Cancelled")
    (order,) = orders(cancel, ordered(1, revenue=100))
    assert (order.status, order.cancelled_at) == ("cancelled", at(5))
    assert net(cancel, ordered(1, revenue=100)) == []
    assert orders(cancel) == []


@pytest.mark.parametrize(
    ("later", "status"),
    [
        (ordered(9, revenue=80), "completed"),
        (ordered(9, name="Order Updated", revenue=80, status="Processing"), "completed"),
        (ordered(9, name="Order Updated", revenue=80, cancelled=False), "completed"),
        (ordered(5, name="Order Updated", revenue=80, status="processing"), "cancelled"),
        (ordered(9, name="Order Updated", revenue=80), "cancelled"),
        (ordered(9, name="Order Updated", revenue=80, status="refunded"), "cancelled"),
        (ordered(9, name="Order Updated", status="paid", cancelled=True), "cancelled"),
        (ordered(9, name="Order Updated", status=["paid"]), "cancelled"),
    ],
)
def test_a_cancelled_order_stands_again_when_a_later_version_says_so(later, status):
    (order,) = orders(later, ordered(5, name="Order Cancelled"), ordered(1, revenue=100))
    assert order.status == status
    assert (order.cancelled_at is None) == (status == "completed")


def test_a_version_that_says_so_cancels_the_order():
    (order,) = orders(ordered(1, revenue=5), ordered(3, name="Order Updated", status="Canceled"))
    assert (order.status, order.cancelled_at) == ("cancelled", at(3))


def test_revenue_is_never_added_across_currencies():
    said = (
        ordered(1, revenue=10),
        ordered(2, order_id="o2", revenue=5, currency="eur"),
        ordered(3, order_id=3, revenue=5, currency="EUR"),
    )
    assert net(*said) == [Money(Decimal(10), "EUR"), Money(Decimal(10), "USD")]


@pytest.mark.parametrize(
    ("said", "flag"),
    [
        (ordered(1, order_id=None, revenue=5), "order_without_id"),
        (ordered(1, order_id={"a": 1}, revenue=5), "order_without_id"),
        (ordered(1, revenue=5, currency="dollars"), "order_bad_currency"),
        (ordered(1, name="Order Refunded"), "refund_without_amount"),
        (ordered(1, name="Order Refunded", amount=0), "refund_without_amount"),
        (ordered(1, name="Order Refunded", amount=1, currency=["x"]), "refund_bad_currency"),
    ],
)
def test_an_order_event_that_cannot_be_used_changes_no_order_and_is_flagged(said, flag):
    state = state_of(said)
    assert (state.orders, state.flags, state.interactions) == ({}, {flag: 1}, 1)


def test_wild_numbers_never_stop_the_fold():
    lines = [{"price": 999_999_999_999, "quantity": 999_999_999_999}, {"price": "1e5"}, 7]
    assert net(ordered(1, products=lines)) == usd("0")

"""The properties of known events in the contract's form, however a shop has written them."""

from copy import deepcopy
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import inspect as shapes

from schemas.catalogue import NAMES
from schemas.properties.registry import STRUCTS
from schemas.properties.tidy import folded, tidy
from schemas.validation import check_order, doubts
from tests.tried import tried


def tidied(name: str, said: dict[str, Any], currency: str | None = None) -> dict[str, Any]:
    put = deepcopy(said)
    assert tidy(name, put, currency) == (repr(put) != repr(said))
    return put


def test_every_event_of_the_catalogue_has_properties() -> None:
    assert set(STRUCTS) == NAMES


@pytest.mark.parametrize("name", sorted(NAMES))
def test_no_two_properties_of_an_event_share_a_spelling(name: str) -> None:
    kind = shapes.type_info(STRUCTS[name])
    assert isinstance(kind, shapes.StructType)
    spellings = [folded(part.encode_name) for part in kind.fields]
    assert len(set(spellings)) == len(spellings)


@pytest.mark.parametrize("spelling", ["orderId", "order_ID", "Order ID ", "order-id", "ORDERID"])
def test_a_name_is_found_however_it_is_spelled(spelling: str) -> None:
    assert tidied("Order Cancelled", {spelling: "o-1"}) == {"order_id": "o-1"}


@pytest.mark.parametrize("event", ["Loyalty Card Scanned", "order completed", ""])
def test_events_beyond_the_catalogue_are_left_alone(event: str) -> None:
    said = {"orderId": 1, "products": {"sku": 2}, "price": " 1 "}
    assert tidied(event, said, "EUR") == said


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ({"order_id": "o-1", "orderId": "o-2"}, {"order_id": "o-1", "orderId": "o-2"}),
        ({"order_id": None, "orderId": "o-2"}, {"order_id": "o-2"}),
        ({"orderId": "o-1", "OrderID": "o-2"}, {"order_id": "o-1", "OrderID": "o-2"}),
        ({"id": "o-1", "o" * 9_000: 1}, {"id": "o-1", "o" * 9_000: 1}),
    ],
)
def test_nothing_that_was_said_is_lost(said: dict[str, Any], kept: dict[str, Any]) -> None:
    assert tidied("Order Completed", said) == kept


@pytest.mark.parametrize(
    ("said", "right"),
    [
        ({"order_id": 501}, {"order_id": "501"}),
        ({"order_id": " o-1 "}, {"order_id": "o-1"}),
        ({"total": " 12.50\n"}, {"total": "12.50"}),
        ({"total": Decimal("12.50")}, {"total": Decimal("12.50")}),
        ({"currency": " eur"}, {"currency": "EUR"}),
        ({"currency": ["eur"]}, {"currency": ["eur"]}),
        ({"order_id": True, "total": {}}, {"order_id": True, "total": {}}),
        (
            {"products": {"sku": 7, "Quantity": " 2 "}},
            {"products": [{"sku": "7", "product_id": "7", "quantity": 2}]},
        ),
        (
            {"products": {"0": {"productId": "a"}, "1": {"sku": "b"}}},
            {"products": [{"product_id": "a"}, {"sku": "b", "product_id": "b"}]},
        ),
        ({"products": {"lines": []}}, {"products": {"lines": []}}),
        ({"products": {}}, {"products": {}}),
        ({"products": "sku"}, {"products": "sku"}),
        ({"products": ["sku", None]}, {"products": ["sku", None]}),
        (
            {"products": [{"quantity": Decimal("2.0")}, {"quantity": Decimal("1.5")}]},
            {"products": [{"quantity": 2}, {"quantity": Decimal("1.5")}]},
        ),
        (
            {"products": [{"quantity": "two"}, {"quantity": Decimal("1e30")}]},
            {"products": [{"quantity": "two"}, {"quantity": Decimal("1e30")}]},
        ),
    ],
)
def test_what_has_one_reading_takes_the_contracts_form(
    said: dict[str, Any], right: dict[str, Any]
) -> None:
    assert tidied("Order Completed", said) == right


@pytest.mark.parametrize(
    ("event", "said", "currency"),
    [
        ("Order Completed", {"total": 5}, "EUR"),
        ("Order Completed", {"total": 5, "currency": ""}, "EUR"),
        ("Order Completed", {"total": 5, "currency": None}, "EUR"),
        ("Order Completed", {"products": []}, "EUR"),
        ("Order Completed", {"total": 5, "Currency": "gbp"}, "GBP"),
        ("Product Viewed", {"price": 5}, "EUR"),
        ("Product Viewed", {"name": "Shoe"}, None),
        ("Order Cancelled", {"order_id": "o-1"}, None),
        ("Order Refunded", {"total": 5}, None),  # it is in its order's
    ],
)
def test_amounts_without_a_currency_are_in_the_sources(
    event: str, said: dict[str, Any], currency: str | None
) -> None:
    assert tidied(event, said, "EUR").get("currency") == currency


@pytest.mark.parametrize(
    ("amounts", "flags"),
    [
        ({"total": "27.50", "discount": "2.50"}, ()),  # Segment's example of a completed order
        ({"total": "30", "discount": "2.50"}, ()),  # and of a cancelled one
        ({"total": "30.01"}, ()),
        ({"total": "29.98"}, ("amounts_disagree",)),
        ({"total": "30.02"}, ("amounts_disagree",)),
        ({"total": "28.50", "discount": "-2.50"}, ("amounts_disagree",)),
        ({"total": "30.02", "tax": None}, ()),  # the rest may be tax
        ({"total": "27.98", "tax": None}, ("amounts_disagree",)),
        ({"total": None}, ()),
        ({"total": "many"}, ()),
    ],
)
def test_amounts_that_contradict_each_other_are_flagged(
    amounts: dict[str, Any], flags: tuple[str, ...]
) -> None:
    said = {"order_id": "o-1", "revenue": 25, "shipping": 3, "tax": "2"} | amounts
    assert doubts("Order Completed", said) == flags
    assert doubts("Order Refunded", said) == ()


@pytest.mark.parametrize(
    ("total", "discount", "code"),
    [
        ("25", None, None),
        ("24.99", None, None),
        ("24.98", None, "revenue_above_total"),
        ("20", "-5", None),
        ("20", 4, "revenue_above_total"),
        (0, 0, "revenue_above_total"),
    ],
)
def test_no_goods_are_worth_more_than_was_asked_for_everything(
    total: Any, discount: Any, code: str | None
) -> None:
    said = {"order_id": "o-1", "revenue": 25, "total": total, "discount": discount}
    fault = check_order("Order Updated", said)
    assert (fault.code if fault else None) == code
    assert check_order("Order Cancelled", said) is None


SLOPPY = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 10**14),
    st.decimals(allow_nan=False, allow_infinity=False),
    st.text(max_size=5),
    st.sampled_from([" 12.50 ", "2", "eur", "EUR", "sku-1", "12,50"]),
)
KEYS = st.sampled_from(
    ["order_id", "orderId", "total", "Revenue", "currency", "sku", "Quantity", "price", "0"]
) | st.text(max_size=4)
ANYTHING = st.recursive(
    SLOPPY, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4)
)
PROPERTIES = st.dictionaries(KEYS, ANYTHING, max_size=6) | st.fixed_dictionaries(
    {"orderId": SLOPPY, "products": ANYTHING, "total": SLOPPY}
)


@given(name=st.sampled_from(sorted(NAMES)), said=PROPERTIES)
@tried(300)
def test_what_is_tidy_stays_as_it_is(name: str, said: dict[str, Any]) -> None:
    tidy(name, said, "EUR")
    once = deepcopy(said)
    assert tidy(name, said, "EUR") is False
    assert said == once


@given(said=PROPERTIES)
@tried(300)
def test_the_money_of_every_order_that_is_taken_can_be_read_exactly(said: dict[str, Any]) -> None:
    tidy("Order Completed", said)
    if check_order("Order Completed", said) is not None:
        return
    money = {name: said[name] for name in ("order_id", "total", "revenue") if name in said}
    lines = [
        {name: line[name] for name in ("price", "quantity") if line.get(name) is not None}
        for line in said.get("products") or ()
    ]
    read = msgspec.convert(money | {"products": lines}, STRUCTS["Order Completed"])
    assert all(
        getattr(read, name) == Decimal(money[name])  # type: ignore[call-overload]
        for name in ("total", "revenue")
        if money.get(name) is not None
    )

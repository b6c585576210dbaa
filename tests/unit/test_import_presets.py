"""The presets on exports as shops really make them."""

import csv
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from services.ingest.history.loading import preset_text
from services.ingest.model import Accepted, Receipt, Shared
from services.ingest.rules import accept
from tests.importing import NOW, imported

SHOPIFY = [
    "Name",
    "Email",
    "Financial_Status",
    "Paid_at",
    "Fulfillment_Status",
    "Fulfilled_at",
    "Accepts_Marketing",
    "Currency",
    "Subtotal",
    "Shipping",
    "Taxes",
    "Total",
    "Discount_Code",
    "Discount_Amount",
    "Shipping_Method",
    "Created_at",
    "Lineitem_quantity",
    "Lineitem_name",
    "Lineitem_price",
    "Lineitem_compare_at_price",
    "Lineitem_sku",
    "Lineitem_requires_shipping",
    "Lineitem_taxable",
    "Lineitem_fulfillment_status",
    "Billing_Name",
    "Billing_Street",
    "Billing_City",
    "Billing_Zip",
    "Billing_Country",
    "Billing_Phone",
    "Notes",
    "Cancelled_at",
    "Payment_Method",
    "Refunded_Amount",
    "Vendor",
    "Id",
    "Tags",
    "Phone",
]
AT = "2021-05-03 10:15:00 +0200"
FIRST: dict[str, str] = {
    "Name": "#1001", "Email": "ada@shop.example", "Financial Status": "paid", "Paid at": AT,
    "Accepts Marketing": "yes", "Currency": "EUR", "Subtotal": "30.00", "Shipping": "4.90",
    "Taxes": "5.57", "Total": "34.90", "Discount Amount": "0.00", "Created at": AT,
    "Lineitem quantity": "2", "Lineitem name": "Green tea", "Lineitem price": "12.50",
    "Lineitem sku": "TEA-1", "Billing Name": "Ada Lovelace", "Billing City": "London",
    "Billing Zip": "'10115", "Billing Country": "GB", "Refunded Amount": "0.00",
    "Vendor": "Leaf", "Id": "4501", "Tags": "vip, b2b", "Phone": "+49301234567",
}  # fmt: skip
SECOND = {
    "Name": "#1001", "Email": "ada@shop.example", "Created at": AT, "Vendor": "Kiln",
    "Lineitem quantity": "1", "Lineitem name": "Cup", "Lineitem price": "5.00",
}  # fmt: skip


def shopify(tmp_path: Path, *rows: dict[str, str]) -> list[Any]:
    path = tmp_path / "orders_export.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, [name.replace("_", " ") for name in SHOPIFY], restval="")
        writer.writeheader()
        writer.writerows(rows)
    return fitting(imported(path, preset_text("shopify-orders")))


def fitting(events: list[Any]) -> list[Any]:
    """The events, which ingest all accepts."""
    for event in events:
        text = msgspec.json.encode(event)
        outcome = accept(text, None, Shared(history=True), Receipt("shop", NOW, lambda: ""))
        assert isinstance(outcome, Accepted), (event, outcome)
    return events


def test_a_shopify_order_has_its_lines_and_its_customer(tmp_path: Path) -> None:
    person, order = shopify(tmp_path, FIRST, SECOND)
    ids = person.pop("messageId"), order.pop("messageId")
    assert len({*ids}) == 2
    assert person == {
        "type": "identify", "timestamp": "2021-05-03T08:15:00Z",
        "traits": {
            "email": "ada@shop.example", "name": "Ada Lovelace", "phone": "+49301234567",
            "address": {"city": "London", "postalCode": "10115", "country": "GB"},
        },
    }  # fmt: skip
    assert order == {
        "type": "track", "event": "Order Completed", "timestamp": "2021-05-03T08:15:00Z",
        "context": {"traits": {"email": "ada@shop.example"}},
        "properties": {
            "order_id": "4501", "order_number": "#1001", "currency": "EUR", "subtotal": 30.0,
            "shipping": 4.9, "tax": 5.57, "total": 34.9, "discount": 0.0, "tags": ["vip", "b2b"],
            "products": [
                {"sku": "TEA-1", "product_id": "TEA-1", "name": "Green tea", "brand": "Leaf",
                 "price": 12.5, "quantity": 2},
                {"product_id": "Cup", "name": "Cup", "brand": "Kiln", "price": 5.0, "quantity": 1},
            ],
        },
    }  # fmt: skip


@pytest.mark.parametrize(
    ("change", "last"),
    [
        ({"Refunded Amount": "10.00"}, ("Order Refunded", 10.0)),
        ({"Cancelled at": AT, "Refunded Amount": "34.90"}, ("Order Cancelled", None)),
        ({"Financial Status": "voided", "Paid at": ""}, ("Order Cancelled", None)),
    ],
)
def test_what_was_taken_back_of_a_shopify_order_follows_it(
    tmp_path: Path, change: dict[str, str], last: tuple[str, Any]
) -> None:
    _, order, more = shopify(tmp_path, FIRST | change, SECOND)
    assert (more["event"], more["properties"].get("total")) == last
    assert more["properties"]["order_id"] == order["properties"]["order_id"]
    assert more["messageId"] != order["messageId"]


def test_woocommerce_orders_have_exact_refunds_and_the_lines_within_them(tmp_path: Path) -> None:
    order = {
        "id": 727, "number": "727", "status": "completed", "currency": "USD",
        "date_created_gmt": "2021-03-22T19:28:02", "date_modified_gmt": "2021-03-24T10:00:00",
        "date_paid_gmt": "2021-03-22T19:28:08", "discount_total": "0.00",
        "shipping_total": "10.00", "total": "29.35", "total_tax": "1.35", "customer_id": 0,
        "billing": {"first_name": "John", "last_name": "Doe", "city": "San Francisco",
                    "postcode": "94103", "country": "US", "email": "john@shop.example",
                    "phone": ""},
        "line_items": [{"id": 315, "name": "Single #1", "product_id": 93, "quantity": 2,
                        "total": "6.00", "sku": "", "price": 3}],
        "coupon_lines": [], "payment_method_title": "Card",
        "refunds": [{"id": 726, "total": "-0.10"}, {"id": 724, "total": "-0.20"}],
    }  # fmt: skip
    path = tmp_path / "orders.ndjson"
    pending = order | {"id": 728, "status": "pending", "refunds": []}
    path.write_text(json.dumps(order) + "\n" + json.dumps(pending))
    person, bought, refunded, other = fitting(imported(path, preset_text("woocommerce-orders")))
    assert person["traits"]["address"] == {
        "city": "San Francisco", "postalCode": "94103", "country": "US",
    }  # fmt: skip
    assert "phone" not in person["traits"]
    assert bought["timestamp"] == "2021-03-22T19:28:08Z"
    assert bought["properties"] == {
        "order_id": "727", "order_number": "727", "currency": "USD", "shipping": 10.0,
        "tax": 1.35, "total": 29.35, "discount": 0.0, "payment_method": "Card",
        "products": [{"product_id": "93", "name": "Single #1", "price": 3, "quantity": 2}],
    }  # fmt: skip
    assert (refunded["event"], refunded["properties"]["total"]) == ("Order Refunded", -0.3)
    assert other["type"] == "identify"  # who has not paid has not ordered

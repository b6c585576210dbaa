"""The physical store: what a till uploads, and the events that come of it."""

import json
from hashlib import sha256
from typing import Any

import pytest

from schemas.messages import Event
from schemas.validation import Fault, check
from services.ingest.sources.model import KeyHash, Source
from services.ingest.till.sale import read
from services.ingest.till.translation import event_of
from services.runtime.keys import digest
from tests.ingesting import Kept, Published, Shelf, client_of
from tests.unit.test_ingest_rules import NOW

TILL_KEY = "a-tills-key"
SALE: dict[str, Any] = {
    "till": "berlin-2",
    "receipt": "000123",
    "occurred_at": "2026-03-14T10:00:00+01:00",
    "total": "24.90",
    "tax": "3.98",
    "lines": [{"sku": "SOCK-3", "name": "Socks", "quantity": 2, "price": "12.45"}],
    "payments": [{"method": "card", "amount": "24.90"}],
}
RETURN = SALE | {
    "kind": "return",
    "receipt": "000456",
    "sale_id": "berlin-2/000123",
    "total": "12.45",
    "tax": "1.99",
    "lines": [{"sku": "SOCK-3", "price": "12.45"}],
    "payments": [],
}


def event(said: dict[str, Any]) -> dict[str, Any]:
    sale = read(said)
    assert not isinstance(sale, Fault), sale
    return event_of(sale, "shops")


def refused(said: dict[str, Any]) -> str:
    fault = read(said)
    assert isinstance(fault, Fault), fault
    assert "Ada" not in fault.detail
    return fault.code


def test_a_sale_is_an_order_of_the_channel_store() -> None:
    assert event(SALE | {"currency": "EUR", "store": "Berlin", "shift": 3}) == {
        "type": "track",
        "event": "Order Completed",
        "messageId": "till:shops:berlin-2:000123",
        "timestamp": "2026-03-14T10:00:00+01:00",
        "anonymousId": "till:shops:berlin-2/000123",
        "context": {"library": {"name": "regulars-till", "version": "1"}, "channel": "store"},
        "properties": {
            "order_id": "berlin-2/000123",
            "channel": "store",
            "till": "berlin-2",
            "receipt": "000123",
            "affiliation": "Berlin",
            "currency": "EUR",
            "total": "24.90",
            "tax": "3.98",
            "revenue": "20.92",
            "payments": [{"method": "card", "amount": "24.90"}],
            "products": [
                {
                    "sku": "SOCK-3",
                    "product_id": "SOCK-3",
                    "name": "Socks",
                    "quantity": 2,
                    "price": "12.45",
                }
            ],
            "shift": 3,
        },
    }


def test_a_return_takes_back_from_its_sale_what_that_sale_had_brought() -> None:
    said = event(RETURN)
    assert (said["event"], said["messageId"]) == (
        "Order Refunded",
        "till:shops:berlin-2:000456:return",
    )
    assert said["anonymousId"] == event(SALE)["anonymousId"]
    properties = said["properties"]
    assert properties["order_id"] == event(SALE)["properties"]["order_id"]
    assert {name: properties.get(name) for name in ("revenue", "total", "tax", "paid_back")} == {
        "revenue": "10.46",
        "total": None,
        "tax": "1.99",
        "paid_back": "12.45",
    }


def test_a_return_without_its_total_is_its_lines_and_without_tax_all_of_it() -> None:
    lines = [{"sku": "a", "price": "1.50", "quantity": 2}, {"sku": "b", "price": 4}, {"sku": "c"}]
    said = {name: RETURN[name] for name in RETURN if name not in ("total", "tax")}
    assert event(said | {"lines": lines})["properties"]["total"] == "7.00"


@pytest.mark.parametrize(
    ("buyer", "named"),
    [
        (None, {"anonymousId": "till:shops:berlin-2/000123"}),
        ({}, {"anonymousId": "till:shops:berlin-2/000123"}),
        ({"email": "no address"}, {"anonymousId": "till:shops:berlin-2/000123"}),
        ({"phone": "030 123456"}, {"anonymousId": "till:shops:berlin-2/000123"}),
        ({"loyalty_card": "2012 3456-78a"}, {"anonymousId": "loyalty_card:2012345678A"}),
        ({"loyalty_card": 20123456}, {"anonymousId": "loyalty_card:20123456"}),
        ({"email": "ada@shop.example"}, {}),
        (
            {"email": "ada@shop.example", "loyalty_card": "7", "user_id": "ada"},
            {"userId": "ada", "anonymousId": "loyalty_card:7"},
        ),
        (
            {"phone": "0049 (30) 1234-567"},
            {"anonymousId": "phone:" + sha256(b"+49301234567").hexdigest()},
        ),
        ({"phone": "+49301234567", "user_id": "ada"}, {"userId": "ada"}),
    ],
)
def test_a_buyer_is_named_by_what_the_till_knows(
    buyer: dict[str, Any] | None, named: dict[str, str]
) -> None:
    said = event(SALE | {"customer": buyer})
    assert {name: said[name] for name in ("userId", "anonymousId") if name in said} == named


def test_a_card_and_a_receipts_mail_are_one_persons() -> None:
    buyer = {"loyalty_card": "7", "email": "ada@shop.example", "phone": "+49301234567"}
    assert event(SALE | {"customer": buyer})["context"] == {
        "library": {"name": "regulars-till", "version": "1"},
        "channel": "store",
        "traits": {"email": "ada@shop.example", "phone": "+49301234567"},
        "externalIds": [
            {"id": "7", "type": "loyalty_card", "collection": "users", "encoding": "none"}
        ],
    }


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({}, "bad_sale"),
        (SALE | {"kind": "Ada"}, "bad_sale"),
        (SALE | {"till": "Ada:2"}, "bad_sale"),
        (SALE | {"receipt": " "}, "bad_sale"),
        (SALE | {"occurred_at": "2026-03-14T10:00:00"}, "bad_sale"),
        (SALE | {"occurred_at": "Ada"}, "bad_sale"),
        (SALE | {"total": "12,50"}, "bad_sale"),
        (SALE | {"total": -1}, "bad_sale"),
        (SALE | {"total": "NaN"}, "bad_sale"),
        (SALE | {"lines": [{"sku": "a", "quantity": -1}]}, "bad_sale"),
        (SALE | {"lines": {"sku": "a"}}, "bad_sale"),
        (SALE | {"customer": "Ada"}, "bad_sale"),
        (SALE | {"total": None}, "missing_total"),
        (RETURN | {"sale_id": None}, "missing_sale"),
    ],
)
def test_what_is_no_sale_is_refused_with_a_code(said: dict[str, Any], code: str) -> None:
    assert refused(said) == code


async def upload(
    body: Any, shelf: Shelf, kind: str = "store", kept: Kept | None = None
) -> tuple[int, dict[str, Any]]:
    published = Published()
    key = KeyHash(id="k1", hash=digest(TILL_KEY), created_at=NOW)
    published.put(Source(name="web", kind=kind, keys=(key,), default_currency="EUR"))
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    async with client_of(shelf, TILL_KEY, published, kept) as client:
        response = await client.post("/v1/store/sales", content=content)
    return response.status_code, response.json()


async def test_an_upload_of_yesterday_is_taken_sale_by_sale() -> None:
    shelf = Shelf()
    sales = [
        SALE,
        SALE | {"receipt": "000124", "total": "12,50"},
        7,
        SALE,
        SALE | {"receipt": "000125", "currency": "EURO"},
        RETURN,
    ]
    kept = Kept()
    status, answer = await upload({"sales": sales}, shelf, kept=kept)
    refusals = {(one.code, origin.call, origin.door) for _, one, origin in kept.refused}
    assert refusals == {
        ("bad_sale", "sale", "till"),
        ("not_an_object", "sale", "till"),
        ("unknown_currency", None, "till"),
    }
    assert b"7" in [text for text, _, _ in kept.refused]
    assert (status, answer["accepted"], answer["duplicates"]) == (200, 2, 1)
    assert [(one["index"], one["code"]) for one in answer["rejected"]] == [
        (1, "bad_sale"),
        (2, "not_an_object"),
        (4, "unknown_currency"),
    ]
    assert answer["rejected"][2]["messageId"] == "till:web:berlin-2:000125"
    assert [(value["event"], value["timestamp"]) for value in shelf.values] == [
        ("Order Completed", "2026-03-14T09:00:00Z"),
        ("Order Refunded", "2026-03-14T09:00:00Z"),
    ]
    sold, returned = (value["properties"] for value in shelf.values)
    assert sold["currency"] == "EUR"
    assert "currency" not in returned  # it is its sale's
    assert [one.topic for one in shelf.events] == ["events.orders", "events.orders"]


@pytest.mark.parametrize(
    ("body", "kind", "status", "code"),
    [
        ({"sales": [SALE]}, "server", 403, "wrong_kind"),
        ({"sales": {}}, "store", 400, "bad_upload"),
        ([], "store", 400, "bad_upload"),
        (b"{", "store", 400, "bad_json"),
        ({"sales": [1] * 2_501}, "store", 413, "upload_too_long"),
        (b" " * 600_000, "store", 413, "body_too_large"),
    ],
)
async def test_what_is_no_upload_is_refused_whole(
    body: Any, kind: str, status: int, code: str
) -> None:
    shelf = Shelf()
    answer = await upload(body, shelf, kind)
    assert (answer[0], answer[1]["code"], shelf.events) == (status, code, [])


async def test_while_the_broker_is_away_the_till_must_keep_its_sales() -> None:
    shelf = Shelf()
    shelf.trouble = "Kafka is not reachable."
    status, answer = await upload({"sales": [SALE]}, shelf)
    assert (status, answer["code"]) == (503, "broker_unavailable")


async def test_without_a_key_nothing_is_taken() -> None:
    async with client_of(Shelf(), None) as client:
        response = await client.post("/v1/store/sales", json={"sales": [SALE]})
    assert response.status_code == 401


def test_the_largest_receipt_fits_into_an_event() -> None:
    line = {"sku": "s" * 150, "name": "n" * 200, "url": "u" * 200, "price": "1.00"}
    said = event(SALE | {"lines": [line] * 1_000})
    assert len(json.dumps(said)) < 32 * 1024
    assert said["properties"]["total"] == "24.90"
    whole = said | {"timestamp": NOW, "receivedAt": NOW}
    fields = {name: whole[name] for name in ("type", "event", "properties", "timestamp")}
    assert check(Event(message_id="m", anonymous_id="a", received_at=NOW, **fields)) is None

"""Shopify's webhooks: signed, and in whatever order they come, the order is right."""

import json
from datetime import timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.messages import Identifier, Order, OrderLine, Refund
from services.ingest.hooks import signature
from services.ingest.hooks.body import instant, part, text
from services.ingest.hooks.model import Delivery, Translated
from services.ingest.hooks.registry import check_options
from services.ingest.hooks.shopify import TOPICS, Shopify
from services.runtime.turn import Record
from tests.hooking import (
    NOW,
    Tray,
    accepted,
    builtins,
    changed,
    delivery,
    doorway,
    example,
    examples,
    orders_after,
    source,
    taken,
    translation,
)
from tests.identity_stories import SOURCE
from tests.tried import tried
from tests.two_stages import Stages

SECRET = "shpss_current"
EXAMPLES = examples("shopify")
called = partial(changed, "shopify")
SHOP = "tea-room.myshopify.com"


def translate(said: Delivery, **options: Any) -> Translated:
    return translation(Shopify(), said, options)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_a_delivery_becomes_what_its_example_says(path: Path) -> None:
    said, options, becomes = example(path)
    assert builtins(translate(said, **options)) == becomes


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_everything_that_an_example_becomes_is_accepted(path: Path) -> None:
    translated = translate(example(path)[0])
    assert len(accepted(translated)) == len(translated.events)


def test_every_topic_has_an_example() -> None:
    assert {example(path)[0].headers["x-shopify-topic"] for path in EXAMPLES} >= set(TOPICS)


def post(said: Delivery, secret: str = SECRET, **more: str) -> dict[str, Any]:
    signed = signature.sign(secret.encode(), said.body)
    headers = {**said.headers, "x-shopify-hmac-sha256": signed, **more}
    return {"url": "/v1/hooks/shop", "content": said.body, "headers": headers}


async def test_the_same_webhook_twice_is_one_event() -> None:
    tray = Tray()
    async with doorway(tray, source("shopify", {"app_secret": [SECRET]})) as client:
        for _ in range(2):
            response = await client.post(**post(called("orders-paid")))
            assert (response.status_code, response.json()["rejected"]) == (200, [])
    assert [one["messageId"] for one in tray.events][:2] == [
        one["messageId"] for one in tray.events
    ][2:]
    assert tray.events[0]["properties"]["total"] == "26.32"
    assert {one["source"] for one in tray.events} == {"shop"}


@pytest.mark.parametrize(
    ("secret", "headers", "status", "code"),
    [
        (SECRET, {}, 200, None),
        ("shpss_former", {}, 200, None),
        ("shpss_guessed", {}, 401, "bad_signature"),
        (SECRET, {"x-shopify-hmac-sha256": ""}, 401, "bad_signature"),
        (SECRET, {"x-shopify-shop-domain": "other.myshopify.com"}, 401, "wrong_shop"),
    ],
)
async def test_only_what_the_shop_has_signed_is_taken(
    secret: str, headers: dict[str, str], status: int, code: str | None
) -> None:
    options = {"shop_domain": SHOP.upper()}
    shop = source("shopify", {"app_secret": [SECRET, "shpss_former"]}, options)
    async with doorway(tray := Tray(), shop) as client:
        response = await client.post(**post(called("orders-paid"), secret, **headers))
    assert (response.status_code, response.json().get("code")) == (status, code)
    assert (tray.records == []) == (status != 200)


async def test_one_changed_byte_breaks_the_signature() -> None:
    call = post(called("orders-paid"))
    call["content"] = call["content"].replace(b"26.32", b"26.31")
    async with doorway(Tray(), source("shopify", {"app_secret": [SECRET]})) as client:
        assert (await client.post(**call)).status_code == 401


async def test_a_former_secret_ends_an_hour_after_the_rotation() -> None:
    shop = source("shopify", {"app_secret": [SECRET, "shpss_former"]})
    async with doorway(Tray(), shop, clock=lambda: NOW + timedelta(hours=1)) as client:
        response = await client.post(**post(called("orders-paid"), "shpss_former"))
    assert response.status_code == 401


STORY = [
    called("orders-create"),
    called("orders-paid"),
    called("orders-fulfilled"),
    called("refunds-create"),
    called("orders-updated-with-refund"),
    called("orders-cancelled"),
]
AFTER_REFUND = Order(
    order_id="5510001",
    currency="EUR",
    ordered_at=instant("2026-03-14T08:12:37Z") or NOW,
    updated_at=instant("2026-03-16T14:00:02.250Z") or NOW,
    revenue=Decimal("18.00"),
    total=Decimal("26.32"),
    refunds=[
        Refund(
            message_id="shopify:refund:990001",
            amount=Decimal("15.61"),
            at=instant("2026-03-16T14:00:01Z") or NOW,
            revenue=Decimal("9.00"),
        )
    ],
    products=[
        OrderLine(
            product_id="8011",
            name="Assam Second Flush",
            brand="Tea Room",
            price=Decimal("11.90"),
            quantity=2,
        )
    ],
)


CANCELLED_AT = instant("2026-03-17T07:00:00Z")
CANCELLED = msgspec.structs.replace(
    AFTER_REFUND, status="cancelled", cancelled_at=CANCELLED_AT, updated_at=CANCELLED_AT or NOW
)


def test_an_orders_webhooks_in_their_order_give_the_order() -> None:
    assert orders_after(map(translate, STORY[:5])) == [AFTER_REFUND]
    assert orders_after(map(translate, STORY)) == [CANCELLED]


# Told days late, and yet no later than its ``updated_at``.
EDITED = called(
    "orders-paid",
    updated_at="2026-03-14T09:13:05+01:00",
    total_price="38.22",
    subtotal_price="33.32",
    total_tax="6.10",
)
EDITED.headers["x-shopify-webhook-id"] = "wh-0007"  # type: ignore[index]
EDITED.headers["x-shopify-triggered-at"] = "2026-03-20T08:00:00Z"  # type: ignore[index]


@tried(150)
@given(
    told=st.permutations([*STORY, EDITED]),
    again=st.lists(st.sampled_from([*STORY, EDITED]), max_size=6),
    last=st.integers(0, 7),
)
def test_any_order_and_repetition_of_an_orders_webhooks_gives_the_same_order(
    told: list[Delivery], again: list[Delivery], last: int
) -> None:
    come = [*told[:last], *again, *told[last:]]
    assert orders_after(map(translate, come)) == [CANCELLED]


def test_a_refund_says_the_same_of_money_by_itself_and_within_its_order() -> None:
    told = ("event", "messageId", "timestamp", "properties")
    [alone] = translate(called("refunds-create")).events
    within = translate(called("orders-updated-with-refund")).events[1]
    assert {name: alone[name] for name in told} == {name: within[name] for name in told}


def test_a_refund_that_comes_alone_or_first_is_of_who_has_the_order() -> None:
    alone, order = (accepted(translate(called(n))) for n in ("refunds-create", "orders-create"))
    of_order = Identifier("order", "shop/5510001")
    assert [one.identifiers for one in alone] == [[of_order]]
    assert [of_order in one.identifiers for one in order] == [True, False]  # the latter: consent


FIRST = {
    "orders/create": called("orders-create"),
    "orders/updated alone": called("orders-paid", updated_at="2026-03-14T09:12:44+01:00"),
}
LAST = {
    "a minute later": called("orders-fulfilled", updated_at="2026-03-14T09:13:39+01:00"),
    "fulfilled": called("orders-fulfilled"),
    "cancelled": called("orders-cancelled"),
}


@pytest.mark.parametrize("first", FIRST.values(), ids=list(FIRST))
@pytest.mark.parametrize("last", LAST.values(), ids=list(LAST))
async def test_the_browser_is_whose_it_was_when_the_order_was_placed(
    first: Delivery, last: Delivery
) -> None:
    web = {"anonymousId": "a-77", "type": "page"}
    seen = [
        web | {"messageId": "bought", "timestamp": "2026-03-14T08:13:00Z"},
        web | {"messageId": "login", "timestamp": "2026-03-14T08:13:30Z", "userId": "samir"},
        web | {"messageId": "looks", "timestamp": "2026-03-20T12:00:00Z"},
    ]
    told = [translate(first), Translated(events=seen), translate(last)]
    stages = Stages()
    await stages.takes([Record(SOURCE, 0, b"k", one, {}) for said in told for one in taken(said)])
    buyer = text(part(json.loads(first.body), "customer")["id"])
    ada, samir = (stages.people.by[Identifier("user_id", name)] for name in (buyer, "samir"))
    whose = {id_: stages.people.stored[id_].profile_id for id_ in ("bought", "looks")}
    assert whose == {"bought": ada.profile_id, "looks": samir.profile_id}


def test_what_is_told_later_of_an_order_to_nobody_but_its_visitor_names_that_one() -> None:
    nobody: dict[str, Any] = dict.fromkeys(
        ("customer", "email", "contact_email", "billing_address", "shipping_address")
    )
    said = translate(called("orders-cancelled", **nobody)).events
    assert [one.get("anonymousId") for one in said] == ["a-77"] * len(said)


@pytest.mark.parametrize(
    "changes",
    [
        {"transactions": []},
        {"transactions": [{"kind": "refund", "status": "pending", "amount": "1.00"}]},
        {"refund_line_items": [], "total_duties_set": None},  # in which currency is the shop?
    ],
)
def test_what_a_refund_does_not_tell_by_itself_is_left_to_its_order(changes: Any) -> None:
    translated = translate(called("refunds-create", **changes))
    assert [fault.code for fault in translated.ignored] == ["refund_with_order"]
    assert translated.events == []


@pytest.mark.parametrize(("told", "total"), [({}, None), ({"amount_set": "14.20"}, "14.20")])
def test_a_refund_in_the_customers_currency_waits_for_the_orders_rate(
    told: dict[str, str], total: str | None
) -> None:
    [paid, _] = json.loads(called("refunds-create").body)["transactions"]
    paid["currency"] = "USD"
    for name, amount in told.items():
        paid[name] = {"shop_money": {"amount": amount, "currency_code": "EUR"}}
    translated = translate(called("refunds-create", transactions=[paid]))
    assert [one["properties"]["total"] for one in translated.events] == [total] * bool(total)
    assert len(translated.ignored) == (total is None)


def test_refunds_of_test_gateways_count_where_the_source_says_so() -> None:
    [paid, _] = json.loads(called("refunds-create").body)["transactions"]
    said = called("refunds-create", transactions=[paid | {"test": True}])
    assert [fault.code for fault in translate(said).ignored] == ["test_order"]
    assert len(translate(said, test_orders=True).events) == 1


def test_a_sale_that_two_subscriptions_tell_is_one() -> None:
    again = called("orders-create")
    again = msgspec.structs.replace(again, headers={**again.headers, "x-shopify-webhook-id": "b"})
    ids = {translate(said).events[0]["messageId"] for said in (STORY[0], again)}
    assert ids == {"shopify:completed:5510001"}


def test_of_two_versions_of_one_second_the_later_triggered_one_stands() -> None:
    [order] = orders_after(map(translate, [EDITED, STORY[1]]))
    assert (order.total, order.revenue) == (Decimal("38.22"), Decimal("28.00"))


def test_a_refund_that_is_pending_counts_once_it_has_succeeded() -> None:
    path = "orders-updated-of-a-guest-in-another-currency"
    pending = called(path)
    body = json.loads(pending.body)
    body["refunds"][0]["transactions"][1]["status"] = "success"
    later = called(path, refunds=body["refunds"], updated_at="2026-03-15T12:00:00-05:00")
    for come in ([pending, later], [later, pending], [later]):
        [order] = orders_after(map(translate, come))
        assert [refund.amount for refund in order.refunds] == [Decimal("0.74"), Decimal("25.00")]


def test_prices_without_tax_and_unknown_subtotals_leave_revenue_to_the_reader() -> None:
    said = called("orders-create", subtotal_price=None)
    assert {
        name: value
        for name, value in translate(said).events[0]["properties"].items()
        if name in ("total", "revenue", "tax", "shipping")
    } == {"total": "26.32", "tax": "4.20", "shipping": "4.90"}


@pytest.mark.parametrize("price", ["12,50", True, "-1.00", [1]])
async def test_an_amount_that_cannot_be_counted_refuses_the_event_alone(price: Any) -> None:
    shop = source("shopify", {"app_secret": [SECRET]})
    async with doorway(tray := Tray(), shop) as client:
        response = await client.post(**post(called("orders-create", total_price=price)))
    assert response.status_code == 200
    assert [one["code"] for one in response.json()["rejected"]] in (
        ["bad_amount"],
        ["negative_amount"],
    )
    assert [one["event"] for one in tray.events] == ["Consent Updated"]


def test_a_sale_to_nobody_is_refused_until_it_has_a_customer() -> None:
    said = called("orders-create", customer=None, email=None, contact_email=None)
    body = json.loads(said.body) | {"note_attributes": []}
    translated = translate(msgspec.structs.replace(said, body=json.dumps(body).encode()))
    assert "userId" not in translated.events[0]
    with pytest.raises(AssertionError, match="missing_id"):
        accepted(translated)


@pytest.mark.parametrize(
    ("body", "topic"),
    [
        ("orders-create", "customers/redact"),
        ("customers-update", "shop/redact"),
        ("customers-redact", "shop/redact"),
        ("customers-data-request", "customers/redact"),
        ("customers-redact", "customers/data_request"),
    ],
)
def test_a_header_alone_erases_nobody(body: str, topic: str) -> None:
    said = called(body)
    forged = delivery(said.body, **{**said.headers, "x-shopify-topic": topic})
    fault = Shopify().translate(forged, {})
    assert getattr(fault, "code", None) == "bad_privacy_request"


def test_a_privacy_request_of_another_shop_is_refused() -> None:
    fault = Shopify().translate(called("shop-redact"), {"shop_domain": "other.myshopify.com"})
    assert getattr(fault, "code", None) == "bad_privacy_request"


def test_a_test_order_counts_where_the_source_says_so() -> None:
    translated = translate(called("orders-create-test-order"), test_orders=True)
    assert translated.events[0]["event"] == "Order Completed"


def test_options_are_checked_when_a_source_is_written() -> None:
    assert check_options("shopify", {"shop_domain": SHOP, "test_orders": True}) == []
    assert [fault.detail for fault in check_options("shopify", {"shop": SHOP})] == [
        "options: Object contains unknown field `shop`"
    ]
    assert [fault.detail for fault in check_options("shopify", {"test_orders": "yes"})] == [
        "options.test_orders: Expected `bool`, got `str`"
    ]

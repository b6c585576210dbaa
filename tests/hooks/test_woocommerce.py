"""WooCommerce's webhooks: an order counts by its state, and each refund once."""

from decimal import Decimal
from functools import partial
from itertools import permutations
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.messages import Identifier, Order
from services.ingest.hooks import signature
from services.ingest.hooks.body import instant
from services.ingest.hooks.model import Delivery, Translated
from services.ingest.hooks.registry import check_options
from services.ingest.hooks.woocommerce import TOPICS, WooCommerce
from services.profile.build.rules.orders import net_revenue
from services.runtime.turn import Record
from tests.hooking import (
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

SECRET = "ck_hook"
EXAMPLES = examples("woocommerce")
called = partial(changed, "woocommerce")


def translate(said: Delivery, **options: Any) -> Translated:
    return translation(WooCommerce(), said, options)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_a_delivery_becomes_what_its_example_says(path: Path) -> None:
    said, options, becomes = example(path)
    translated = translate(said, **options)
    assert builtins(translated) == becomes
    assert len(accepted(translated)) == len(translated.events)


def test_every_topic_has_an_example() -> None:
    assert {example(path)[0].headers["x-wc-webhook-topic"] for path in EXAMPLES} >= set(TOPICS)


def post(said: Delivery, secret: str = SECRET, **more: str) -> dict[str, Any]:
    signed = signature.sign(secret.encode(), said.body)
    headers = {**said.headers, "x-wc-webhook-signature": signed, **more}
    return {"url": "/v1/hooks/shop", "content": said.body, "headers": headers}


async def test_a_delivery_sent_again_by_hand_is_the_same_events() -> None:
    tray = Tray()
    async with doorway(tray, source("woocommerce", {"webhook_secret": [SECRET]})) as client:
        first = await client.post(**post(called("order-updated-with-refunds")))
        again = {"x-wc-webhook-delivery-id": "another"}
        second = await client.post(**post(called("order-updated-with-refunds"), **again))
    assert (first.status_code, first.json()) == (second.status_code, second.json())
    assert first.json()["accepted"] == 3
    ids = [one["messageId"] for one in tray.events]
    assert ids[:3] == ids[3:]


@pytest.mark.parametrize(
    ("secret", "source_header", "status", "code"),
    [
        (SECRET, "https://shelves.example/", 200, None),
        ("former", "http://www.shelves.example", 200, None),
        ("guessed", "https://shelves.example/", 401, "bad_signature"),
        (SECRET, "https://other.example/", 401, "wrong_shop"),
    ],
)
async def test_only_what_the_shop_has_signed_is_taken(
    secret: str, source_header: str, status: int, code: str | None
) -> None:
    options = {"shop_url": "https://Shelves.example"}
    shop = source("woocommerce", {"webhook_secret": [SECRET, "former"]}, options)
    call = post(called("order-created"), secret, **{"x-wc-webhook-source": source_header})
    async with doorway(tray := Tray(), shop) as client:
        response = await client.post(**call)
    assert (response.status_code, response.json().get("code")) == (status, code)
    assert (tray.records == []) == (status != 200)


async def test_the_ping_of_a_new_webhook_is_answered_and_nothing_else_goes_unsigned() -> None:
    form = {"content-type": "application/x-www-form-urlencoded"}
    async with doorway(tray := Tray(), source("woocommerce", {})) as client:
        pong = await client.post("/v1/hooks/shop", content=b"webhook_id=3", headers=form)
        other = await client.post("/v1/hooks/shop", content=b"webhook_id=3&x=1", headers=form)
        signed = post(called("order-created"), "")
        closed = await client.post(**signed)
    assert (pong.status_code, pong.text) == (200, "pong")
    assert (other.status_code, closed.status_code) == (401, 401)
    assert closed.json()["code"] == "missing_secret"
    assert tray.records == []


STORY = [
    called("order-created-awaiting-payment"),
    called("order-created"),
    called("order-updated-completed"),
    called("order-updated-with-refunds"),
    called("order-updated-refunded", status="completed"),
]


def worth(orders: list[Order]) -> list[Any]:
    """All of the orders but the day of a refund, which WooCommerce does not tell."""
    return [
        (
            order.order_id,
            order.status,
            order.ordered_at,
            (order.revenue, order.total, order.products),
            [(refund.message_id, refund.amount) for refund in order.refunds],
            net_revenue([order]),
        )
        for order in orders
    ]


@tried(100)
@given(
    told=st.permutations(STORY),
    again=st.lists(st.sampled_from(STORY), max_size=4),
    last=st.integers(0, 5),
)
def test_any_order_and_repetition_of_an_orders_webhooks_is_worth_the_same(
    told: list[Delivery], again: list[Delivery], last: int
) -> None:
    [expected] = orders_after(map(translate, STORY))
    assert (expected.revenue, expected.total) == (Decimal("28.00"), Decimal("39.40"))
    assert [refund.amount for refund in expected.refunds] == [Decimal("10.80"), Decimal("28.60")]
    come = orders_after(map(translate, [*told[:last], *again, *told[last:]]))
    assert [sorted(one[4]) for one in worth(come)] == [sorted(worth([expected])[0][4])]
    assert [one[:4] for one in worth(come)] == [worth([expected])[0][:4]]


def test_a_cancelled_order_counts_no_more_and_one_never_placed_never_did() -> None:
    cancelled = called("order-updated-cancelled")
    [order] = orders_after(map(translate, [*STORY, cancelled]))
    assert (order.status, net_revenue([order])) == ("cancelled", [])
    assert orders_after(map(translate, [STORY[0], cancelled])) == []


def test_an_order_that_is_opened_again_counts_again_until_it_is_cancelled_again() -> None:
    cancelled = called("order-updated-cancelled")
    opened = called("order-updated-completed", date_modified_gmt="2026-03-20T08:00:00")
    again = called("order-updated-cancelled", date_modified_gmt="2026-03-21T08:00:00")
    come = [STORY[1], cancelled, opened, again]
    for told in permutations(come[:3]):
        [order] = orders_after(map(translate, told))
        assert (order.status, order.cancelled_at) == ("completed", None)
    for told in permutations(come):
        [order] = orders_after(map(translate, told))
        assert (order.status, order.cancelled_at) == ("cancelled", instant("2026-03-21T08:00:00"))


@pytest.mark.parametrize("come", list(permutations(range(3))))
async def test_an_order_on_which_another_customer_is_written_is_whole_with_them_alone(
    come: tuple[int, ...],
) -> None:
    told = [
        called("order-created"),
        called("order-updated-with-refunds"),
        called(
            "order-updated-with-refunds",
            customer_id=31,
            billing={"email": "samir@mail.example"},
            date_modified_gmt="2026-03-18T09:30:00",
        ),
    ]
    stages = Stages()
    await stages.build.assigned(stages.sources)
    for number in come:
        values = taken(translate(told[number], id_prefix="uk-"))
        await stages.takes([Record(SOURCE, 0, b"k", value, {}) for value in values])
        await stages.quiet()
    grace, samir = (stages.orders_of(Identifier("user_id", name)) for name in ("uk-26", "uk-31"))
    assert grace == []
    assert [(one.order_id, one.ordered_at, one.status) for one in samir] == [
        ("uk-727", instant("2026-03-14T10:00:05"), "completed")
    ]
    assert net_revenue(samir) == net_revenue(orders_after(map(translate, told[:2])))


async def test_the_browser_is_whose_it_was_when_the_order_was_placed() -> None:
    later = called("order-updated-completed", customer_id=31, billing={"phone": "+441174960001"})
    page = {"type": "page", "messageId": "p", "anonymousId": "b-12"}
    told = [translate(called("order-created")), translate(later), Translated(events=[page])]
    stages = Stages()
    await stages.takes([Record(SOURCE, 0, b"k", one, {}) for said in told for one in taken(said)])
    grace, samir = (stages.people.by[Identifier("user_id", name)] for name in ("26", "31"))
    assert grace.profile_id != samir.profile_id
    assert stages.people.stored["p"].profile_id == grace.profile_id
    guest = called("order-updated-completed", customer_id=0, billing={})
    assert [one.get("anonymousId") for one in translate(guest).events] == ["b-12", "b-12"]


def test_a_plugins_own_state_counts_where_the_source_says_so() -> None:
    said = called("order-created", status="wc-partially-shipped")
    assert [fault.code for fault in translate(said).ignored] == ["order_not_placed"]
    placed = ("processing", "partially-shipped")
    assert len(translate(said, placed=placed).events) == 2


def test_two_shops_with_the_same_numbers_stay_apart() -> None:
    said = called("order-created")
    there = msgspec.structs.replace(said, source="other")
    ids = [one["messageId"] for one in translate(said).events]
    assert not set(ids) & {one["messageId"] for one in translate(there).events}


@pytest.mark.parametrize("total", ["39,40", None, {}, "-1"])
async def test_an_amount_that_cannot_be_counted_is_refused_or_left_out(total: Any) -> None:
    shop = source("woocommerce", {"webhook_secret": [SECRET]})
    async with doorway(tray := Tray(), shop) as client:
        response = await client.post(**post(called("order-created", total=total)))
    assert response.status_code == 200
    kept = [one["properties"].get("total") for one in tray.events]
    assert kept == ([] if total in ("39,40", "-1") else [None, None])


def test_options_are_checked_when_a_source_is_written() -> None:
    good = {"shop_url": "https://shelves.example", "id_prefix": "uk-", "placed": ["completed"]}
    assert check_options("woocommerce", good) == []
    assert [one.code for one in check_options("woocommerce", {"placed": "all"})] == ["bad_options"]
    fault = WooCommerce().translate(delivery(b"{}"), {"placed": "all"})
    assert getattr(fault, "code", None) == "bad_options"

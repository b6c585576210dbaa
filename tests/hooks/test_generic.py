"""A webhook of any make: who signed it, and what a source's own mapping makes of it."""

import json
import re
from datetime import UTC, datetime
from decimal import Decimal
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from schemas.messages import Identifier
from services.ingest.expression import compiled, find
from services.ingest.hooks import signature
from services.ingest.hooks.generic import Webhook
from services.ingest.hooks.model import Delivery, Translated
from services.ingest.hooks.registry import check_options
from services.profile.build.rules.orders import net_of
from services.runtime.turn import Record
from tests.hooking import (
    NOW,
    Tray,
    accepted,
    builtins,
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
from tests.two_stages import Stages

EXAMPLES = examples("generic")
SECRET = "acme-secret"
STAMP = str(int(NOW.timestamp()))


def called(name: str) -> tuple[Delivery, dict[str, Any]]:
    said, options, _ = example(next(path for path in EXAMPLES if path.stem == name))
    return said, options


def translate(said: Delivery, options: Any) -> Translated:
    return translation(Webhook(), said, options)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_a_delivery_becomes_what_its_example_says(path: Path) -> None:
    said, options, becomes = example(path)
    assert check_options("webhook", options) == []
    translated = translate(said, options)
    assert builtins(translated) == becomes
    assert len(accepted(translated)) == len(translated.events)


def test_money_counted_in_cents_or_written_as_a_fraction_is_exact_in_the_profile() -> None:
    said, options = called("orders-of-a-platform-that-counts-in-cents")
    [order] = orders_after([translate(said, options)])
    assert (order.total, order.revenue) == (Decimal("49.90"), Decimal("46.35"))
    assert [refund.amount for refund in order.refunds] == [Decimal("10.30")]


@pytest.mark.parametrize("come", list(permutations(range(3))))
async def test_an_order_that_the_mapping_names_goes_whole_to_whom_it_was_handed(
    come: tuple[int, ...],
) -> None:
    said, options = called("orders-that-are-named-besides")
    values = taken(translate(said, options))
    stages = Stages()
    await stages.build.assigned(stages.sources)
    for number in come:
        await stages.takes([Record(SOURCE, 0, b"k", values[number], {})])
        await stages.quiet()
    first, last = (stages.orders_of(Identifier("user_id", name)) for name in ("88", "89"))
    assert first == []
    assert [(one.order_id, one.ordered_at, net_of(one)) for one in last] == [
        ("17", datetime(2026, 3, 14, 9, tzinfo=UTC), 30)
    ]


def seen(**signing: Any) -> dict[str, Any]:
    rule = {"event": "'Seen'", "messageId": "body.id", "userId": "'u-1'"}
    return {"signature": signing, "events": [rule]}


def mac(payload: str, secret: str = SECRET, **how: Any) -> str:
    return signature.sign(secret.encode(), payload.encode(), **{"encoding": "hex"} | how)


BODY = '{"id": "m-1"}'
KEY = "whsec_" + "c2VjcmV0LW9mLTI0LWJ5dGVzISEh"
STANDARD = signature.sign(b"secret-of-24-bytes!!!", f"msg_1.{STAMP}.{BODY}".encode())
SCHEMES: list[tuple[dict[str, Any], dict[str, str]]] = [
    ({}, {"x-signature": mac(BODY)}),
    ({}, {"x-signature": mac(BODY).upper()}),
    (
        {"header": "X-Hub-Signature", "prefix": "sha256="},
        {"x-hub-signature": "sha256=" + mac(BODY)},
    ),
    (
        {"algorithm": "sha1", "encoding": "base64"},
        {"x-signature": mac(BODY, algorithm="sha1", encoding="base64")},
    ),
    ({"algorithm": "sha512"}, {"x-signature": mac(BODY, algorithm="sha512")}),
    (
        {"signed": "v0:{timestamp}:{body}", "prefix": "v0=", "timestamp_header": "X-Time"},
        {"x-signature": "v0=" + mac(f"v0:{STAMP}:{BODY}"), "x-time": STAMP},
    ),
    (
        {"signed": "{timestamp}.{body}", "fields": {"timestamp": "t", "signature": "v1"}},
        {"x-signature": f"t={STAMP},v1={mac('x')},v1={mac(f'{STAMP}.{BODY}')}"},
    ),
    (
        {"signed": "{id}{body}", "id_header": "x-id"},
        {"x-signature": mac("7" + BODY), "x-id": "7"},
    ),
    (
        {"scheme": "token", "header": "Authorization", "prefix": "Bearer "},
        {"authorization": "Bearer " + SECRET},
    ),
]


@pytest.mark.parametrize(("signing", "headers"), SCHEMES)
async def test_every_way_of_signing_is_understood_and_nothing_else_gets_in(
    signing: dict[str, Any], headers: dict[str, str]
) -> None:
    options = seen(**signing)
    assert check_options("webhook", options) == []
    tray = Tray()
    async with doorway(tray, source("webhook", {"secret": ["newer", SECRET]}, options)) as client:
        good = await client.post("/v1/hooks/shop", content=BODY, headers=headers)
        worse = {name: value[:-1] + "_" for name, value in headers.items()}
        bad = await client.post("/v1/hooks/shop", content=BODY, headers=worse)
        none = await client.post("/v1/hooks/shop", content=BODY)
    assert (good.status_code, bad.status_code, none.status_code) == (200, 401, 401)
    assert [one["messageId"] for one in tray.events] == ["webhook:shop:Seen:m-1"]


@pytest.mark.parametrize(
    ("signed", "stamp", "status"),
    [
        (f"v1,{STANDARD}", STAMP, 200),
        (f"v1,{mac('x', encoding='base64')} v1,{STANDARD}", STAMP, 200),
        (f"v2,{STANDARD}", STAMP, 401),
        (STANDARD, STAMP, 401),
        (f"v1,{STANDARD}", str(int(STAMP) + 1), 401),
        ("", STAMP, 401),
    ],
)
async def test_standard_webhooks_need_no_more_than_their_name(
    signed: str, stamp: str, status: int
) -> None:
    headers = {"webhook-id": "msg_1", "webhook-timestamp": stamp, "webhook-signature": signed}
    shop = source("webhook", {"secret": [KEY]}, seen(scheme="standard"))
    async with doorway(Tray(), shop) as client:
        response = await client.post("/v1/hooks/shop", content=BODY, headers=headers)
    assert response.status_code == status


@pytest.mark.parametrize("seconds", [-301, 301])
async def test_a_delivery_that_somebody_kept_is_refused(seconds: int) -> None:
    stamp = str(int(STAMP) + seconds)
    signed = signature.sign(b"secret-of-24-bytes!!!", f"msg_1.{stamp}.{BODY}".encode())
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": stamp,
        "webhook-signature": f"v1,{signed}",
    }
    shop = source("webhook", {"secret": [KEY]}, seen(scheme="standard"))
    async with doorway(Tray(), shop) as client:
        response = await client.post("/v1/hooks/shop", content=BODY, headers=headers)
    assert (response.status_code, response.json()["code"]) == (401, "stale_signature")


def test_an_empty_secret_signs_nothing() -> None:
    said = delivery(BODY.encode(), x_signature=mac(BODY, ""))
    fault = Webhook().verify(said, lambda _: [""], seen())
    assert getattr(fault, "code", None) == "missing_secret"


@pytest.mark.parametrize(
    ("options", "details"),
    [
        ({}, ["options: Object missing required field `events`"]),
        ({"events": []}, ["options.events: Expected `array` of length >= 1"]),
        ([], ["options: Expected `object`, got `array`"]),
        (
            {"events": [{"event": "'x'", "messageId": "a b"}]},
            ["options.events[0].messageId: No JMESPath expression: "],
        ),
        (
            {"events": [{"messageId": "id"}]},
            ["options.events[0].event: a track call needs its name."],
        ),
        (
            {"list": "eval(body)", "events": [{"event": "'x'", "messageId": "id"}]},
            ["options.list: There is no function eval()."],
        ),
        (
            {"events": [{"event": "'x'", "messageId": '`"\\ud800"`'}]},
            ["options.events[0].messageId: No JMESPath expression: "],
        ),
        (
            {"events": [{"event": "'x'", "messageId": "x" * 401}]},
            ["options.events[0].messageId: An expression has at most 400 characters."],
        ),
        (
            {"events": [{"event": "'x'", "messageId": "[@,@][]|" * 7 + "@"}]},
            ["options.events[0].messageId: The expression repeats what it is given too often."],
        ),
        (
            seen(signed="{timestamp}.{body}"),
            ["options.signature.timestamp_header: where is the timestamp?"],
        ),
        (
            seen(signed="{time}"),
            ["options.signature.signed: one {body}, and {timestamp} or {id} beside it."],
        ),
        (
            {
                "events": [
                    {
                        "event": "'x'",
                        "messageId": "id",
                        "properties": dict.fromkeys(map(str, range(200)), "a"),
                    }
                ]
            },
            ["options: at most 200 expressions."],
        ),
    ],
)
def test_a_mapping_that_cannot_work_is_refused_with_its_place(
    options: Any, details: list[str]
) -> None:
    found = [fault.detail for fault in check_options("webhook", options)]
    assert len(found) == len(details)
    assert all(one.startswith(start) for one, start in zip(found, details, strict=True)), found


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("sum(prices)", Decimal("0.30")),
        ("max(prices)", Decimal("0.20")),
        ("prices[?@ > `0.15`] | [0]", Decimal("0.20")),
        ("to_number('12.10')", Decimal("12.10")),
        ("to_number('12,10')", None),
        ("to_string(prices[0])", "0.10"),
        ("to_string(missing)", None),
        ("shift(cents, `-2`)", Decimal("12.50")),
        ("shift(missing, `-2`)", None),
        ("shift(cents, `0.5`)", None),
        ("join('-', [kind, 'x'])", "a-x"),
    ],
)
def test_expressions_count_exactly(expression: str, found: Any) -> None:
    said = {"prices": [Decimal("0.10"), Decimal("0.20")], "cents": 1250, "kind": "a"}
    parsed = compiled(expression)
    assert find(parsed, said) == found  # type: ignore[arg-type]


def test_a_result_that_is_too_large_is_no_result() -> None:
    parsed = compiled("[@,@]|[@,@]|[@,@]|[@,@]")
    fault = find(parsed, list(range(400)))  # type: ignore[arg-type]
    assert getattr(fault, "code", None) == "expression_failed"


@pytest.mark.parametrize("expression", ["&item", "not_null(&item)", "[&item]"])
def test_a_piece_of_an_expression_is_no_value(expression: str) -> None:
    parsed = compiled(expression)
    fault = find(parsed, {"item": 1})  # type: ignore[arg-type]
    assert getattr(fault, "code", None) == "expression_failed"


def test_more_items_than_are_read_at_once_are_refused_whole() -> None:
    options = seen() | {"list": "body"}
    body = json.dumps([{"id": number} for number in range(2_501)]).encode()
    fault = Webhook().translate(delivery(body), options)
    assert getattr(fault, "code", None) == "batch_too_long"


def test_a_list_that_is_not_there_is_refused() -> None:
    fault = Webhook().translate(delivery(b'{"id": 1}'), seen() | {"list": "body.events"})
    assert getattr(fault, "code", None) == "no_list"


def test_an_item_without_an_id_is_known_by_what_it_says() -> None:
    options = {"events": [{"event": "'Seen'", "messageId": "body.id", "userId": "body.u"}]}
    ids = [
        translate(delivery(body), options).events[0]["messageId"]
        for body in (b'{"u": "1", "a": 2}', b'{"a": 2, "u": "1"}', b'{"u": "1", "a": 3}')
    ]
    assert ids[0] == ids[1] != ids[2]


MAPPING = called("orders-of-a-platform-that-counts-in-cents")


async def preview(said: Any, role: str = "support", **more: Any) -> Any:
    shop = source("webhook", {}, MAPPING[1])
    headers = {"authorization": f"Bearer {role}"}
    async with doorway(tray := Tray(), shop) as client:
        url = more.pop("url", "/v1/sources/shop/hook/preview")
        text = json.dumps({"body": said, **more})
        headers["content-type"] = "application/json"
        response = await client.post(url, content=text, headers=headers)
    assert tray.records == []
    return response


async def test_a_preview_shows_every_event_with_its_verdict_and_sends_nothing() -> None:
    body = json.loads(MAPPING[0].body)
    body["events"][1]["data"]["no"] = None
    response = await preview(body, headers={"X-Acme-Region": "ch"})
    assert response.status_code == 200
    answer = response.json()
    assert [(one["topic"], one["key"], one["code"]) for one in answer["events"]] == [
        ("events.orders", "88", None),
        ("events.people", "88", None),
        (None, None, "missing_order_id"),
        ("events.people", "88", None),
    ]
    assert answer["events"][0]["event"]["properties"]["region"] == "ch"
    assert (answer["ignored"], answer["requests"]) == ([], [])


async def test_a_preview_tries_options_before_they_are_stored() -> None:
    response = await preview({"id": "m-9"}, options=seen())
    assert [one["event"]["messageId"] for one in response.json()["events"]] == [
        "webhook:shop:Seen:m-9"
    ]
    wrong = await preview({}, options={"events": [{"messageId": "id"}]})
    assert (wrong.status_code, wrong.json()["errors"][0]["code"]) == (422, "bad_options")


@pytest.mark.parametrize(
    ("said", "more", "status"),
    [
        ("no json", {}, 400),
        ("\ud800", {}, 400),
        ({}, {"role": "reader"}, 403),
        ({}, {"role": "stranger"}, 401),
        ({}, {"url": "/v1/sources/nobody/hook/preview"}, 404),
    ],
)
async def test_a_preview_of_what_cannot_be_read_says_why(
    said: Any, more: dict[str, Any], status: int
) -> None:
    response = await preview(said, **more)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"


PAGE = (Path(__file__).parents[2] / "docs" / "webhooks.md").read_text()


def test_the_mapping_and_the_signatures_of_the_documentation_fit() -> None:
    [mapping] = re.findall(r"<<'JSON'\n(.*?)\nJSON", PAGE, re.DOTALL)
    options = json.loads(mapping)["options"]
    assert check_options("webhook", options) == []
    [body] = re.findall(r"body='(\{\"events.*)'", PAGE)
    [order] = orders_after([translate(delivery(body.encode()), options)])
    assert (order.order_id, order.total, order.currency) == ("A-17", Decimal("49.90"), "CHF")

    rows = PAGE.partition("one of these:")[2]
    signatures = [json.loads(row) for row in re.findall(r"`(\{.*\})`", rows)]
    assert len(signatures) == 4
    for signing in signatures:
        assert check_options("webhook", seen(**signing)) == []

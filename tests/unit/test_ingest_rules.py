"""What becomes of one event: its time, ids, names and money; what is kept, what refused."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from schemas.validation import Fault
from services.ingest.model import MAX_EVENT, Accepted, Receipt, Shared
from services.ingest.rules import accept, event_time

NOW = datetime(2026, 3, 14, 9, 30, tzinfo=UTC)
RECEIPT = Receipt("web", NOW, lambda: "made-up")
VIEW = {"type": "track", "event": "Product Viewed", "messageId": "m-1", "anonymousId": "a-1"}


def taken(said: dict[str, Any] | bytes, shared: Shared | None = None) -> dict[str, Any]:
    text = said if isinstance(said, bytes) else json.dumps(said).encode()
    outcome = accept(text, None, shared or Shared(), RECEIPT)
    assert isinstance(outcome, Accepted), outcome
    value: dict[str, Any] = json.loads(outcome.value)
    return value


def refused(said: dict[str, Any] | bytes, call: str | None = None) -> str:
    text = said if isinstance(said, bytes) else json.dumps(said).encode()
    outcome = accept(text, call, Shared(), RECEIPT)
    assert not isinstance(outcome, Accepted)
    assert isinstance(outcome[0], Fault)
    return outcome[0].code


def order(name: str = "Order Completed", **properties: Any) -> dict[str, Any]:
    return VIEW | {"event": name, "properties": {"order_id": "o-1"} | properties}


def test_an_event_keeps_what_the_contract_does_not_name() -> None:
    said = VIEW | {"invented": {"next": ["year"]}, "context": {"new": 1}, "empty": None}
    assert taken(said) == said | {
        "timestamp": "2026-03-14T09:30:00Z",
        "receivedAt": "2026-03-14T09:30:00Z",
        "source": "web",
    }


def test_numbers_are_kept_to_the_last_digit() -> None:
    text = b'{"type":"page","userId":"u","messageId":"m","properties":{"a":0.1234567890123456789}}'
    outcome = accept(text, None, Shared(), RECEIPT)
    assert isinstance(outcome, Accepted)
    assert b'"a":0.1234567890123456789' in outcome.value


def test_the_write_key_and_our_own_fields_never_reach_the_topic() -> None:
    forged = {"writeKey": "secret", "flags": ["x"], "receivedAt": "1999-01-01", "source": "bank"}
    value = taken(VIEW | forged)
    assert "writeKey" not in value
    assert "flags" not in value
    assert value["receivedAt"] == "2026-03-14T09:30:00Z"
    assert value["source"] == "web"


@pytest.mark.parametrize(
    ("original", "sent", "expected", "clamped"),
    [
        (-60, None, -60, False),
        (-60, 0, -60, False),
        (-3_660, -3_600, -60, False),  # a clock an hour slow
        (3_540, 3_600, -60, False),  # a clock an hour fast
        (5, None, 0, True),
        (0, -5, 0, True),  # happened after it was sent
    ],
)
def test_the_senders_clock_is_corrected(
    original: int, sent: int | None, expected: int, clamped: bool
) -> None:
    at = NOW + timedelta(seconds=original)
    sent_at = None if sent is None else NOW + timedelta(seconds=sent)
    assert event_time(at, sent_at, NOW) == (NOW + timedelta(seconds=expected), clamped)


@pytest.mark.parametrize("year", [1, 1970, 1989, 2027, 2100, 9999])
def test_impossible_times_become_the_time_of_receipt_and_are_flagged(year: int) -> None:
    value = taken(VIEW | {"timestamp": f"{year:04}-01-01T00:00:00Z"})
    assert value["timestamp"] == value["receivedAt"]
    assert value["originalTimestamp"] == f"{year:04}-01-01T00:00:00Z"
    assert value["flags"] == ["timestamp_clamped"]


def test_times_beyond_the_calendar_are_clamped_too() -> None:
    first, last = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
    assert event_time(last, first, NOW) == (NOW, True)
    assert event_time(first, last, NOW) == (NOW, True)


def test_null_means_absent() -> None:
    nothing = dict.fromkeys(
        ("anonymousId", "timestamp", "sentAt", "traits", "properties", "context", "event"), None
    )
    said = {"type": "page", "userId": "u", "messageId": "m"}
    assert taken(said | nothing) == taken(said)


def test_the_history_of_a_shop_keeps_its_times() -> None:
    value = taken(VIEW | {"timestamp": "1997-01-01T12:00:00Z"})
    assert value["timestamp"] == "1997-01-01T12:00:00Z"
    assert "flags" not in value


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-03-14", "2026-03-14T00:00:00Z"),
        ("2026-03-14T09:00:00", "2026-03-14T09:00:00Z"),
        ("2026-03-14T09:00:00+02:00", "2026-03-14T07:00:00Z"),
        ("2026-03-14T09:00:00.123456789Z", "2026-03-14T09:00:00.123456Z"),
    ],
)
def test_times_are_iso_8601_and_end_up_in_utc(text: str, instant: str) -> None:
    assert taken(VIEW | {"timestamp": text})["timestamp"] == instant


@pytest.mark.parametrize("time", ["yesterday", "", 1_700_000_000, True, {}, "2026-13-01"])
def test_a_time_that_is_none_is_refused(time: Any) -> None:
    assert refused(VIEW | {"timestamp": time}) == "bad_timestamp"


def test_a_useless_sent_at_is_left_out_and_flagged() -> None:
    value = taken(VIEW | {"sentAt": "soon", "timestamp": "2026-03-14T09:00:00Z"})
    assert "sentAt" not in value
    assert value["flags"] == ["sent_at_ignored"]
    assert value["timestamp"] == "2026-03-14T09:00:00Z"


def test_a_missing_message_id_is_made_up_and_flagged() -> None:
    value = taken({"type": "page", "userId": "u"})
    assert value["messageId"] == "made-up"
    assert value["flags"] == ["message_id_generated"]


def test_numeric_ids_become_text_and_blank_ones_disappear() -> None:
    value = taken({"type": "page", "messageId": "m", "userId": 17, "anonymousId": " "})
    assert value["userId"] == "17"
    assert "anonymousId" not in value


def test_names_take_the_catalogues_spelling() -> None:
    assert taken(VIEW | {"event": " product VIEWED "})["event"] == "Product Viewed"
    assert taken(VIEW | {"event": " Loyalty card scanned"})["event"] == "Loyalty card scanned"


def test_what_the_batch_says_for_all_yields_to_the_events_own_word() -> None:
    shared = Shared(context={"locale": "en", "ip": "192.0.2.1"}, integrations={"All": True})
    value = taken(VIEW | {"context": {"locale": "de"}}, shared)
    assert value["context"] == {"locale": "de", "ip": "192.0.2.1"}
    assert value["integrations"] == {"All": True}


LOYALTY = {"id": "card-7", "type": "loyalty_card", "collection": "users", "encoding": "none"}


@pytest.mark.parametrize(
    "context",
    [
        {},
        {"consent": None, "externalIds": None},
        {"consent": {"categoryPreferences": {"email": True, "sms": False}, "new": 1}},
        {"externalIds": [LOYALTY, {"id": 7, "type": "crm"}]},
    ],
)
def test_consent_and_external_ids_are_kept(context: dict[str, Any]) -> None:
    value = taken(VIEW | {"context": context})
    assert value["context"] == context
    assert "flags" not in value


@pytest.mark.parametrize(
    ("context", "flag"),
    [
        ({"consent": True}, "consent_unreadable"),
        ({"consent": {}}, "consent_unreadable"),
        ({"consent": {"categoryPreferences": ["email"]}}, "consent_unreadable"),
        ({"consent": {"categoryPreferences": {"email": "yes"}}}, "consent_unreadable"),
        ({"externalIds": LOYALTY}, "external_ids_unreadable"),
        ({"externalIds": [LOYALTY, "card-8"]}, "external_ids_unreadable"),
        ({"externalIds": [LOYALTY | {"id": ""}]}, "external_ids_unreadable"),
        ({"externalIds": [LOYALTY | {"id": True}]}, "external_ids_unreadable"),
        ({"externalIds": [LOYALTY | {"type": None}]}, "external_ids_unreadable"),
        ({"externalIds": [LOYALTY | {"encoding": 7}]}, "external_ids_unreadable"),
    ],
)
def test_consent_that_cannot_be_read_is_kept_and_flagged(
    context: dict[str, Any], flag: str
) -> None:
    value = taken(VIEW, Shared(context=context))
    assert value["context"] == context
    assert value["flags"] == [flag]


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (b"[]", "not_an_object"),
        (b"7", "not_an_object"),
        (b'{"type":"page","userId":"\xff"}', "bad_text"),
        (b'{"type":"page","userId":"\\ud83d!"}', "bad_text"),
        (b'{"type":"page","userId":"u","properties":{"a":1e999}}', "wrong_type"),
        (b'{"type":"page","userId":"a\\u0000b"}', "nul_byte"),
        (
            b'{"type":"page","userId":"u","properties":' + b'{"a":' * 40 + b"1" + b"}" * 41,
            "too_deep",
        ),
        (b'{"type":"page","userId":"' + b"u" * MAX_EVENT + b'"}', "event_too_large"),
        ({"type": "purchase", "userId": "u"}, "unknown_type"),
        ({"userId": "u"}, "unknown_type"),
        ({"type": ["track"], "userId": "u"}, "unknown_type"),
        ({"type": "page"}, "missing_id"),
        ({"type": "page", "userId": None}, "missing_id"),
        ({"type": "page", "userId": 1.5}, "wrong_type"),
        ({"type": "page", "userId": "u", "properties": []}, "wrong_type"),
        ({"type": "page", "userId": "u", "messageId": 7}, "wrong_type"),
        ({"type": "page", "userId": "u", "messageId": ""}, "bad_message_id"),
        ({"type": "page", "userId": "u", "messageId": "m" * 100}, "bad_message_id"),
        ({"type": "track", "userId": "u"}, "missing_event"),
        ({"type": "track", "userId": "u", "event": "  "}, "missing_event"),
        ({"type": "track", "userId": "u", "event": {}}, "wrong_type"),
        ({"type": "track", "userId": "u", "event": "e" * 201}, "name_too_long"),
        ({"type": "alias", "userId": "u"}, "missing_previous_id"),
        ({"type": "group", "userId": "u"}, "missing_group_id"),
    ],
)
def test_what_does_not_fit_is_refused_with_a_code(said: Any, code: str) -> None:
    assert refused(said) == code


def test_an_escaped_backslash_before_u0000_is_no_nul() -> None:
    assert taken(b'{"type":"page","userId":"\\\\u0000","messageId":"m"}')["userId"] == "\\u0000"


def test_many_lines_are_not_deep_nesting() -> None:
    lines = [{"product_id": f"p-{n}", "price": 1, "name": "a { in [ a name"} for n in range(60)]
    assert len(taken(order(products=lines))["properties"]["products"]) == 60


def test_an_email_trait_names_somebody() -> None:
    said = {"type": "identify", "messageId": "m", "traits": {"email": "Ada@Shop.example "}}
    outcome = accept(json.dumps(said).encode(), None, Shared(), RECEIPT)
    assert isinstance(outcome, Accepted)
    assert outcome.topic == "events.people"
    assert len(outcome.key) == 64
    assert "ada" not in outcome.key


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (order(order_id=None), "missing_order_id"),
        (order(order_id=""), "missing_order_id"),
        (order(order_id=True), "missing_order_id"),
        (order(revenue="12,50"), "bad_amount"),
        (order(revenue="NaN"), "bad_amount"),
        (order(revenue="1e3"), "bad_amount"),
        (order(total=True), "bad_amount"),
        (order(total={}), "bad_amount"),
        (order(total=10**12), "bad_amount"),
        (order(total="-1"), "negative_amount"),
        (order(tax=-0.5), "negative_amount"),
        (order(revenue=30, total=20, discount=-9.98), "revenue_above_total"),
        (order("Order Updated", revenue="20.02", total=20), "revenue_above_total"),
        (order(currency="XYZ"), "unknown_currency"),
        (order(currency="€"), "unknown_currency"),
        (order(currency=["USD"]), "unknown_currency"),
        (order(products={}), "bad_products"),
        (order(products=["sku-1"]), "bad_products"),
        (order(products=[{"price": "1,5"}]), "bad_amount"),
        (order(products=[{"price": -1}]), "negative_amount"),
        (order(products=[{"quantity": -2}]), "negative_quantity"),
        (order(products=[{"quantity": 1.5}]), "bad_quantity"),
        (order("Order Refunded"), "missing_amount"),
        (order("Order Refunded", total=0), "missing_amount"),
        (order("Order Refunded", products=[{"product_id": "p"}]), "missing_amount"),
        (order("order UPDATED ", total="x"), "bad_amount"),
        (order("Order Cancelled", order_id=None), "missing_order_id"),
    ],
)
def test_an_order_whose_money_would_be_wrong_is_refused(said: dict[str, Any], code: str) -> None:
    assert refused(said) == code


@pytest.mark.parametrize(
    "said",
    [
        order(revenue="12.50", currency="EUR"),
        order(revenue=0, total=None, discount=-5, currency=""),
        order(products=[{"price": "1.5", "quantity": 2}, {}]),
        order("Order Refunded", amount=-12.5),
        order("Order Refunded", products=[{"price": 3, "quantity": 2}]),
        order("Order Cancelled"),
        VIEW | {"properties": {"price": "12,50", "quantity": -1, "currency": "XYZ"}},
    ],
)
def test_what_can_be_counted_or_is_not_money_is_taken(said: dict[str, Any]) -> None:
    assert taken(said)["properties"] == said["properties"]


HISTORY = Shared(history=True)


def test_history_is_marked_and_its_time_stands() -> None:
    said = VIEW | {
        "timestamp": "2019-05-01T10:00:00Z",
        "originalTimestamp": "2019-05-01T09:59:58Z",
        "sentAt": "2019-05-01T10:00:01Z",
        "flags": ["forged"],
    }
    outcome = accept(json.dumps(said).encode(), None, HISTORY, RECEIPT)
    assert isinstance(outcome, Accepted)
    event = json.loads(outcome.value)
    assert (event["flags"], event["timestamp"]) == (["history"], "2019-05-01T10:00:00Z")


def test_a_sender_cannot_mark_an_event_as_history_by_itself() -> None:
    assert "flags" not in taken(VIEW | {"flags": ["history"]})

"""Events that a storefront writes to ``events.*`` itself, in each of the forms it may use."""

import json
from base64 import b64encode
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from schemas.messages import Interaction
from services.profile.resolve.handler import ResolveHandler
from services.runtime.turn import Record, Source, Turn
from tests.identity_world import FakePeople

NOW = datetime(2026, 3, 1, 12, 0, 30, tzinfo=UTC)
WRITTEN = datetime(2026, 3, 1, 12, 0, 1, tzinfo=UTC)
ORDERS = Source("profile-resolve/events.orders/1", "events.orders", 1)

SAID = {
    "type": "track",
    "event": "Order Completed",
    "userId": "ann",
    "properties": {"order_id": "o1", "revenue": "10.50", "currency": "EUR"},
}
BINARY = {
    "ce_specversion": "1.0",
    "ce_id": "order-o1-completed",
    "ce_source": "https://shop.example/checkout",
    "ce_type": "example.order.completed",
    "ce_time": "2026-03-01T11:59:00Z",
}
WHOLE = SAID | {
    "messageId": "order-o1-completed",
    "receivedAt": "2026-03-01T12:00:01Z",
    "timestamp": "2026-03-01T11:59:00Z",
    "source": "https://shop.example/checkout",
}
ENVELOPE = {name[3:]: value for name, value in BINARY.items()}
STRUCTURED = {"content-type": "application/cloudevents+json; charset=utf-8"}


def record(said: Any, headers: dict[str, str], timestamp: datetime | None = WRITTEN) -> Record:
    body = said if isinstance(said, bytes) else json.dumps(said).encode()
    encoded = {name: value.encode() for name, value in headers.items()}
    at = 0 if timestamp is None else int(timestamp.timestamp() * 1_000)
    return Record(ORDERS, 7, b"ann", body, encoded, at)


async def turn_of(one: Record) -> tuple[Turn, FakePeople]:
    people, turn = FakePeople(), Turn(now=NOW, session=None, records=[one])
    await ResolveHandler(people).handle(turn)
    await turn.written()
    return turn, people


async def taken(one: Record) -> Interaction:
    turn, people = await turn_of(one)
    assert turn.rejected == []
    [stored] = people.stored.values()
    return msgspec.json.decode(stored.body, type=Interaction)


async def refused(one: Record) -> str:
    turn, people = await turn_of(one)
    assert people.stored == {}
    [rejected] = turn.rejected
    assert "ann" not in rejected.detail
    return rejected.reason


@pytest.mark.parametrize(
    "one",
    [
        record(SAID, BINARY),
        record(SAID, BINARY | {"content-type": "application/json"}),
        record(ENVELOPE | {"datacontenttype": "application/json", "data": SAID}, STRUCTURED),
        record(
            ENVELOPE | {"data_base64": b64encode(json.dumps(SAID).encode()).decode()},
            {"content-type": "Application/CloudEvents+JSON"},
        ),
        record(SAID | {"userId": "ann", "context": None, "sentAt": None}, BINARY),
    ],
    ids=["binary", "binary with its content type", "structured", "structured base64", "nulls"],
)
async def test_what_ingest_would_have_added_comes_from_the_cloudevent(one: Record) -> None:
    interaction = await taken(one)
    assert json.loads(bytes(interaction.event)) == WHOLE
    assert (interaction.interaction_id, interaction.source) == (WHOLE["messageId"], WHOLE["source"])
    assert interaction.at == datetime(2026, 3, 1, 11, 59, tzinfo=UTC)
    assert interaction.received_at == WRITTEN


async def test_plain_json_needs_a_message_id_and_is_received_when_it_was_written() -> None:
    interaction = await taken(record(SAID | {"messageId": "m1"}, {}))
    assert json.loads(bytes(interaction.event)) == SAID | {
        "messageId": "m1",
        "timestamp": "2026-03-01T12:00:01Z",
        "receivedAt": "2026-03-01T12:00:01Z",
    }
    assert await refused(record(SAID, {})) == "bad_message_id"


@pytest.mark.parametrize("written", [None, datetime(2026, 3, 2, tzinfo=UTC)])
async def test_a_record_without_a_possible_time_is_received_now(written: datetime | None) -> None:
    interaction = await taken(record(SAID | {"messageId": "m1"}, {}, written))
    assert (interaction.at, interaction.received_at) == (NOW, NOW)


async def test_the_events_own_word_wins() -> None:
    own = {
        "messageId": "m1",
        "timestamp": "2026-03-01T11:00:00Z",
        "receivedAt": "2026-03-01T11:30:00Z",
        "source": "till",
    }
    one = record(SAID | own, BINARY)
    interaction = await taken(one)
    assert bytes(interaction.event) == one.value
    assert (interaction.interaction_id, interaction.source) == ("m1", "till")
    assert interaction.at == datetime(2026, 3, 1, 11, tzinfo=UTC)


async def test_only_what_is_missing_is_filled_in() -> None:
    own = {"messageId": "m1", "receivedAt": "2026-03-01T11:30:00Z"}
    interaction = await taken(record(SAID | own, BINARY))
    assert interaction.interaction_id == "m1"
    assert interaction.received_at == datetime(2026, 3, 1, 11, 30, tzinfo=UTC)
    assert interaction.source == BINARY["ce_source"]


async def test_an_original_timestamp_comes_before_the_cloudevents_time() -> None:
    said = SAID | {"originalTimestamp": "2026-03-01T10:00:00Z"}
    assert (await taken(record(said, BINARY))).at == datetime(2026, 3, 1, 10, tzinfo=UTC)


async def test_properties_are_put_right_as_at_the_other_door_and_nothing_else_changes() -> None:
    said = SAID | {
        "event": "order completed",
        "userId": 17,
        "invented": {"kept": 0.1234567890123456789},
        "properties": {
            "orderId": 501,
            "revenue": " 30 ",
            "tax": 5,
            "shipping": 0,
            "total": "30",
            "currency": "eur",
            "products": {"sku": "s-1", "price": "30.00"},
        },
    }
    interaction = await taken(record(said, BINARY))
    event = json.loads(bytes(interaction.event))
    assert interaction.name == "Order Completed"
    assert event["userId"] == "17"
    assert event["invented"] == said["invented"]
    assert event["flags"] == ["amounts_disagree"]
    assert event["properties"] == {
        "order_id": "501",
        "revenue": "30",
        "tax": 5,
        "shipping": 0,
        "total": "30",
        "currency": "EUR",
        "products": [{"sku": "s-1", "product_id": "s-1", "price": "30.00"}],
    }


NO_ORDER_ID = SAID | {"properties": {"revenue": 1}}


@pytest.mark.parametrize(
    ("said", "headers", "reason"),
    [
        (NO_ORDER_ID, BINARY, "missing_order_id"),
        (ENVELOPE | {"data": NO_ORDER_ID}, STRUCTURED, "missing_order_id"),
        (SAID | {"type": "purchase"}, BINARY, "wrong_type"),
        (SAID | {"userId": None}, BINARY, "missing_id"),
        (SAID | {"userId": True}, BINARY, "wrong_type"),
        (SAID, BINARY | {"ce_id": ""}, "bad_message_id"),
        (SAID, BINARY | {"ce_id": "x" * 100}, "bad_message_id"),
        (SAID, BINARY | {"ce_time": "yesterday"}, "wrong_type"),
        (b'{"type":"track","userId":"ann"', BINARY, "not_json"),
        (b'{"type":7,"userId":"ann"', BINARY, "not_json"),
        (b"[]", BINARY, "wrong_type"),
        (b"[]", STRUCTURED, "bad_cloudevent"),
        (b"{", STRUCTURED, "bad_cloudevent"),
        (b'{"a":' * 50 + b"1" + b"}" * 50, STRUCTURED, "too_deep"),
        (ENVELOPE | {"data": "o1"}, STRUCTURED, "bad_cloudevent"),
        (ENVELOPE | {"data_base64": "?"}, STRUCTURED, "bad_cloudevent"),
        (ENVELOPE | {"data_base64": "e30="}, STRUCTURED, "wrong_type"),
        (ENVELOPE, STRUCTURED, "bad_cloudevent"),
        (ENVELOPE | {"specversion": "0.3", "data": SAID}, STRUCTURED, "bad_cloudevent"),
        ([ENVELOPE], {"content-type": "application/cloudevents-batch+json"}, "bad_cloudevent"),
        (b"Obj", {"content-type": "application/cloudevents+avro"}, "bad_cloudevent"),
    ],
)
async def test_what_does_not_fit_is_a_dead_letter_with_its_reason(
    said: Any, headers: dict[str, str], reason: str
) -> None:
    assert await refused(record(said, headers)) == reason

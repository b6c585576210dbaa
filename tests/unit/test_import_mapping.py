"""What a mapping makes of rows: pure, one row after the other."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from schemas.messages import Identifier
from services.ingest.history.identity import Namer
from services.ingest.history.loading import parse, preset_text, presets
from services.ingest.history.mapping import Mapper
from services.ingest.history.model import Unit, Unusable
from services.ingest.hooks.model import Translated
from tests.hooking import accepted
from tests.importing import NOW, mapped

ORDER = """
type: track
event: Order Completed
id: Order
timestamp: When
user_id: Customer
properties: {order_id: Order, total: Total}
"""
ROW = {"Order": "7", "When": "2021-05-03T10:15:00Z", "Customer": "c1", "Total": "12.50"}


def test_a_row_becomes_an_event_with_exact_money() -> None:
    [event] = mapped(ORDER, ROW)
    assert event == {
        "type": "track",
        "timestamp": "2021-05-03T10:15:00Z",
        "event": "Order Completed",
        "userId": "c1",
        "properties": {"order_id": "7", "total": 12.50},
        "messageId": event["messageId"],
    }
    mapper = Mapper(parse(ORDER, "m"), Namer("shop"), None, NOW)
    [made] = mapper.make(Unit(1, 1, 1, ROW | {"Total": "0.12345678901234567890"}))
    assert b'"total":0.12345678901234567890' in made.text


@pytest.mark.parametrize(
    ("text", "row", "expected"),
    [
        ("{column: x, as: number}", "1234.5", Decimal("1234.5")),
        ('{column: x, as: number, decimal: ","}', "1234,5", Decimal("1234.5")),
        ('{column: x, as: number, decimal: ",", thousands: "."}', "1.234,50", Decimal("1234.50")),
        ("{column: x, as: number, thousands: ','}", "-1,234,567", -1234567),
        ("{column: x, as: number, strip: '€ '}", "€ 12.00", Decimal("12.00")),
        ("{column: x, as: integer}", "12.0", 12),
        ("{expr: 'x[].n', as: sum}", [{"n": "0.1"}, {"n": "0.2"}], Decimal("0.3")),
        ("{column: x, as: boolean}", " Yes", True),
        ("{column: x, as: boolean}", 0, False),
        ("{column: x, as: list, split: ';'}", "a; b;;c", ["a", "b", "c"]),
        ("{column: x, as: time}", "2021-05-03 10:15:00 +0200", "2021-05-03T08:15:00Z"),
        ("{column: x, as: time, timezone: Europe/Berlin}", "2021-12-03", "2021-12-02T23:00:00Z"),
        ("{column: x, as: time, format: '%d/%m/%y'}", "03/05/21", "2021-05-03T00:00:00Z"),
        ("{column: x, as: time, format: unix}", "1620036900.25", "2021-05-03T10:15:00.250000Z"),
        ("{column: x, as: time, format: unix_ms}", 1620036900250, "2021-05-03T10:15:00.250000Z"),
        ("{column: x, map: {m: mobile}}", "m", "mobile"),
        ("{column: x, default: none given}", None, "none given"),
        ("{value: 5}", None, 5),
        ("{template: '{x} at {When}'}", "seen", "seen at 2021-05-03T10:15:00Z"),
        ("{template: '{x}'}", None, None),
        ("{expr: 'x || When'}", None, "2021-05-03T10:15:00Z"),
        ("{column: x, as: text}", 12, "12"),
        ("x.y", {"y": Decimal("1.10")}, Decimal("1.10")),
        ("join('-', x)", ["a", "b"], "a-b"),
    ],
)
def test_a_value_is_taken_and_converted_as_it_says(text: str, row: Any, expected: Any) -> None:
    mapping = f"type: identify\ntimestamp: When\nuser_id: Customer\ntraits: {{v: {_quoted(text)}}}"
    mapper = Mapper(parse(mapping, "m"), Namer("shop"), None, NOW)
    [made] = mapper.make(Unit(1, 1, 1, ROW | {"x": row}))
    event = msgspec.json.Decoder(float_hook=Decimal).decode(made.text)
    assert event.get("traits", {}).get("v") == expected


def _quoted(text: str) -> str:
    return text if text.startswith("{") else f'"{text}"'


@pytest.mark.parametrize(
    ("how", "text", "code"),
    [
        ("as: number", "12,50", "bad_number"),  # never guessed
        ("as: number", "1e3", "bad_number"),
        ("as: number", "12.5.1", "bad_number"),
        ("as: number", "٣", "bad_number"),
        ("as: number, thousands: '.', decimal: ','", "1.23,4", "bad_number"),
        ("as: integer", "1.5", "bad_number"),
        ("as: boolean", "perhaps", "bad_boolean"),
        ("as: time", "31.02.2021", "bad_time"),
        ("as: time, format: '%d.%m.%Y'", "31.02.2021", "bad_time"),
        ("as: time, format: unix", "today", "bad_time"),
        ("as: time, format: unix", "1e400", "bad_time"),
    ],
)
def test_what_is_not_what_it_should_be_is_refused(how: str, text: str, code: str) -> None:
    mapping = (
        f"type: identify\ntimestamp: When\nuser_id: Customer\ntraits: {{v: {{column: x, {how}}}}}"
    )
    assert mapped(mapping, ROW | {"x": text}) == [(1, code)]


@pytest.mark.parametrize(
    ("time", "code"),
    [
        (None, "missing_timestamp"),
        ("1970-01-01T00:00:00Z", "time_out_of_range"),
        ("2026-03-02T00:00:00Z", "time_out_of_range"),
    ],
)
def test_an_event_that_would_be_dated_now_is_refused(time: str | None, code: str) -> None:
    assert mapped(ORDER, ROW | {"When": time}) == [(1, code)]


def test_an_id_is_the_same_on_each_run_and_whatever_else_the_row_says() -> None:
    [first] = mapped(ORDER, ROW)
    [again, other] = mapped(ORDER, ROW | {"Total": "13"}, ROW | {"Order": "8"})
    assert first["messageId"] == again["messageId"] != other["messageId"]
    # With another one in a later version all that was imported would double.
    assert first["messageId"] == "import:shop:b21a984081ea8d785c8c4d9ce4242a"
    assert len(f"import:{'s' * 60}:{'0' * 30}") <= 99


def test_without_an_id_equal_rows_are_one_event_and_unequal_ones_are_not() -> None:
    text = ORDER.replace("id: Order\n", "")
    same, again, other = mapped(text, ROW, ROW, ROW | {"Total": "13"})
    assert same["messageId"] == again["messageId"] != other["messageId"]
    one, two = mapped(text + "row_number: true\n", ROW, ROW)
    assert one["messageId"] != two["messageId"]


def test_an_own_message_id_is_kept() -> None:
    text = ORDER.replace("id: Order", "message_id: Order")
    assert [event["messageId"] for event in mapped(text, ROW)] == ["7"]


def test_several_events_of_a_row_happen_each_under_its_condition() -> None:
    text = """
when: Order
events:
  - {type: identify, timestamp: When, user_id: Customer, email: Mail}
  - {event: Order Cancelled, when: Total == '0', timestamp: When, email: Mail}
"""
    rows = [ROW | {"Mail": "a@x.io"}, ROW | {"Total": "0", "Mail": "a@x.io"}, {"Order": None}]
    events = mapped(text, *rows)
    assert [(event["type"], event.get("event")) for event in events] == [
        ("identify", None),
        ("identify", None),
        ("track", "Order Cancelled"),
    ]
    assert events[0]["traits"] == {"email": "a@x.io"}
    assert events[2]["context"] == {"traits": {"email": "a@x.io"}}


def test_consent_ids_and_dotted_names_go_where_they_belong() -> None:
    text = """
type: identify
timestamp: When
anonymous_id: Customer
external_ids: {loyalty_card: Card}
consent: {email: Agreed}
traits: {address.city: City, address.country: {value: DE}}
"""
    [event] = mapped(text, ROW | {"Card": "77", "Agreed": "no", "City": "Bonn"})
    assert event["context"] == {
        "consent": {"categoryPreferences": {"email": False}},
        "externalIds": [
            {"id": "77", "type": "loyalty_card", "collection": "users", "encoding": "none"}
        ],
    }
    assert (event["anonymousId"], event["traits"]) == (
        "c1", {"address": {"city": "Bonn", "country": "DE"}},
    )  # fmt: skip


def test_an_order_is_named_as_whoever_has_it_later_names_it() -> None:
    made = mapped(ORDER + "external_ids: {order: Order}", ROW)
    [order] = accepted(Translated(events=made), "server")
    assert order.identifiers == [Identifier("user_id", "c1"), Identifier("order", "server/7")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "m, line 1: not YAML"),
        ("- 1", "m: a mapping is made of fields"),
        (ORDER + "evnt: x", "m, line 8: there is no field `evnt`; did you mean `event`?"),
        (ORDER.replace("track", "trck"), "m, line 2: type: invalid enum value 'trck'"),
        (ORDER.replace("timestamp: When\n", ""), "line 2: object missing required field `timest"),
        (ORDER.replace("user_id: Customer\n", ""), "nobody is named"),
        (ORDER.replace("event: Order Completed\n", ""), "a track call needs `event`"),
        (ORDER + "timezone: Mars/North", "m, line 8: there is no time zone 'Mars/North'"),
        (ORDER + "encoding: utf-99", "m, line 8: encoding: there is no 'utf-99'"),
        (ORDER + "delimiter: ';;'", "m, line 8: delimiter is one character"),
        (ORDER + "message_id: Order", "`id` or `message_id`, not both"),
        (ORDER.replace("user_id: Customer", "user_id: {as: text}"), "line 6: exactly one of"),
        (ORDER + "traits: {a: Order, a.b: Order}", "traits: 'a' is a value and an object"),
        (ORDER + "events: []", "m, line"),
    ],
)
def test_a_mistake_in_a_mapping_is_named_with_its_line(text: str, message: str) -> None:
    with pytest.raises(Unusable) as caught:
        parse(text, "m")
    assert message in str(caught.value)


def test_a_column_that_is_not_there_is_named_before_anything_is_read() -> None:
    with pytest.raises(Unusable, match=r"^user_id: there is no column 'Customer'; did you mean"):
        mapped(ORDER, columns=["Order", "When", "Customers", "Total"])
    with pytest.raises(Unusable, match=r"^when: there is no column 'Totl'"):
        mapped(ORDER + "when: Totl > '0'", columns=list(ROW))
    assert mapped(ORDER + "when: to_number(Total) > `0`", columns=list(ROW)) == []


def test_an_expression_that_does_not_parse_tells_how_to_quote() -> None:
    with pytest.raises(Unusable, match="quote odd names"):
        mapped(ORDER.replace("Total}", "Paid at}"))


def test_segment_events_keep_their_ids_and_lose_what_was_of_their_transport() -> None:
    event = {
        "type": "track", "messageId": "m1", "event": "X", "userId": "u",
        "timestamp": "2021-05-03T10:15:00Z", "originalTimestamp": "2021-05-03T10:14:00Z",
        "sentAt": "2021-05-03T10:14:01Z", "receivedAt": "2021-05-03T10:15:01Z",
        "writeKey": "secret", "context": {"ip": "::1"},
    }  # fmt: skip
    bare = {k: v for k, v in event.items() if k not in ("messageId", "timestamp")}
    kept, timed, refused = mapped(preset_text("segment"), event, bare, {"type": "track"})
    assert kept == {
        "type": "track", "messageId": "m1", "event": "X", "userId": "u",
        "timestamp": "2021-05-03T10:15:00Z", "context": {"ip": "::1"},
    }  # fmt: skip
    assert timed["timestamp"] == "2021-05-03T10:14:00Z"
    assert timed["messageId"].startswith("import:shop:")
    assert refused == (3, "missing_timestamp")


@pytest.mark.parametrize("name", presets())
def test_every_preset_is_a_mapping(name: str) -> None:
    assert parse(preset_text(name), name)

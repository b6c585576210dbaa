"""Dead letters: what a record says, whom it names, what may become of it, what a replay sends."""

import json
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from schemas.messages import Event
from schemas.validation import Fault
from services.ingest.dead_letters import life, replay
from services.ingest.dead_letters.model import Action, Letter, Returned, Suppressed
from services.ingest.dead_letters.people import MANY, digest, every_one_in, people_in
from services.ingest.dead_letters.repair import by_expression, by_patch
from services.ingest.dead_letters.rules import Place, read
from services.ingest.model import Shared, Verdict
from services.ingest.sources.model import Source

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATER = NOON + timedelta(days=30)
HERE = Place("dead-letters/events.rejected/0", "events.rejected", 0, 17, LATER)
THERE = Place("dead-letters/profile.interactions.dead/0", "profile.interactions.dead", 0, 3, LATER)
ORDER = {
    "messageId": "m-1",
    "type": "track",
    "userId": "ann",
    "event": "Order Completed",
    "timestamp": "2026-03-01T11:59:00Z",
    "properties": {"order_id": "o-1", "revenue": "12,50", "currency": "EUR"},
}


def refusal(body: Any = ORDER, **more: str) -> Letter:
    """A letter as ingest's own refusals become."""
    value = body if isinstance(body, bytes) else json.dumps(body).encode()
    facts = {
        "dl_id": "abc",
        "dl_reason": "bad_amount",
        "dl_detail": "revenue must be a number.",
        "dl_source": "web",
        "dl_door": "http",
        "dl_stage": "ingest",
        "dl_at": "2026-03-01T12:00:00Z",
        **more,
    }
    said = read(HERE, b"web", value, {name: one.encode() for name, one in facts.items()})
    assert isinstance(said, Letter)
    return said


def rejection(topic: str = "profile.interactions", **more: str) -> dict[str, bytes]:
    """The headers of a record that a stage rejected."""
    facts = {
        "ce_id": "m-1",
        "ce_source": "/profile-resolve",
        "ce_type": "regulars.interaction.recorded.v1",
        "dl_reason": "not_as_declared",
        "dl_detail": "",
        "dl_topic": topic,
        "dl_partition": "3",
        "dl_offset": "4711",
        "dl_stage": "profile-build",
        "dl_at": "2026-03-01T12:00:00Z",
        **more,
    }
    return {name: value.encode() for name, value in facts.items()}


def edited(letter: Letter, **properties: Any) -> bytes:
    return json.dumps({**ORDER, "properties": {**ORDER["properties"], **properties}}).encode()  # type: ignore[dict-item]


# -- reading -----------------------------------------------------------------------------------


def test_a_refusal_says_what_it_was() -> None:
    letter = refusal()
    assert (letter.id, letter.home, letter.topic) == ("abc", HERE.home, "events.rejected")
    assert (letter.source, letter.reason, letter.stage) == ("web", "bad_amount", "ingest")
    assert (letter.name, letter.message_id, letter.at) == ("Order Completed", "m-1", NOON)
    assert (letter.state, letter.headers, letter.truncated) == ("open", [], False)


def test_a_letter_of_a_stage_is_named_after_the_record_and_who_rejected_it() -> None:
    value = b'{"interaction_id": "m-1", "name": "Cart Viewed", "source": "web"}'
    letter = read(THERE, b"p1", value, rejection())
    assert isinstance(letter, Letter)
    assert letter.id == "profile.interactions:3:4711:profile-build"
    assert (letter.topic, letter.partition, letter.key) == ("profile.interactions", 3, b"p1")
    assert (letter.name, letter.message_id) == ("Cart Viewed", "m-1")
    assert [name for name, _ in letter.headers] == ["ce_id", "ce_source", "ce_type"]
    other = read(THERE, b"p1", value, rejection(dl_stage="reporting"))
    assert isinstance(other, Letter)
    assert other.id != letter.id


@pytest.mark.parametrize("value", [None, b"", b"\xff\x00", b"[" * 100_000, b'"text"', b"7"])
def test_whatever_a_record_holds_it_becomes_a_letter(value: bytes | None) -> None:
    letter = read(THERE, b"\xff", value, {"dl_at": b"yesterday", "dl_size": b"-1"})
    assert isinstance(letter, Letter)
    assert (letter.reason, letter.source, letter.name) == ("unknown", "unknown", "")
    assert letter.raw == value


def test_summaries_and_markers_are_no_letters() -> None:
    headers = {"dl_suppressed": b"5", "dl_source": b"web", "dl_at": b"2026-03-01T12:00:00Z"}
    said = read(HERE, b"web", b'{"bad_text": 5}', headers)
    assert said == Suppressed("web", NOON, {"bad_text": 5})
    assert read(HERE, b"web", b"?", headers) == Suppressed("web", NOON, {"unknown": 5})
    assert read(THERE, b"p1", None, {"dl_replayed": b"profile.interactions/3/4711"}) is None


@pytest.mark.parametrize(
    ("said", "source"),
    [
        ("/ingest/web", "web"),
        ("https://shop.example/checkout", "shop.example-checkout"),
        ("/profile-resolve", "profile-resolve"),
        ("a b\n/c" + "d" * 99, "a-b-c" + "d" * 55),
        ("//", "unknown"),
    ],
)
def test_a_source_is_a_plain_name_whoever_wrote_it(said: str, source: str) -> None:
    letter = read(THERE, b"p1", b"{}", rejection(ce_source=said))
    assert isinstance(letter, Letter)
    assert letter.source == source


# -- people ------------------------------------------------------------------------------------


def test_people_are_found_wherever_an_event_names_them() -> None:
    body = {
        "userId": 7,
        "anonymousId": " a-1 ",
        "previousId": "old",
        "traits": {"email": "Ann@Shop.example", "phone": "+49 30 / 123"},
        "context": {"externalIds": [{"id": "x-1", "type": "loyalty", "collection": "users"}]},
        "properties": {"note": "ask bob@shop.example, please", "deep": [[{"profile_id": "p1"}]]},
    }
    assert every_one_in(json.dumps(body).encode()) == {
        digest("user_id", "7"),
        digest("anonymous_id", "a-1"),
        digest("user_id", "old"),
        digest("anonymous_id", "old"),
        digest("email", "ann@shop.example"),
        digest("email", "bob@shop.example"),
        digest("phone", "004930123"),
        digest("loyalty", "x-1"),
        digest("profile_id", "p1"),
    }


def test_people_are_found_in_what_is_no_json() -> None:
    body = b'{"userId": "u\\u00e4", "anonymousId":12, "x": NaN, "email": "ann@shop.example", '
    found = every_one_in(body + b"\xff")
    assert found == {
        digest("user_id", "uä"), digest("anonymous_id", "12"), digest("email", "ann@shop.example"),
    }  # fmt: skip


def test_a_body_that_names_very_many_is_marked_instead_of_listed() -> None:
    body = json.dumps([f"p{number}@shop.example" for number in range(501)]).encode()
    assert people_in(body) == [MANY]
    assert len(every_one_in(body)) == 501


def test_hashes_do_not_show_what_they_stand_for() -> None:
    letter = refusal({"userId": "ann", "traits": {"email": "ann@shop.example"}})
    assert len(letter.people) == 2
    assert not any(b"ann" in one for one in letter.people)


# -- what may become of it ---------------------------------------------------------------------


def act(deed: Any = "replaying") -> Action:
    return Action(at=NOON, deed=deed, by="support")


def test_a_replay_that_a_stage_refuses_opens_the_same_letter_once() -> None:
    letter = life.replayed(life.requested(refusal(), b"out", b"{}", act()), NOON)
    headers = rejection("events.orders", dl_replay="abc", dl_stage="profile-resolve")
    news = read(THERE, b"ann", b"{}", headers)
    assert isinstance(news, Returned)
    assert news.id == "abc"
    reopened = life.returned(letter, news)
    assert reopened is not None
    assert (reopened.state, reopened.stage) == ("edited", "profile-resolve")
    assert reopened.reason == "not_as_declared"
    assert [one.deed for one in reopened.history] == ["replaying", "replayed", "refused"]
    assert life.returned(reopened, news) is None


def test_erasing_leaves_nothing_but_that_it_was_there() -> None:
    letter = life.requested(refusal(dl_shared='{"context": {"ip": "1"}}'), b"out", b"{}", act())
    gone = life.erased(letter, act())
    assert b"o-1" not in msgspec.msgpack.encode(gone)
    assert (gone.raw, gone.edited, gone.shared, gone.outputs) == (None, None, b"", b"")
    assert (gone.people, gone.headers, gone.message_id) == ([], [], None)
    assert (gone.id, gone.reason, gone.state) == ("abc", "bad_amount", "erased")
    assert isinstance(outputs_of(gone), Fault)


# -- replay ------------------------------------------------------------------------------------


def outputs_of(letter: Letter, body: bytes | None = None, **more: Any) -> Any:
    return replay.outputs_of(letter, Source(name="web", **more), body)


def code(outcome: Any) -> str:
    assert isinstance(outcome, Fault)
    return outcome.code


def sole(outcome: Any) -> tuple[Any, dict[str, Any]]:
    assert isinstance(outcome, list)
    (output,) = outcome
    return output, msgspec.json.decode(output.value)


def test_a_tills_sale_that_was_repaired_becomes_its_order() -> None:
    sale = {"till": "t-1", "receipt": "7", "occurred_at": "2026-03-01T11:00:00Z", "total": "5,00"}
    letter = refusal(json.dumps(sale).encode(), dl_call="sale", dl_door="till")
    assert code(outputs_of(letter)) == "bad_sale"
    _, value = sole(outputs_of(letter, json.dumps(sale | {"total": "5.00"}).encode()))
    assert (value["messageId"], value["event"]) == ("till:web:t-1:7", "Order Completed")


def test_a_repaired_event_meets_the_plan_of_its_source_again() -> None:
    letter = refusal()
    body, source = edited(letter, revenue="12.50"), Source(name="web")

    def judge(event: Event) -> Verdict:
        return Verdict(event.properties["revenue"] == "12.50", "/revenue: const")

    assert code(replay.outputs_of(letter, source, body, judge)) == "plan_violation"
    body = edited(letter, revenue="13.00")
    _, value = sole(replay.outputs_of(letter, source, body, judge))
    assert value["flags"] == ["plan_violation"]


def test_an_event_is_judged_again_as_it_was_and_as_it_is_edited() -> None:
    letter = refusal()
    assert code(outputs_of(letter)) == "bad_amount"
    output, value = sole(outputs_of(letter, edited(letter, revenue="12.50")))
    assert (output.topic, output.key) == ("events.orders", b"ann")
    assert (value["messageId"], value["timestamp"]) == ("m-1", "2026-03-01T11:59:00Z")
    assert (value["receivedAt"], value["source"]) == ("2026-03-01T12:00:00Z", "web")
    headers = dict(output.headers)
    assert (headers["ce_id"], headers["ce_source"]) == (b"m-1", b"/ingest/web")
    assert (headers["event"], headers["dl_replay"]) == (b"Order Completed", b"abc")


def test_a_replay_keeps_the_message_id_that_the_event_came_with() -> None:
    body = {**ORDER, "messageId": "another", "properties": {"order_id": "o-1"}}
    _, value = sole(outputs_of(refusal(), json.dumps(body).encode()))
    assert value["messageId"] == "m-1"


def test_without_a_message_id_of_its_own_it_gets_the_same_one_each_time() -> None:
    letter = refusal(b"not json")
    body = json.dumps({"type": "page", "userId": "u"}).encode()
    ids = {sole(outputs_of(letter, body))[1]["messageId"] for _ in range(2)}
    assert len(ids) == 1
    given = json.dumps({"type": "page", "userId": "u", "messageId": "m-7"}).encode()
    assert sole(outputs_of(letter, given))[1]["messageId"] == "m-7"


def test_what_its_address_and_its_batch_said_still_holds() -> None:
    shared = msgspec.json.encode(Shared({"locale": "de"}, {}, "2026-03-01T12:00:10Z")).decode()
    letter = refusal({"userId": "u", "messageId": "m-2"}, dl_call="page", dl_shared=shared)
    _, value = sole(outputs_of(letter))
    assert (value["type"], value["context"]) == ("page", {"locale": "de"})


def test_the_rules_of_its_source_are_those_of_now() -> None:
    body = {"type": "track", "userId": "u", "event": "Order Completed",
            "properties": {"order_id": "o", "total": "1.00"}}  # fmt: skip
    _, value = sole(outputs_of(refusal(body), default_currency="CHF"))
    assert value["properties"]["currency"] == "CHF"


def test_a_whole_batch_is_replayed_or_none_of_it() -> None:
    letter = refusal(b'{"batch": [', dl_call="batch")
    good = {"type": "page", "userId": "u"}
    outputs = outputs_of(letter, json.dumps({"batch": [good, good]}).encode())
    assert isinstance(outputs, list)
    assert len({dict(output.headers)["ce_id"] for output in outputs}) == 2
    assert code(outputs_of(letter, json.dumps({"batch": [good, {}]}).encode())) == "unknown_type"
    assert code(outputs_of(letter, b'{"batch": []}')) == "empty_batch"
    assert code(outputs_of(letter)) == "bad_json"


def test_a_sale_of_a_till_is_repaired_as_a_sale_of_its_own_receipt() -> None:
    sale = {"till": "7", "receipt": "r-1", "occurred_at": "2026-03-01T11:00:00Z", "total": "5,00"}
    letter = refusal(sale, dl_call="sale", dl_door="till")
    assert code(outputs_of(letter)) == "bad_sale"
    _, value = sole(outputs_of(letter, json.dumps({**sale, "total": "5.00"}).encode()))
    assert (value["event"], value["messageId"]) == ("Order Completed", "till:web:7:r-1")
    assert (value["properties"]["total"], value["source"]) == ("5.00", "web")


def test_a_delivery_that_nobody_could_read_is_sent_again_by_its_sender() -> None:
    for call in ("hook", "upload"):
        assert code(outputs_of(refusal(dl_call=call), edited(refusal()))) == "not_an_event"


def test_what_was_cut_short_has_to_be_edited() -> None:
    assert code(outputs_of(refusal(dl_size="70000"))) == "truncated"
    sole(outputs_of(refusal(dl_size="70000"), json.dumps({"type": "page", "userId": "u"}).encode()))


def test_an_internal_record_is_sent_as_it_was_to_the_stage_that_rejected_it() -> None:
    letter = read(THERE, b"p1", b"{}", rejection())
    assert isinstance(letter, Letter)
    (output,) = outputs_of(letter)  # type: ignore[misc]
    assert (output.topic, output.partition) == ("profile.interactions", 3)
    assert (output.key, output.value) == (b"p1", b"{}")
    assert dict(output.headers) == {
        "ce_id": b"m-1",
        "ce_source": b"/profile-resolve",
        "ce_type": b"regulars.interaction.recorded.v1",
        "dl_replay": letter.id.encode(),
        "dl_for": b"profile-build",
    }
    assert code(outputs_of(letter, b"{}")) == "not_editable"


def test_an_old_state_never_becomes_the_latest_of_a_compacted_topic() -> None:
    letter = read(THERE, b"p1", b"{}", rejection("profile.changes"))
    assert isinstance(letter, Letter)
    assert code(outputs_of(letter)) == "whole_state"


def test_an_accepted_event_that_resolve_rejected_keeps_its_times_when_it_is_edited() -> None:
    body = {**ORDER, "receivedAt": "2026-02-28T10:00:00Z", "sentAt": "2026-02-28T10:00:00Z",
            "originalTimestamp": "2026-02-28T09:00:00Z", "source": "web",
            "properties": {"order_id": "o-1"}}  # fmt: skip
    headers = rejection("events.orders", ce_source="/ingest/web", dl_stage="profile-resolve")
    letter = read(THERE, b"ann", json.dumps(body).encode(), headers)
    assert isinstance(letter, Letter)
    _, value = sole(outputs_of(letter, json.dumps(body).encode()))
    assert value["receivedAt"] == "2026-02-28T10:00:00Z"
    assert value["timestamp"] == "2026-02-28T09:00:00Z"


def test_imported_history_stays_history_when_it_is_edited() -> None:
    headers = rejection("events.orders", ce_source="/ingest/web", dl_stage="profile-resolve")
    raw = json.dumps({**ORDER, "flags": ["history"]}).encode()
    letter = read(THERE, b"ann", raw, headers)
    assert isinstance(letter, Letter)
    _, value = sole(outputs_of(letter, edited(letter, revenue="12.50")))
    assert value["flags"] == ["history"]


def test_a_patch_changes_a_body_and_leaves_other_numbers_to_the_last_digit() -> None:
    letter = refusal(
        b'{"userId": "u", "properties": {"orderId": "o", "x": 0.10000000000000000001}}'
    )
    patch = [
        {"op": "move", "from": "/properties/orderId", "path": "/properties/order_id"},
        {"op": "add", "path": "/properties/total", "value": Decimal("1.10")},
    ]
    after = by_patch(patch)(letter)
    assert isinstance(after, bytes)
    assert json.loads(after, parse_float=Decimal)["properties"] == {
        "x": Decimal("0.10000000000000000001"), "order_id": "o", "total": Decimal("1.10"),
    }  # fmt: skip


@pytest.mark.parametrize(
    "patch",
    [
        [{"op": "replace", "path": "/properties/none", "value": 1}],
        [{"op": "explode", "path": "/x"}],
        [{"path": "/x"}],
        [{"op": "add", "path": "no pointer", "value": 1}],
        [{"op": "add", "path": "/messageId/x", "value": 1}],
        [{"op": "remove", "path": ""}],
        [{"op": "test", "path": "/messageId", "value": "other"}],
        [7],
        [{}],
        [{"op": "add", "path": 7, "value": 1}],
        [{"op": "move", "path": "/a", "from": 7}],
    ],
)
def test_a_patch_that_does_not_fit_is_a_fault_and_no_crash(patch: Any) -> None:
    assert code(by_patch(patch)(refusal())) == "bad_patch"


def remade(letter: Letter, expression: str) -> bytes | Fault:
    repair = by_expression(expression)
    return repair if isinstance(repair, Fault) else repair(letter)


def test_an_expression_makes_a_body_anew_and_leaves_other_numbers_to_the_last_digit() -> None:
    letter = refusal(
        b'{"userId": "u", "number": 7, "cents": 1250, "x": 0.10000000000000000001,'
        b' "lines": [{"sku": "tea", "cents": 625, "n": 2}]}'
    )
    after = remade(
        letter,
        """merge({userId: userId, event: 'Order Completed', x: x}, {properties: {
             order_id: to_string(number), total: shift(cents, `-2`), currency: 'EUR',
             products: lines[].{sku: sku, price: shift(cents, `-2`), quantity: n}}})""",
    )
    assert isinstance(after, bytes)
    assert json.loads(after, parse_float=Decimal) == {
        "userId": "u",
        "event": "Order Completed",
        "x": Decimal("0.10000000000000000001"),
        "properties": {
            "order_id": "7",
            "total": Decimal("12.50"),
            "currency": "EUR",
            "products": [{"sku": "tea", "price": Decimal("6.25"), "quantity": 2}],
        },
    }


def test_the_expression_of_the_documentation_repairs_what_it_says() -> None:
    page = (Path(__file__).parents[2] / "docs" / "dead-letters.md").read_text()
    (expression,) = re.findall(r"```\n(merge\(.*?)```", page, re.DOTALL)
    letter = refusal({"type": "track", "userId": "u", "event": "Order Completed",
                      "messageId": "m", "number": 7, "cents": 1, "total": 1250})  # fmt: skip
    body = remade(letter, expression)
    assert isinstance(body, bytes)
    _, value = sole(outputs_of(letter, body))
    assert value["properties"] == {"order_id": "7", "currency": "EUR", "total": 12.5}


def test_an_expression_may_name_every_field_of_a_large_event() -> None:
    names = [f"f{number}" for number in range(40)]
    body = {"properties": dict.fromkeys(names, 1)}
    inner = ", ".join(f"{name}: properties.{name}" for name in names)
    after = remade(refusal(body), f"merge(@, {{properties: merge(properties, {{{inner}}})}})")
    assert isinstance(after, bytes)
    assert json.loads(after) == body


@pytest.mark.parametrize(
    ("expression", "fault"),
    [
        ("properties.[", "bad_expression"),
        ("open('/etc/passwd')", "bad_expression"),
        ("a" * 4_001, "bad_expression"),
        ("[@,@]|[@,@]|[@,@]|[@,@]|[@,@]|[@,@]|[@,@]|{a: @}", "bad_expression"),
        ("properties.order_id", "not_an_object"),
        ("nothing", "not_an_object"),
        ("{a: sum(@)}", "expression_failed"),
        ("{a: &properties}", "expression_failed"),
        ("not_null(&properties)", "expression_failed"),
        ('{a: `"\\ud800"`}', "bad_expression"),
    ],
)
def test_an_expression_that_does_not_fit_is_a_fault_and_no_crash(
    expression: str, fault: str
) -> None:
    assert code(remade(refusal(), expression)) == fault
    assert code(remade(refusal(b"\xff"), "@")) == "bad_text"

"""Resolve's handler: what becomes of each record of a turn."""

import json
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from schemas.messages import Identifier, IdentityMerged, Interaction, MessageChanged
from services.ingest.hooks.sendgrid import SendGrid
from services.profile.resolve.handler import ResolveHandler
from services.profile.resolve.model import Stored
from services.profile.resolve.rules.ground import profile_id_of
from services.profile.resolve.rules.spelling import node_of
from services.runtime.turn import Message, Record, Source, Turn
from tests.identity_world import FakePeople
from tests.posting import accepted

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
CLICKS = Source("profile-resolve/events.clicks/0", "events.clicks", 0)
ORDERS = Source("profile-resolve/events.orders/1", "events.orders", 1)
STEPS = Source("profile-resolve/message.changes/0", "message.changes", 0)
DECIDED = Source("profile-resolve/identity.decisions/0", "identity.decisions", 0)

ANN = Identifier("user_id", "ann")
PHONE = Identifier("anonymous_id", "phone")


def event(message_id: str, **fields: Any) -> bytes:
    body = {
        "messageId": message_id,
        "type": "track",
        "event": "Product Viewed",
        "timestamp": "2026-03-01T12:00:00Z",
        "receivedAt": "2026-03-01T12:00:01Z",
        "source": "web",
        "anonymousId": "phone",
        **fields,
    }
    return json.dumps({key: value for key, value in body.items() if value is not None}).encode()


def order(message_id: str, **properties: Any) -> bytes:
    return event(
        message_id,
        event="Order Completed",
        properties={
            "order_id": "o1",
            "revenue": 10.5,
            "currency": "EUR",
            "products": [{"product_id": "p1", "price": 10.5, "quantity": 1}],
            **properties,
        },
    )


def login(message_id: str) -> bytes:
    return event(message_id, type="identify", event=None, userId="ann")


def step(state: str, profile_id: str, change_id: str = "c1") -> bytes:
    return msgspec.json.encode(
        MessageChanged(
            change_id=change_id,
            message_id="m",
            profile_id=profile_id,
            campaign="welcome",
            campaign_version=1,
            state=state,  # type: ignore[arg-type]
            at=NOON,
        )
    )


def record(body: bytes | None, source: Source = CLICKS, **headers: str) -> Record:
    return Record(source, 0, b"k", body, {key: value.encode() for key, value in headers.items()})


def turn_of(*records: Record | bytes) -> Turn:
    return Turn(
        now=NOON,
        session=None,
        records=[record(each) if isinstance(each, bytes) else each for each in records],
    )


async def run(people: FakePeople, *records: Record | bytes) -> Turn:
    turn = turn_of(*records)
    await ResolveHandler(people).handle(turn)
    await turn.written()
    return turn


def ids(turn: Turn) -> list[str]:
    return [message.id for _, message in turn.messages]


def keys(turn: Turn) -> list[str]:
    return [message.key for _, message in turn.messages]


async def test_an_event_becomes_one_interaction_stored_and_published_in_the_same_bytes() -> None:
    people = FakePeople()
    body = event("m1", extra={"kept": "as it was"}, userId="ann")
    turn = await run(people, record(body, ORDERS))
    profile_id = profile_id_of("m1")
    [(source, message)] = turn.messages
    assert source is ORDERS
    assert message == Message(
        topic="profile.interactions",
        key=profile_id,
        value=people.stored["m1"].body,
        type="regulars.interaction.recorded.v1",
        id="m1",
        time=NOON,
        extra=(("event", b"Product Viewed"),),
    )
    assert people.stored["m1"] == Stored("m1", profile_id, NOON, "Product Viewed", message.value)
    interaction = msgspec.json.decode(message.value, type=Interaction)
    assert interaction == Interaction(
        interaction_id="m1",
        profile_id=profile_id,
        at=NOON,
        received_at=datetime(2026, 3, 1, 12, 0, 1, tzinfo=UTC),
        type="track",
        name="Product Viewed",
        source="web",
        identifiers=[ANN, PHONE],
        event=interaction.event,
    )
    assert bytes(interaction.event) == body


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"type": "page", "event": None, "name": "Home"}, "Page Viewed"),
        ({"type": "screen", "event": None}, "Screen Viewed"),
        ({"type": "identify", "event": None}, "Identify"),
        ({"type": "group", "event": None, "groupId": "g"}, "Group"),
        ({"type": "alias", "event": None, "userId": "ann", "previousId": "phone"}, "Alias"),
        ({"event": " product ADDED "}, "Product Added"),
    ],
)
async def test_each_call_has_a_name_on_the_timeline(fields: dict[str, Any], name: str) -> None:
    people = FakePeople()
    turn = await run(people, event("m1", **fields))
    assert people.stored["m1"].name == name
    assert turn.messages[0][1].extra == (("event", name.encode()),)


@pytest.mark.parametrize(
    ("timestamp", "received", "at"),
    [
        ("2026-03-01T12:30:00+02:00", "2026-03-01T11:00:00Z", "2026-03-01T10:30:00Z"),
        ("1970-01-01T00:00:00Z", "2026-03-01T11:00:00Z", "2026-03-01T11:00:00Z"),
        ("2100-01-01T00:00:00Z", "2026-03-01T11:00:00Z", "2026-03-01T11:00:00Z"),
        ("2100-01-01T00:00:00Z", "2100-01-01T00:00:00Z", "2026-03-01T12:00:00Z"),
        ("2026-03-01T11:00:00Z", "2100-01-01T00:00:00Z", "2026-03-01T11:00:00Z"),
        ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "2026-03-01T12:00:00Z"),
        ("9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "2026-03-01T12:00:00Z"),
    ],
)
async def test_the_time_of_an_interaction_can_be_true(
    timestamp: str, received: str, at: str
) -> None:
    people = FakePeople()
    turn = await run(people, event("m1", timestamp=timestamp, receivedAt=received))
    [(_, message)] = turn.messages
    assert message.value is not None
    body = json.loads(message.value)
    assert (body["at"], message.time, people.stored["m1"].at) == (
        at,
        datetime.fromisoformat(at),
        datetime.fromisoformat(at),
    )
    assert body["event"]["timestamp"] == timestamp


async def test_identifiers_that_did_not_link_are_recorded_as_ignored() -> None:
    people = FakePeople()
    mail = {"traits": {"email": "ann@shop.com"}}
    ann, bob = event("m1", userId="ann", context=mail), event("m2", userId="bob", context=mail)
    await run(people, ann, bob, event("m3", userId="guest"))
    ignored = [
        msgspec.json.decode(people.stored[key].body, type=Interaction).ignored
        for key in ("m1", "m2", "m3")
    ]
    shared = Identifier("email", "ann@shop.com")
    assert ignored == [[], [shared], [Identifier("user_id", "guest")]]
    owners = {node: has.profile_id for node, has in people.by.items()}
    ann, bob = profile_id_of("m1"), profile_id_of("m2")
    assert owners == {
        ANN: ann, node_of(shared): ann, Identifier("user_id", "bob"): bob, PHONE: bob,
    }  # fmt: skip


class TestADuplicate:
    async def test_of_an_earlier_turn_is_dropped(self) -> None:
        people = FakePeople()
        await run(people, event("m1"))
        turn = await run(people, event("m1"), event("m2"))
        assert ids(turn) == ["m2"]
        assert turn.dropped == {"duplicate": 1}

    async def test_within_a_turn_is_dropped(self) -> None:
        turn = await run(FakePeople(), event("m1"), record(event("m1"), ORDERS), event("m1"))
        assert ids(turn) == ["m1"]
        assert turn.dropped == {"duplicate": 2}

    async def test_changes_nothing(self) -> None:
        people = FakePeople()
        await run(people, event("m1"))
        before = deepcopy((people.stored, people.by, people.all))
        await run(people, event("m1", userId="ann", timestamp="2026-03-01T13:00:00Z"))
        assert (people.stored, people.by, people.all) == before

    async def test_is_not_what_follows_a_record_that_was_rejected(self) -> None:
        turn = await run(FakePeople(), event("m1", anonymousId="none"), event("m1"))
        assert [each.reason for each in turn.rejected] == ["no_identifier"]
        assert ids(turn) == ["m1"]
        assert not turn.dropped


class TestAMerge:
    async def test_is_told_to_the_absorbed_profile_before_the_event_goes_to_the_survivor(
        self,
    ) -> None:
        people = FakePeople()
        await run(people, event("m1"), event("m2", anonymousId=None, userId="ann"))
        stranger, ann = profile_id_of("m1"), profile_id_of("m2")
        turn = await run(people, record(login("m3"), ORDERS))
        (source, merged), (_, recorded) = turn.messages
        assert source is ORDERS
        assert (merged.topic, merged.key, merged.type) == (
            "profile.interactions",
            stranger,
            "regulars.identity.merged.v1",
        )
        assert merged.value is not None
        assert msgspec.json.decode(merged.value, type=IdentityMerged) == IdentityMerged(
            profile_id=stranger, into=ann, message_id="m3", identifier=PHONE, at=NOON
        )
        assert (recorded.id, recorded.key) == ("m3", ann)

    async def test_leaves_earlier_interactions_where_they_were(self) -> None:
        people = FakePeople()
        await run(people, event("m1"), event("m2", anonymousId=None, userId="ann"), login("m3"))
        stranger, ann = profile_id_of("m1"), profile_id_of("m2")
        assert {key: each.profile_id for key, each in people.stored.items()} == {
            "m1": stranger,
            "m2": ann,
            "m3": ann,
        }
        assert people.all[ann].profile_ids == [ann, stranger]

    async def test_sends_later_events_of_the_same_turn_to_the_survivor(self) -> None:
        people = FakePeople()
        await run(people, event("m1"), event("m2", anonymousId=None, userId="ann"))
        stranger, ann = profile_id_of("m1"), profile_id_of("m2")
        turn = await run(people, event("m3"), login("m4"), event("m5"))
        assert keys(turn) == [stranger, stranger, ann, ann]
        assert ids(turn) == ["m3", f"m4/merged/{stranger}", "m4", "m5"]

    async def test_gives_the_same_outcomes_when_the_turn_is_tried_again(self) -> None:
        people = FakePeople()
        await run(people, event("m1"), event("m2", anonymousId=None, userId="ann"))
        handler, aborted = ResolveHandler(deepcopy(people)), ResolveHandler(people)
        first, again = turn_of(login("m3"), event("m4")), turn_of(login("m3"), event("m4"))
        await aborted.handle(first)
        aborted.lost(None)
        await handler.handle(again)
        assert first.messages == again.messages

    async def test_gives_the_same_outcomes_for_records_that_were_read_ahead(self) -> None:
        bodies = [login("m3"), b"no event", event("m3"), step("opened", "p"), step("decided", "p")]
        records = [record(body, STEPS if b"change_id" in body else CLICKS) for body in bodies]
        handler, turns = ResolveHandler(FakePeople()), []
        for ahead in (False, True, False):  # The last as after an abort: nothing was written.
            turn = turn_of(*records)
            for each in records if ahead else ():
                each.ahead = handler.ahead(each, NOON)
            await handler.handle(turn)
            turns.append((turn.messages, [r.reason for r in turn.rejected], turn.dropped))
        assert turns[0] == turns[1] == turns[2]
        assert turns[0][1:] == (
            ["not_json", "unknown_profile"],
            {"duplicate": 1, "not_an_interaction": 1},
        )


class TestAStepOfAMessage:
    @pytest.mark.parametrize(
        ("state", "name"),
        [
            ("sent", "Message Sent"),
            ("delivered", "Message Delivered"),
            ("opened", "Message Opened"),
            ("clicked", "Message Clicked"),
            ("bounced", "Message Bounced"),
            ("complained", "Message Complained"),
            ("unsubscribed", "Message Unsubscribed"),
            ("converted", "Message Converted"),
        ],
    )
    async def test_stands_on_the_timeline(self, state: str, name: str) -> None:
        people = FakePeople()
        await run(people, event("m1"))
        body = step(state, profile_id_of("m1"))
        turn = await run(people, record(body, STEPS, ce_type=f"regulars.message.{state}.v1"))
        [(source, message)] = turn.messages
        assert source is STEPS
        assert message.extra == (("event", name.encode()),)
        assert message.value is not None
        interaction = msgspec.json.decode(message.value, type=Interaction)
        assert bytes(interaction.event) == body
        assert interaction == Interaction(
            interaction_id="c1",
            profile_id=profile_id_of("m1"),
            at=NOON,
            received_at=NOON,
            type="message",
            name=name,
            source="notifier",
            event=interaction.event,
        )

    @pytest.mark.parametrize("state", ["decided", "skipped", "failed", "uncertain"])
    async def test_that_nobody_lived_through_is_dropped(self, state: str) -> None:
        named = record(b"never decoded", STEPS, ce_type=f"regulars.message.{state}.v1")
        turn = await run(FakePeople(), named, record(step(state, "p_1"), STEPS))
        assert turn.dropped == {"not_an_interaction": 2}
        assert (turn.messages, turn.rejected) == ([], [])

    async def test_follows_its_person_to_the_survivor(self) -> None:
        people = FakePeople()
        await run(people, event("m1"), event("m2", anonymousId=None, userId="ann"))
        stranger, ann = profile_id_of("m1"), profile_id_of("m2")
        before = record(step("sent", stranger, "c1"), STEPS)
        after = record(step("opened", stranger, "c2"), STEPS)
        turn = await run(people, before, login("m3"), after)
        assert keys(turn) == [stranger, stranger, ann, ann]
        turn = await run(people, record(step("clicked", stranger, "c3"), STEPS))
        assert keys(turn) == [ann]

    async def test_counts_once(self) -> None:
        people = FakePeople()
        await run(people, event("m1"))
        sent = record(step("sent", profile_id_of("m1")), STEPS)
        turns = [await run(people, sent, sent), await run(people, sent)]
        assert [ids(turn) for turn in turns] == [["c1"], []]
        assert [turn.dropped for turn in turns] == [{"duplicate": 1}, {"duplicate": 1}]

    async def test_of_nobody_is_rejected(self) -> None:
        turn = await run(FakePeople(), record(step("sent", "p_nobody"), STEPS))
        assert [each.reason for each in turn.rejected] == ["unknown_profile"]
        assert turn.messages == []

    @pytest.mark.parametrize(
        ("body", "reason"), [(b"{", "not_json"), (b"{}", "wrong_type"), (None, "empty")]
    )
    async def test_that_does_not_fit_is_rejected(self, body: bytes | None, reason: str) -> None:
        turn = await run(FakePeople(), record(body, STEPS))
        assert [each.reason for each in turn.rejected] == [reason]


ADDRESS = Identifier("email", "ann@example.com")


@pytest.mark.parametrize(
    "says",
    [
        {"a": []},
        {"b": []},
        {"b": [ANN]},
        {"a": [ADDRESS], "b": [PHONE, node_of(ADDRESS)]},
        {"at": datetime(2026, 3, 1, 12)},  # noqa: DTZ001
    ],
)
async def test_a_decision_needs_two_sides_with_nothing_in_common_and_a_time(says) -> None:
    said = {"decision_id": "d1", "kind": "split", "profile_id": "p", "at": NOON}
    said |= {"a": [ANN], "b": [PHONE]} | says
    turn = await run(FakePeople(), record(msgspec.json.encode(said), DECIDED))
    assert [each.reason for each in turn.rejected] == ["one_sided"]


async def test_a_decision_about_whom_nobody_has_heard_of_holds_once_they_come() -> None:
    bob, people = Identifier("user_id", "bob"), FakePeople()
    said = {"decision_id": "d1", "kind": "join", "profile_id": "p", "at": NOON}
    said |= {"a": [ANN], "b": [bob]}
    turn = await run(people, record(msgspec.json.encode(said), DECIDED))
    assert turn.dropped == {}
    await run(people, login("m1"), event("m2", userId="bob", anonymousId="desk"))
    assert list(people.histories().values()) == [{"m1", "m2"}]


def deep(levels: int) -> bytes:
    return event("bad", properties="?").replace(b'"?"', b'{"a":' * levels + b"1" + b"}" * levels)


BAD = {
    "a record without a value": (None, "empty"),
    "an empty value": (b"", "not_json"),
    "malformed JSON": (event("bad")[:-1], "not_json"),
    "a message that is not JSON": (b"\x80\x04\x95 pickle", "not_json"),
    "text that is not UTF-8": (event("bad", x="?").replace(b"?", b"\xff"), "not_json"),
    "JSON that is no object": (b"[1]", "wrong_type"),
    "NaN": (order("bad", revenue="?").replace(b'"?"', b"NaN"), "not_json"),
    "a NUL byte": (event("bad").replace(b"phone", b"pho\x00ne"), "not_json"),
    "an escaped NUL": (event("bad", properties={"a": "x\x00y"}), "nul_byte"),
    "a NUL in a key": (event("bad", properties={"a\x00b": 1}), "nul_byte"),
    "deep nesting": (deep(40), "too_deep"),
    "very deep nesting": (deep(100_000), "too_deep"),
    "a body of 5 MB": (event("bad", properties={"a": "x" * 5_000_000}), "too_large"),
    "a type that does not exist": (event("bad", type="purchase"), "wrong_type"),
    "a number for a name": (event("bad", event=7), "wrong_type"),
    "a list for properties": (event("bad", properties=[1]), "wrong_type"),
    "a list for an id": (event("bad", anonymousId=[7]), "wrong_type"),
    "a time that is none": (event("bad", timestamp="yesterday"), "wrong_type"),
    "a time without an offset": (event("bad", timestamp="2026-03-01T12:00:00"), "bad_time"),
    "a time before all times": (
        event("bad", timestamp="0001-01-01T00:00:00+14:00"),
        "bad_time",
    ),
    "no message id": (event("bad", messageId=None), "bad_message_id"),
    "an empty message id": (event("bad", messageId=" "), "bad_message_id"),
    "a long message id": (event("bad", messageId="x" * 100), "bad_message_id"),
    "nobody named": (event("bad", anonymousId=None), "missing_id"),
    "only ids that mean nobody": (
        event("bad", anonymousId="null", userId="guest"),
        "no_identifier",
    ),
    "a track call without a name": (event("bad", event=None), "missing_event"),
    "an alias without a previous id": (
        event("bad", type="alias", event=None, userId="ann"),
        "missing_previous_id",
    ),
    "an amount with a comma": (order("bad", revenue="12,50"), "bad_amount"),
    "NaN as a text": (order("bad", revenue="NaN"), "bad_amount"),
    "a negative amount": (order("bad", revenue=-1), "negative_amount"),
    "a negative quantity": (
        order("bad", products=[{"product_id": "p", "price": 1, "quantity": -1}]),
        "negative_quantity",
    ),
    "a currency that does not exist": (order("bad", currency="EUX"), "unknown_currency"),
    "an order without an id": (order("bad", order_id=None), "missing_order_id"),
    "a custom event's order in other letters": (
        event("bad", event="ORDER completed"),
        "missing_order_id",
    ),
}


@pytest.mark.parametrize(("body", "reason"), BAD.values(), ids=BAD.keys())
async def test_what_does_not_fit_is_rejected_with_its_reason_and_its_neighbours_pass(
    body: bytes | None, reason: str
) -> None:
    people = FakePeople()
    bad = record(body, ORDERS)
    turn = await run(people, event("before"), bad, order("after"))
    [rejected] = turn.rejected
    assert (rejected.record, rejected.reason) == (bad, reason)
    assert "phone" not in rejected.detail
    assert ids(turn) == ["before", "after"]
    assert list(people.stored) == ["before", "after"]


async def test_a_reason_repeats_nothing_that_a_sender_wrote() -> None:
    turn = await run(FakePeople(), event("m1", type="ann@shop.com"))
    [rejected] = turn.rejected
    assert rejected.detail == "Invalid enum value '...' - at `$.type`"


async def test_unknown_event_names_and_fields_are_welcome() -> None:
    people = FakePeople()
    turn = await run(people, event("m1", event="Frobnicated", answer={"deep": [1, {"er": None}]}))
    assert ids(turn) == ["m1"]
    assert b'"answer": {"deep": [1, {"er": null}]}' in people.stored["m1"].body


async def test_a_turn_of_nothing_but_bad_records_stores_nothing() -> None:
    people = FakePeople()
    turn = await run(people, b"?", b"!")
    assert [each.reason for each in turn.rejected] == ["not_json", "not_json"]
    assert (people.stored, turn.messages) == ({}, [])


class TestImportedHistory:
    async def test_is_marked_on_the_interaction_and_on_the_merges_that_it_causes(self) -> None:
        people = FakePeople()
        await run(people, event("m1"), event("m2", anonymousId=None, userId="ann"))
        imported = event("m3", type="identify", event=None, userId="ann", flags=["history"])
        turn = await run(people, imported, event("m4"))
        assert [msgspec.json.decode(m.value or b"").get("history") for _, m in turn.messages] == [
            True,
            True,
            None,
        ]
        assert ids(turn) == [f"m3/merged/{profile_id_of('m1')}", "m3", "m4"]


async def test_what_a_mail_provider_delivers_46_times_counts_once() -> None:
    said = {"event": "open", "sg_event_id": "e1", "timestamp": 1772366400, "email": "ANN@shop.com"}
    values = [one.value for _ in range(46) for one in accepted(SendGrid(), [said])]
    people = FakePeople()
    turns = [await run(people, *values[:20]), await run(people, *values[20:])]
    assert [ids(turn) for turn in turns] == [["sendgrid:e1"], []]
    assert people.by.keys() == {node_of(Identifier("email", "ann@shop.com"))}

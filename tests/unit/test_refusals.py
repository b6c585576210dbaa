"""Refused events on their way to the topic: whole, bounded, and in nobody's way."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from aiokafka.errors import KafkaConnectionError

from services.ingest.model import Origin, Rejection, Shared
from services.ingest.refusals import MAX_RAW, Refusals
from services.runtime.turn import Output
from tests.ingesting import KEY, Kept, Shelf, client_of, settings

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
WEB = Origin(source="web", at=NOON, call="track")
BAD = Rejection(0, "bad_amount", "revenue must be a number.")


class Lane:
    """A topic in memory, whose broker may be away."""

    def __init__(self) -> None:
        self.outputs: list[Output] = []
        self.up = asyncio.Event()
        self.up.set()
        self.trouble = 0

    async def publish(self, outputs: Sequence[Output]) -> None:
        if self.trouble:
            self.trouble -= 1
            raise KafkaConnectionError
        await self.up.wait()
        self.outputs += outputs

    async def stop(self) -> None: ...


def facts(output: Output) -> dict[str, str]:
    found = {name: value.decode() for name, value in output.headers}
    assert len(found.pop("dl_id", "0" * 32)) == 32
    return found


async def test_a_refused_event_is_kept_as_it_came_with_what_is_needed_to_judge_it_again() -> None:
    lane = Lane()
    refusals = Refusals(settings(), lane)
    shared = Shared(context={"locale": "de"}, sent_at="2026-03-01T12:00:00Z")
    origin = Origin(source="web", at=NOON, door="hook", shared=shared)
    await refusals.record([b"{}", b"\xff"], [Rejection(1, "bad_text", "Not JSON.")], origin)
    await refusals.stop()
    (output,) = lane.outputs
    assert (output.topic, output.key, output.value) == ("events.rejected", b"web", b"\xff")
    found = facts(output)
    assert msgspec.json.decode(found.pop("dl_shared"), type=Shared) == shared
    assert found == {
        "dl_reason": "bad_text",
        "dl_detail": "Not JSON.",
        "dl_source": "web",
        "dl_door": "hook",
        "dl_stage": "ingest",
        "dl_at": "2026-03-01T12:00:00Z",
    }


async def test_a_huge_body_is_cut_short_and_says_so() -> None:
    lane = Lane()
    refusals = Refusals(settings(), lane)
    await refusals.record([b"x" * (MAX_RAW + 1)], [BAD], WEB)
    await refusals.stop()
    (output,) = lane.outputs
    assert output.value == b"x" * MAX_RAW
    assert facts(output)["dl_size"] == str(MAX_RAW + 1)


async def test_a_source_that_is_refused_too_often_is_only_counted() -> None:
    lane, now = Lane(), [0.0]
    refusals = Refusals(settings(refused_events_per_hour=3), lane, lambda: now[0])
    for _ in range(10):
        await refusals.record([b"{}"], [BAD], WEB)
    await refusals.record([b"{}"], [BAD], Origin(source="app", at=NOON))
    now[0] = 1_200.0  # a third of an hour: one more
    for _ in range(2):
        await refusals.record([b"{}"], [BAD], WEB)
    await refusals.stop()
    *kept, summary = lane.outputs
    assert [output.key for output in kept] == [b"web"] * 3 + [b"app", b"web"]
    assert facts(summary).keys() == {"dl_suppressed", "dl_source", "dl_at"}
    assert (facts(summary)["dl_suppressed"], summary.value) == ("8", b'{"bad_amount":8}')


async def test_a_source_may_not_fill_the_disk_with_few_large_events() -> None:
    lane = Lane()
    refusals = Refusals(settings(refused_bytes_per_hour=100_000), lane, lambda: 0.0)
    for _ in range(4):
        await refusals.record([b"x" * 40_000], [BAD], WEB)
    await refusals.stop()
    assert [facts(output).get("dl_suppressed") for output in lane.outputs] == [None, None, "2"]


async def test_while_the_broker_is_away_memory_is_bounded_and_one_waits() -> None:
    lane = Lane()
    lane.up.clear()
    many = settings(refused_events_per_hour=10_000, refused_bytes_per_hour=1_000_000_000)
    refusals = Refusals(many, lane, patience=0.01)  # of the first alone: then it is known
    for _ in range(500):
        await refusals.record([b"x" * MAX_RAW], [BAD], WEB)
    lane.up.set()
    await refusals.stop()
    *kept, summary = lane.outputs
    assert sum(len(output.value or b"") for output in kept) <= 16_000_000
    assert len(kept) + int(facts(summary)["dl_suppressed"]) == 500


async def test_whoever_is_refused_is_answered_when_it_is_recorded() -> None:
    lane = Lane()
    lane.up.clear()
    refusals = Refusals(settings(refused_events_per_hour=2), lane, lambda: 0.0)
    first = asyncio.create_task(refusals.record([b"1"], [BAD], WEB))
    second = asyncio.create_task(refusals.record([b"2"], [BAD], WEB))
    await asyncio.sleep(0)
    await refusals.record([b"3"], [BAD], WEB)  # is only counted, and so does not wait
    assert (first.done(), second.done(), lane.outputs) == (False, False, [])
    lane.up.set()
    await first
    assert [output.value for output in lane.outputs][:1] == [b"1"]
    await second
    assert [output.value for output in lane.outputs] == [b"1", b"2"]
    await refusals.stop()


async def test_after_an_outage_who_is_refused_waits_again() -> None:
    lane = Lane()
    lane.trouble = 1
    refusals = Refusals(settings(), lane)
    await refusals.record([b"1"], [BAD], WEB)
    assert lane.outputs == []  # the broker is away: it was answered all the same
    while not lane.outputs:
        await asyncio.sleep(0.01)
    await refusals.record([b"2"], [BAD], WEB)
    assert [output.value for output in lane.outputs] == [b"1", b"2"]
    await refusals.stop()


async def test_what_the_broker_did_not_take_is_sent_again_in_order() -> None:
    lane = Lane()
    lane.trouble = 1
    refusals = Refusals(settings(), lane)
    for text in (b"1", b"2"):
        await refusals.record([text], [BAD], WEB)
    await refusals.stop()
    assert [output.value for output in lane.outputs] == [b"1", b"2"]


# -- at the door -------------------------------------------------------------------------------

GOOD = {"type": "track", "userId": "u", "event": "Tea", "messageId": "m-1"}
WORSE = {"type": "track", "userId": "u", "event": "Order Completed", "messageId": "m-2"}


async def post(path: str, shelf: Shelf, kept: Kept, **body: Any) -> int:
    async with client_of(shelf, kept=kept) as client:
        return (await client.post(path, **body)).status_code


async def test_of_a_batch_only_the_refused_event_is_kept() -> None:
    shelf, kept = Shelf(), Kept()
    batch = {"batch": [GOOD, WORSE], "context": {"locale": "de"}, "sentAt": "2026-01-01T00:00:00Z"}
    assert await post("/v1/batch", shelf, kept, json=batch) == 200
    assert [event.message_id for event in shelf.events] == ["m-1"]
    ((text, rejection, origin),) = kept.refused
    assert msgspec.json.decode(text) == WORSE
    assert (rejection.index, rejection.code, rejection.message_id) == (1, "missing_order_id", "m-2")
    assert (origin.source, origin.door, origin.call) == ("web", "http", None)
    assert origin.shared == Shared({"locale": "de"}, {}, "2026-01-01T00:00:00Z")


async def test_a_refused_call_is_kept_with_what_its_address_said() -> None:
    kept = Kept()
    assert await post("/v1/track", Shelf(), kept, content=b'{"userId": "u"}') == 400
    ((text, rejection, origin),) = kept.refused
    assert (text, rejection.code, origin.call) == (b'{"userId": "u"}', "missing_event", "track")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'{"batch": [', "bad_json"),
        (b'{"batch": 1}', "bad_batch"),
        (b'{"batch": [], "context": 1}', "bad_batch"),
    ],
)
async def test_a_batch_that_is_none_is_kept_whole(body: bytes, code: str) -> None:
    kept = Kept()
    assert await post("/v1/batch", Shelf(), kept, content=body) == 400
    ((text, rejection, origin),) = kept.refused
    assert (text, rejection.code, origin.call) == (body, code, "batch")


async def test_strangers_leave_no_trace() -> None:
    kept = Kept()
    async with client_of(Shelf(), key=None, kept=kept) as client:
        assert (await client.post("/v1/batch", content=b"{")).status_code == 400
        body = {"writeKey": KEY + "?", "event": "x"}
        assert (await client.post("/v1/track", json=body)).status_code == 401
    assert kept.refused == []


async def test_what_could_not_be_delivered_is_refused_when_it_comes_again() -> None:
    shelf, kept = Shelf(), Kept()
    shelf.trouble = "Kafka is not reachable."
    assert await post("/v1/batch", shelf, kept, json={"batch": [GOOD, WORSE]}) == 503
    assert kept.refused == []

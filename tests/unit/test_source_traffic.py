"""What passes: limited, counted by source, and shown to whoever watches."""

from datetime import UTC, datetime, timedelta
from time import time
from typing import Any

import msgspec
import pytest
from prometheus_client import REGISTRY

from services.ingest.handler import Ingest, Limited, Unavailable
from services.ingest.model import Answer, Rejection, Shared
from services.ingest.sources.activity import Activity, Hour
from services.ingest.sources.lens import Lens
from services.ingest.sources.limiter import Limiter, burst_of
from services.ingest.sources.model import KeyHash, Source
from services.ingest.sources.observations import sighting_shown
from services.ingest.sources.sighting import Sighting, event_of
from services.ingest.sources.summary import Step, Summary, summed
from services.ingest.sources.turnstile import Turnstile
from services.runtime.keys import digest
from tests.ingesting import KEY, SOURCE, Kept, Published, Shelf, client_of

NOON = datetime(2026, 3, 14, 12, 0, tzinfo=UTC)


def text(number: int, **more: Any) -> bytes:
    event = {"type": "track", "event": "Product Viewed", "userId": "u-1"}
    return msgspec.json.encode(event | {"messageId": f"m-{number}"} | more)


class World:
    """A turnstile before a shelf, and a clock."""

    def __init__(self) -> None:
        self.now = NOON
        self.seconds = 0.0
        self.shelf = Shelf()
        self.activity = Activity()
        self.lens = Lens("run")
        turnstile = Turnstile(self.activity, self.lens, lambda: self.seconds)
        self.ingest = Ingest(
            self.shelf, turnstile, lambda: self.now, lambda: "made-up", refusals=Kept()
        )

    async def send(self, source: Source, *texts: bytes) -> Answer:
        return await self.ingest.take(texts, None, Shared(), source)


# -- limits ------------------------------------------------------------------------------


def test_a_source_without_a_burst_may_send_one_whole_batch_or_a_second_at_once() -> None:
    assert burst_of(Source(name="web", events_per_second=1.0)) == 2_500
    assert burst_of(Source(name="web", events_per_second=9_000.5)) == 9_001
    assert burst_of(Source(name="web", events_per_second=1.0, burst=7)) == 7


async def test_a_batch_is_taken_or_refused_whole() -> None:
    world, source = World(), Source(name=SOURCE, events_per_second=2.0, burst=4)
    assert (await world.send(source, text(1), text(2), text(3))).accepted == 3
    with pytest.raises(Limited) as caught:
        await world.send(source, text(4), text(5), text(6))
    assert (caught.value.seconds, caught.value.burst) == (1.0, 4)
    assert len(world.shelf.events) == 3
    world.seconds = 1.0
    assert (await world.send(source, text(4), text(5), text(6))).accepted == 3


def test_sources_do_not_share_a_bucket() -> None:
    limiter = Limiter()
    web, app = (Source(name=name, events_per_second=1.0, burst=1) for name in ("web", "app"))
    assert [limiter.take(one, 1, 0.0) for one in (web, app, web, app)] == [0.0, 0.0, 1.0, 1.0]


async def test_a_changed_limit_holds_from_the_next_request() -> None:
    world = World()
    await world.send(Source(name=SOURCE, events_per_second=1.0, burst=5), *map(text, range(5)))
    with pytest.raises(Limited):
        await world.send(Source(name=SOURCE, events_per_second=1.0, burst=5), text(6))
    world.seconds = 1.0
    faster = Source(name=SOURCE, events_per_second=4.0, burst=5)
    assert (await world.send(faster, *map(text, range(6, 10)))).accepted == 4


def limited_source(**given: Any) -> Published:
    published = Published()
    key = KeyHash(id="k", hash=digest("fresh-key"), created_at=NOON)
    published.put(Source(name=SOURCE, keys=(key,), **given))
    return published


async def test_too_many_are_answered_429_with_when_to_come_again() -> None:
    published, shelf = limited_source(events_per_second=0.001, burst=2), Shelf()
    async with client_of(shelf, "fresh-key", published) as client:
        batch = {"batch": [msgspec.json.decode(text(number)) for number in (1, 2)]}
        assert (await client.post("/v1/batch", json=batch)).status_code == 200
        before = time()
        response = await client.post("/v1/batch", json=batch)
        after = time()
    wait = int(response.headers["retry-after"])
    assert 0 < wait <= 2_000
    # Milliseconds since 1970, as Segment's SDK for Node reads it.
    reset = int(response.headers["x-ratelimit-reset"]) / 1_000
    assert before + wait <= reset <= after + wait + 0.002
    assert response.status_code == 429
    assert response.headers["content-type"] == "application/problem+json"
    said = "This source sends more events than it may; none of these was taken. "
    assert response.json() == {
        "type": "about:blank",
        "title": "Too Many Requests",
        "status": 429,
        "detail": f"{said}Send the same again after {wait} s.",
        "message": f"{said}Send the same again after {wait} s.",
        "instance": "/v1/batch",
        "code": "rate_limited",
    }
    assert len(shelf.events) == 2


async def test_a_batch_that_never_fits_is_not_asked_to_come_again() -> None:
    async with client_of(Shelf(), "fresh-key", limited_source(events_per_second=1.0, burst=2)) as c:
        batch = {"batch": [msgspec.json.decode(text(number)) for number in (1, 2, 3)]}
        response = await c.post("/v1/batch", json=batch)
    assert response.status_code == 413
    assert "retry-after" not in response.headers
    assert response.json()["code"] == "batch_over_burst"


async def test_a_static_source_can_be_limited_by_its_name() -> None:
    async with client_of(Shelf(), KEY, limited_source(events_per_second=0.001, burst=1)) as client:
        event = msgspec.json.decode(text(1))
        assert (await client.post("/v1/track", json=event)).status_code == 200
        assert (await client.post("/v1/track", json=event)).status_code == 429


# -- counts ------------------------------------------------------------------------------


def counted(source: str, outcome: str) -> float | None:
    labels = {"source": source, "outcome": outcome}
    return REGISTRY.get_sample_value("regulars_ingest_source_events_total", labels)


async def test_every_event_is_counted_by_what_became_of_it() -> None:
    world, source = World(), Source(name=SOURCE)
    await world.send(source, text(1), text(2), text(1), text(3, event=""), b"{", b"[]")
    world.now = NOON + timedelta(minutes=59)
    await world.send(source, text(4))
    world.shelf.trouble = "away"
    with pytest.raises(Unavailable):
        await world.send(source, text(5), text(6))
    world.now = NOON + timedelta(hours=1)
    with pytest.raises(Limited):
        await world.send(Source(name=SOURCE, events_per_second=1.0, burst=1), text(7), text(8))
    assert world.activity.changed() == [
        Hour(
            source=SOURCE,
            hour=NOON,
            last_seen=NOON + timedelta(minutes=59),
            accepted=3,
            duplicates=1,
            unavailable=2,
            rejected={"missing_event": 1, "bad_text": 1, "not_an_object": 1},
            minutes={0: [2, 3], 59: [1, 0]},
        ),
        Hour(
            source=SOURCE,
            hour=NOON + timedelta(hours=1),
            last_seen=NOON + timedelta(hours=1),
            limited=2,
            minutes={0: [0, 0]},
        ),
    ]
    assert world.activity.changed() == []


async def test_what_could_not_be_stored_is_stored_later_with_what_came_since() -> None:
    world, source = World(), Source(name=SOURCE)
    await world.send(source, text(1))
    world.activity.give_back(world.activity.changed())
    [hour] = world.activity.changed()
    assert hour.accepted == 1
    world.activity.give_back([hour])
    await world.send(source, text(2))
    [hour] = world.activity.changed()
    assert hour.accepted == 2
    assert world.activity.changed() == []


def test_metrics_of_a_source_go_with_it_and_its_counts_do_not() -> None:
    activity, name = Activity(), "short-lived"
    answer = Answer(True, 2, 0, [Rejection(2, "bad_text", "")])
    activity.answered(name, answer, NOON)
    activity.changed()
    assert counted(name, "accepted") == 2
    assert counted(name, "rejected") == 1
    activity.keep([SOURCE])
    assert counted(name, "accepted") is None
    assert counted(name, "rejected") is None
    activity.answered(name, answer, NOON)
    [hour] = activity.changed()
    assert counted(name, "accepted") == 2
    assert (hour.accepted, hour.rejected) == (4, {"bad_text": 2})


def test_an_hour_that_ends_before_it_is_stored_is_stored_and_told() -> None:
    activity, name = Activity(), "late"
    for hours in range(3):
        activity.answered(name, Answer(True, 5, 0, []), NOON + timedelta(hours=hours))
    assert [(hour.hour, hour.accepted) for hour in activity.changed()] == [
        (NOON + timedelta(hours=hours), 5) for hours in range(3)
    ]
    assert counted(name, "accepted") == 15


def test_a_summary_adds_up_all_processes_and_has_no_gaps() -> None:
    one = Hour(
        source="web",
        hour=NOON,
        last_seen=NOON,
        accepted=5,
        duplicates=1,
        limited=2,
        unavailable=3,
        rejected={"bad_text": 1, "missing_id": 4},
        minutes={0: [4, 1], 2: [1, 4]},
    )
    other = Hour(
        source="web",
        hour=NOON,
        last_seen=NOON,
        accepted=10,
        rejected={"bad_text": 3, "alone": 1},
        minutes={2: [10, 4]},
    )
    now = NOON + timedelta(minutes=3, seconds=20)
    assert summed([one, other], now, timedelta(hours=1)) == Summary(
        since=NOON,
        until=now,
        accepted=15,
        duplicates=1,
        limited=2,
        unavailable=3,
        rejected={"bad_text": 4, "missing_id": 4, "alone": 1},
        step=timedelta(minutes=1),
        series=[
            Step(NOON, 4, 1),
            Step(NOON + timedelta(minutes=1)),
            Step(NOON + timedelta(minutes=2), 11, 8),
            Step(NOON + timedelta(minutes=3)),
        ],
    )
    by_hour = summed([one, other], now, timedelta(hours=3))
    assert by_hour.step == timedelta(hours=1)
    assert by_hour.series == [
        Step(NOON - timedelta(hours=2)),
        Step(NOON - timedelta(hours=1)),
        Step(NOON, 15, 9),
    ]


# -- what a watcher sees -----------------------------------------------------------------


async def test_nothing_is_kept_while_nobody_watches() -> None:
    world, source = World(), Source(name=SOURCE)
    await world.send(source, text(1))
    world.lens.watch({SOURCE: 10.0, "other": 99.0})
    world.seconds = 10.0
    await world.send(source, text(2))
    assert world.lens.take() == []


async def test_a_watcher_sees_each_event_with_its_verdict() -> None:
    world, source = World(), Source(name=SOURCE)
    world.lens.watch({SOURCE: 10.0})
    unnamed = text(2, event="")
    await world.send(source, text(1), text(1), unnamed)
    world.shelf.trouble = "away"
    with pytest.raises(Unavailable):
        await world.send(source, text(3), b"{" + b" " * 40_000)
    seen = world.lens.take()
    ids = [one.id for one in seen]
    assert ids == sorted(ids)
    assert len(set(ids)) == 5
    common = {"source": SOURCE, "at": NOON}
    named = {"name": "Product Viewed"}
    assert [msgspec.structs.replace(one, id="", detail="") for one in seen] == [
        Sighting(id="", verdict="accepted", message_id="m-1", text=text(1), **common, **named),
        Sighting(id="", verdict="duplicate", message_id="m-1", text=text(1), **common, **named),
        Sighting(
            id="",
            verdict="rejected",
            code="missing_event",
            message_id="m-2",
            text=unnamed,
            **common,
        ),
        Sighting(id="", verdict="unavailable", message_id="m-3", text=text(3), **common, **named),
        Sighting(
            id="",
            verdict="rejected",
            code="event_too_large",
            text=b"{" + b" " * 32_767,
            cut=True,
            **common,
        ),
    ]
    assert all(one.detail for one in seen if one.verdict == "rejected")
    assert world.lens.take() == []


async def test_a_flood_leaves_the_latest_hundred() -> None:
    world, source = World(), Source(name=SOURCE)
    world.lens.watch({SOURCE: 10.0})
    await world.send(source, *map(text, range(250)))
    await world.send(source, text(250))
    assert [one.message_id for one in world.lens.take()] == [f"m-{n}" for n in range(151, 251)]


def sighting(said: bytes) -> Sighting:
    return Sighting(id="1", source=SOURCE, at=NOON, verdict="accepted", text=said)


def test_personal_data_is_masked_and_everything_else_is_as_sent() -> None:
    said = {
        "userId": "ada@shop.example",
        "writeKey": "a-write-key",
        "traits": {
            "email": "Ada Lovelace <ada@shop.example>",
            "phone": "0171 234 567",
            "mobilePhone": 49171234567,
            "note": "call +49 (171) 234-5678 or mail ada@shop.example",
            "address": {"zip": "10115"},
        },
        "properties": {
            "order_id": "2026-11-22-000123",
            "total": 12.5,
            "at": "2026-03-14T09:26:53.589Z",
            "tags": ["a@b.example", 7, True, None],
            "ada@shop.example": "a key",
        },
    }
    seen = sighting(msgspec.json.encode(said))
    assert event_of(seen, masked=True) == {
        "userId": "***@***",
        "writeKey": "***",
        "traits": {
            "email": "Ada Lovelace <***@***>",
            "phone": "***",
            "mobilePhone": "***",
            "note": "call *** or mail ***@***",
            "address": {"zip": "10115"},
        },
        "properties": {
            "order_id": "2026-11-22-000123",
            "total": 12.5,
            "at": "2026-03-14T09:26:53.589Z",
            "tags": ["***@***", 7, True, None],
            "***@***": "a key",
        },
    }
    assert event_of(seen, masked=False) == said | {"writeKey": "***"}


def test_a_refused_event_is_named_as_its_sender_named_it() -> None:
    for said, name in (
        ({"type": "track", "event": "Order Completed"}, "Order Completed"),
        ({"type": "page"}, "page"),
        ({"event": {"x": 1}}, ""),
        ([1], ""),
    ):
        refused = msgspec.structs.replace(sighting(msgspec.json.encode(said)), verdict="rejected")
        assert sighting_shown(refused, masked=True).name == name


def test_what_is_no_json_is_shown_as_text_and_masked_too() -> None:
    seen = sighting(b'{"email": "ada@shop.example", "writeKey": "hush", \xff NaN')
    assert event_of(seen, masked=True) == '{"email": "***@***", "writeKey": "***", \ufffd NaN'
    assert event_of(seen, masked=False) == (
        '{"email": "ada@shop.example", "writeKey": "***", \ufffd NaN'
    )

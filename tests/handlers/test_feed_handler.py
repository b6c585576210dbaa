"""Turns of the webhooks, between ten-line fakes: what is sent, when, and what becomes of it."""

import copy
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from services.profile.feed import rules
from services.profile.feed.handler import Feed, Look
from services.profile.feed.model import (
    PROFILE_CHANGED,
    PROFILE_ERASED,
    SEGMENT_ENTERED,
    Caught,
    Delivery,
    LaneState,
    Outcome,
    Patience,
    Subscription,
)
from services.profile.feed.rules import Arrived
from services.runtime.turn import Completion, Record, Source, Timer, Turn

NOW = datetime(2036, 5, 4, 12, tzinfo=UTC)
PATIENCE = Patience(waiting=3, first_seconds=4, cap_seconds=60, give_up=timedelta(days=1))
SUBSCRIPTION = Subscription(
    id="s1",
    url="https://team.example/hook",
    types=(PROFILE_CHANGED, PROFILE_ERASED),
    created_at=NOW - timedelta(hours=1),
    enabled_at=NOW - timedelta(hours=1),
    secrets=("sealed",),
)


class Ledger:
    """What is stored: copies, so that no test shares objects with the handler."""

    def __init__(self, *subscriptions: Subscription) -> None:
        self.known = {one.id: one for one in subscriptions}
        self.number = 1
        self.lanes: dict[Any, LaneState] = {}
        self.deliveries: dict[str, Delivery] = {}

    def put(self, subscription: Subscription, **fields: Any) -> Subscription:
        changed = msgspec.structs.replace(subscription, **fields)
        self.known[changed.id] = changed
        self.number += 1
        return changed

    async def revision(self, session: Any) -> int:
        return self.number

    async def subscriptions(self, session: Any) -> list[Subscription]:
        return [*self.known.values()]

    async def load(self, sources: Any, session: Any) -> Any:
        lanes = [state for state in self.lanes.values() if state.source in sources]
        waiting = [one for one in self.deliveries.values() if one.source in sources]
        waiting.sort(key=lambda one: (one.source, one.offset))
        return copy.deepcopy(lanes), copy.deepcopy(waiting)

    async def save(self, draft: Any, now: datetime, session: Any) -> None:
        self.deliveries |= copy.deepcopy(draft.puts)
        for id_ in draft.removed:
            del self.deliveries[id_]
        self.lanes |= copy.deepcopy(draft.lanes)
        for key in draft.ended:
            self.lanes.pop(key, None)
        for id_, reason in draft.disabled.items():
            self.put(self.known[id_], enabled=False, reason=reason)


class Sender:
    """A sender that sends nothing by itself."""

    def __init__(self) -> None:
        self.offered: list[Delivery] = []
        self.hopeless: list[Delivery] = []
        self.since: datetime | None = None

    def offer(self, deliveries: Any) -> None:
        self.offered += deliveries

    def settled(self, delivery_ids: Any) -> None:
        pass

    def given_up(self, deliveries: Any) -> None:
        self.hopeless += deliveries

    def own(self, sources: Any) -> None:
        pass

    def disown(self, sources: Any) -> None:
        pass

    def failing_since(self, subscription: str) -> datetime | None:
        return self.since


class World:
    """A handler with one partition of profile.changes and one of segment.changes."""

    def __init__(self, *subscriptions: Subscription) -> None:
        self.ledger, self.sender = Ledger(*(subscriptions or (SUBSCRIPTION,))), Sender()
        self.woken: list[Any] = []
        self.feed = Feed(self.ledger, self.sender, lambda *said: self.woken.append(said), PATIENCE)
        self.source = Source("profile-feed/profile.changes/3", "profile.changes", 3)
        self.segments = Source("profile-feed/segment.changes/3", "segment.changes", 3)
        self.now = NOW

    async def turn(
        self,
        records: Sequence[Record] = (),
        bodies: Sequence[Any] = (),
        timers: Sequence[Timer] = (),
    ) -> Turn:
        """One committed turn."""
        if not self.feed._owned:
            await self.feed.assigned([self.source, self.segments])
        self.sender.offered.clear()
        completions = [Completion(self.source, body) for body in bodies]
        turn = Turn(
            now=self.now, session=None, records=records, timers=timers, completions=completions
        )
        await self.feed.handle(turn)
        for record in records:
            record.source.offset = record.offset + 1
        await self.feed.committed(turn)
        return turn

    def said(self, offset: int, profile_id: str = "p1", **body: Any) -> Record:
        """A change of a profile."""
        body = {"profile_id": profile_id, "version": offset, "changed": ["traits.plan"], **body}
        return record(self.source, offset, profile_id, body, PROFILE_CHANGED)

    def outcome(self, delivery: Delivery, kind: str = "delivered", **fields: Any) -> Outcome:
        return Outcome(
            delivery=delivery.id,
            subscription=delivery.subscription,
            attempt=delivery.attempts + 1,
            kind=kind,  # type: ignore[arg-type]
            at=self.now,
            **fields,
        )

    @property
    def offered(self) -> list[tuple[str, int]]:
        return [(one.profile_id, one.offset) for one in self.sender.offered]


def record(source: Source, offset: int, key: str, body: Any, type: str) -> Record:
    headers = {"ce_type": type, "ce_id": f"{key}/{offset}", "ce_time": "2036-05-04T12:00:00Z"}
    return Record(
        source,
        offset,
        key.encode(),
        None if body is None else msgspec.json.encode(body),
        {name: value.encode() for name, value in headers.items()},
        int(NOW.timestamp() * 1000),
    )


@pytest.fixture
def world() -> World:
    return World()


async def test_of_each_person_one_at_a_time_is_sent_in_their_order(world):
    await world.turn([world.said(1, "a"), world.said(2, "b"), world.said(3, "a")])
    assert world.offered == [("a", 1), ("b", 2)]
    assert set(world.ledger.deliveries) == {f"s1/{world.source.id}/{n}" for n in (1, 2, 3)}
    [first, second] = [*world.sender.offered]
    await world.turn(bodies=[world.outcome(second)])
    assert world.offered == [("a", 1)]  # still: the sender knows that it has it
    await world.turn(bodies=[world.outcome(first)])
    assert world.offered == [("a", 3)]
    assert [one.offset for one in world.ledger.deliveries.values()] == [3]


async def test_a_subscription_gets_what_it_asked_for(world):
    world.ledger.put(
        SUBSCRIPTION, types=(PROFILE_CHANGED, SEGMENT_ENTERED), changed=("consent", "traits.plan"),
        segments=("vip",),
    )  # fmt: skip
    entered = {"profile_id": "p", "segment": "vip"}
    await world.turn([
        world.said(1, "a", changed=["traits.plan", "last_seen"]),
        world.said(2, "b", changed=["consent.email"]),
        world.said(3, "c", changed=["traits.planet", "consents"]),
        world.said(4, "d", changed=["merged_into"], merged_into="a"),
        record(world.source, 5, "e", None, "any"),
        record(world.segments, 1, "p", entered, SEGMENT_ENTERED),
        record(world.segments, 2, "q", entered | {"segment": "buyers"}, SEGMENT_ENTERED),
    ])  # fmt: skip
    assert world.offered == [("a", 1), ("b", 2), ("d", 4), ("p", 1)]


async def test_what_was_there_before_the_subscription_is_not_its_own(world):
    world.ledger.put(SUBSCRIPTION, created_at=NOW + timedelta(seconds=1))
    await world.turn([world.said(1)])
    assert world.offered == []


async def test_what_failed_waits_twice_as_long_each_time_and_holds_up_its_person_only(world):
    await world.turn([world.said(1, "a"), world.said(2, "a"), world.said(3, "b")])
    [delivery] = [one for one in world.sender.offered if one.profile_id == "a"]
    waits = []
    for _ in range(6):
        turn = await world.turn(bodies=[world.outcome(delivery, "failed", chance=1.0)])
        [timer] = turn.timers_set.values()
        waits.append((timer.due_at - world.now).total_seconds())
        assert world.offered == [("b", 3)]
        world.now = timer.due_at
        await world.turn(timers=[timer])
        assert world.offered == [("a", 1), ("b", 3)]
        [delivery] = [one for one in world.sender.offered if one.profile_id == "a"]
    assert waits == [4, 8, 16, 32, 60, 60]


async def test_an_endpoint_may_ask_for_a_longer_pause(world):
    await world.turn([world.said(1)])
    [delivery] = world.sender.offered
    turn = await world.turn(bodies=[world.outcome(delivery, "failed", wait=30.0)])
    [timer] = turn.timers_set.values()
    assert timer.due_at == world.now + timedelta(seconds=30)


async def test_after_a_day_a_delivery_is_given_up_and_the_next_of_the_person_goes(world):
    await world.turn([world.said(1), world.said(2)])
    [delivery] = world.sender.offered
    await world.turn(bodies=[world.outcome(delivery, "failed")])
    world.now += timedelta(days=1)
    delivery = world.ledger.deliveries[delivery.id]
    await world.turn(bodies=[world.outcome(delivery, "failed")])
    assert [one.offset for one in world.sender.hopeless] == [1]
    assert world.offered == [("p1", 2)]


async def test_an_endpoint_at_which_nothing_arrives_for_a_day_is_disabled(world):
    await world.turn([world.said(1)])
    [delivery] = world.sender.offered
    world.sender.since = NOW - timedelta(days=2)
    await world.turn(bodies=[world.outcome(delivery, "failed")])
    assert world.ledger.known["s1"].enabled  # it was enabled an hour ago
    world.now += timedelta(hours=23)
    delivery = world.ledger.deliveries[delivery.id]
    await world.turn(bodies=[world.outcome(delivery, "failed")])
    disabled = world.ledger.known["s1"]
    assert (disabled.enabled, disabled.reason) == (False, "endpoint_failing")


async def test_a_disabled_subscription_stands_where_it_is_and_goes_on_from_there(world):
    await world.turn([world.said(1, "a"), world.said(2, "b"), world.said(3, "a")])
    [first, _] = [*world.sender.offered]
    await world.turn(bodies=[world.outcome(first)])
    world.ledger.put(SUBSCRIPTION, enabled=False)
    await world.turn([world.said(4, "c")])
    assert (world.offered, world.ledger.deliveries) == ([], {})
    [state] = [one for one in world.ledger.lanes.values() if one.source == world.source.id]
    assert (state.position, state.behind) == (2, True)
    assert world.feed.behind() == []
    world.ledger.put(SUBSCRIPTION, enabled=True)
    await world.turn(bodies=[Look()])
    [state] = [one for one in world.feed.behind() if one.source == world.source.id]
    await world.turn([world.said(5, "e")], bodies=[caught(world, state, 5, (2, "b"), (3, "a"))])
    assert world.offered == [("b", 2), ("a", 3), ("e", 5)]
    assert [one for one in world.feed.behind() if one.source == world.source.id] == []


def caught(world: World, state: LaneState, end: int, *said: tuple[int, str]) -> Caught:
    """What the lane has read by itself."""
    told = [
        rules.read(
            Arrived(
                topic="profile.changes", partition=3, offset=one.offset, key=one.key,
                value=one.value, headers=one.headers, stamp=one.timestamp,
            )
        )
        for one in (world.said(*each) for each in said)
    ]  # fmt: skip
    return Caught(
        subscription="s1",
        moves=state.moves,
        start=state.position,
        end=end,
        told=told,  # type: ignore[arg-type]
    )


async def test_a_lane_that_is_full_falls_behind_and_reads_on_when_there_is_room(world):
    await world.turn([world.said(n, f"p{n}") for n in range(1, 7)])
    assert world.offered == [("p1", 1), ("p2", 2), ("p3", 3)]
    assert world.feed.behind() == []  # no room yet
    for delivery in [*world.sender.offered]:
        await world.turn(bodies=[world.outcome(delivery)])
    [state] = world.feed.behind()
    assert state.position == 4
    piece = caught(world, state, 8, (4, "p4"), (5, "p5"), (6, "p6"), (7, "p7"))
    await world.turn(bodies=[piece, piece])  # told twice, it counts once
    assert world.offered == [("p4", 4), ("p5", 5), ("p6", 6)]
    [key] = [key for key in world.ledger.lanes if key[1] == world.source.id]
    assert (world.ledger.lanes[key].position, world.ledger.lanes[key].behind) == (7, False)
    await world.turn([world.said(7, "p7")])  # it is as far as the stage: full again
    assert (world.ledger.lanes[key].position, world.ledger.lanes[key].behind) == (7, True)


async def test_moved_to_a_point_in_time_it_asks_where_that_is_and_starts_there(world):
    await world.turn([world.said(8, "a")])
    world.ledger.put(SUBSCRIPTION, moves=1, since=NOW - timedelta(days=9))
    await world.turn(bodies=[Look()])
    assert world.ledger.deliveries == {}
    assert {state.position for state in world.feed.behind()} == {-1}
    [state] = [one for one in world.feed.behind() if one.source == world.source.id]
    await world.turn(bodies=[caught(world, state, 9, (7, "a"), (8, "a"))])
    assert world.offered == [("a", 7)]
    late = world.sender.offered[0]
    await world.turn(bodies=[world.outcome(late)])
    assert world.offered == [("a", 8)]


async def test_after_an_abort_or_at_another_worker_it_goes_on_from_what_is_stored(world):
    await world.turn([world.said(1, "a"), world.said(2, "a")])
    [delivery] = world.sender.offered
    world.feed.lost(None)
    await world.turn(bodies=[world.outcome(delivery)])
    assert world.offered == [("a", 2)]
    heir = World()
    heir.ledger = world.ledger
    heir.feed = Feed(world.ledger, heir.sender, lambda *said: None, PATIENCE)
    await heir.turn(bodies=[Look()])
    assert heir.offered == [("a", 2)]


async def test_a_subscription_that_is_deleted_leaves_nothing(world):
    await world.turn([world.said(n, f"p{n}") for n in range(1, 7)])
    del world.ledger.known["s1"]
    world.ledger.number += 1
    await world.turn(bodies=[Look()])
    assert (world.ledger.deliveries, world.ledger.lanes) == ({}, {})


async def test_what_does_not_fit_is_rejected_and_the_next_is_unharmed(world):
    bad = [
        record(world.source, 1, "a", {"changed": "no list"}, PROFILE_CHANGED),
        record(world.source, 2, "a", {}, "regulars.other.v1"),
        record(world.segments, 1, "a", {"profile_id": "a"}, SEGMENT_ENTERED),
    ]
    turn = await world.turn([*bad, world.said(3)])
    assert [item.reason for item in turn.rejected] == ["not_as_declared", "not_as_declared"]
    assert turn.dropped == {"unknown_type": 1}
    assert world.offered == [("p1", 3)]

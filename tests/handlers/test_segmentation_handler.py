"""The handler with stores in memory: what it emits, which timers it sets, and how it sweeps."""

from collections.abc import Collection
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.messages import (
    Cause,
    ComputedValue,
    Definition,
    Profile,
    ProfileChanged,
    SegmentChanged,
)
from services.runtime.turn import Completion, Record, Source, Timer, Turn
from services.segmentation.handler import SWEEP, SegmentationHandler
from services.segmentation.model import (
    Heard,
    Outlook,
    Progress,
    Standing,
    decode_change,
    micros,
)
from services.segmentation.render import state_of
from services.segmentation.rules.computed import traits_of
from services.segmentation.rules.parse import parse
from services.segmentation.rules.plan import plan_of
from services.segmentation.rules.standing import Occasion, decide
from services.segmentation.work import Saved
from tests.tried import tried

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)

GERMAN = {"trait": "country", "op": "equals", "value": "DE"}
LAPSED = {"fact": "last_order_at", "op": "older_than", "seconds": 30 * 86_400}
BROWSING = {"event": "Product Viewed", "within_seconds": 3600, "op": "gte", "value": 2}
[BROWSING_KEY] = traits_of(parse({"name": "x", "rule": BROWSING}).rule)  # type: ignore[union-attr]


class MemoryStore:
    """Keeps what was saved, as a database would: never the caller's own objects."""

    def __init__(self) -> None:
        self.people: dict[str, tuple[int, Standing]] = {}
        self.partitions: dict[str, Progress] = {}
        self.heard: dict[str, dict[str, Heard]] = {}
        self.sizes: dict[str, int] = {}
        self.loads = 0

    async def standings(self, session: Any, profile_ids: Collection[str]) -> dict[str, Standing]:
        self.loads += 1
        return {id_: deepcopy(self.people[id_][1]) for id_ in profile_ids if id_ in self.people}

    async def following(
        self, session: Any, partition: int, cursor: str, limit: int
    ) -> list[Standing]:
        ids = sorted(
            id_ for id_, (part, _) in self.people.items() if part == partition and id_ > cursor
        )
        return [deepcopy(self.people[id_][1]) for id_ in ids[:limit]]

    async def progress(self, session: Any, source_ids: Collection[str]) -> dict[str, Progress]:
        return {id_: self.partitions[id_] for id_ in source_ids if id_ in self.partitions}

    async def save(self, session: Any, saved: Saved) -> None:
        for write in saved.writes:
            id_ = write.standing.profile_id
            if write.gone:
                self.people.pop(id_, None)
                continue
            known = self.people.get(id_, (write.partition, Standing(profile_id=id_)))[1]
            values = {name: deepcopy(getattr(write.standing, name)) for name in write.fields}
            values |= {"applied": write.standing.applied}
            if "body" in write.fields:
                values["body"] = write.body
            self.people[id_] = (write.partition, msgspec.structs.replace(known, **values))
        self.partitions.update(saved.progress)
        self.heard.update(saved.heard)
        for counts in saved.sizes.values():
            for key, by in counts.items():
                self.sizes[key] = self.sizes.get(key, 0) + by


class Control:
    """Definitions as a worker sees them."""

    def __init__(self) -> None:
        self.current: dict[tuple[str, str], Definition] = {}
        self.revision = 0
        self.versions: dict[str, int] = {}

    def put(self, key: str, rule: Any) -> None:
        self.versions[key] = version = self.versions.get(key, 0) + 1
        self.current["segment", key] = Definition(
            kind="segment",
            name=key,
            version=version,
            updated_at=NOW,
            body={"name": key, "rule": rule},
        )
        self.revision += 1

    def delete(self, key: str) -> None:
        del self.current["segment", key]
        self.versions[key] += 1
        self.revision += 1

    def ready(self, trait: str, *, so: bool = True) -> None:
        """Every profile has the computed trait; or not any more."""
        self.current.pop(("readiness", trait), None)
        if so:
            self.current["readiness", trait] = Definition(
                kind="readiness",
                name=trait,
                version=1,
                updated_at=NOW,
                body={"ready_since": NOW.isoformat()},
            )
        self.revision += 1


class World:
    """A handler, its stores, the clock and the timers, as one partition's stage would run it."""

    def __init__(self, *, chunk: int = 2) -> None:
        self.store, self.control = MemoryStore(), Control()
        self.source = Source("segmentation/profile.changes/0", "profile.changes", 0)
        self.timers: dict[str, Timer] = {}
        self.journal: list[SegmentChanged] = []
        self.last = Turn(now=NOW, session=None)
        self.now, self.chunk, self.offset = NOW, chunk, 0
        self.handler = self.restart()

    def restart(self) -> SegmentationHandler:
        self.handler = SegmentationHandler(self.store, self.control, chunk=self.chunk)
        return self.handler

    async def turn(self, *values: Any, wake: bool = False, crash: bool = False) -> Turn:
        """One turn with these records (key, body) and whatever timers are due."""
        records = []
        for key, body in values:
            value = body if body is None or isinstance(body, bytes) else msgspec.json.encode(body)
            records.append(Record(self.source, self.offset, key.encode(), value, {}))
            self.offset += 1
        due = [timer for timer in self.timers.values() if timer.due_at <= self.now]
        turn = Turn(
            now=self.now,
            session=None,
            records=records,
            timers=due,
            completions=[Completion(self.source, None)] if wake else [],
        )
        before = deepcopy((self.store.people, self.store.partitions, self.store.sizes))
        await self.handler.handle(turn)
        if crash:
            self.store.people, self.store.partitions, self.store.sizes = before
            self.handler.lost(None)
            return turn
        for timer in due:
            self.timers.pop(timer.key)
        for _, key in turn.timers_cancelled:
            self.timers.pop(key, None)
        self.timers.update((timer.key, timer) for timer in turn.timers_set.values())
        self.journal += [
            msgspec.json.decode(message.value or b"", type=SegmentChanged)
            for _, message in turn.messages
        ]
        self.last = turn
        return turn

    async def settle(self) -> None:
        """Run turns until nothing is due."""
        for _ in range(200):
            await self.turn(wake=True)
            if not any(timer.due_at <= self.now for timer in self.timers.values()):
                return
        raise AssertionError("timers never end")

    def said(self) -> list[tuple[str, str, str, int]]:
        """The journal in short, and forgotten."""
        short = [(one.profile_id, one.segment, one.change, one.occurrence) for one in self.journal]
        self.journal.clear()
        return short

    def members(self) -> dict[str, list[str]]:
        """Profile id -> segments, of those who are in one."""
        people = self.store.people.items()
        return {id_: sorted(one.members) for id_, (_, one) in people if one.members}

    def recomputed(self) -> dict[str, list[str]]:
        """The same from scratch: every stored profile by every definition, now."""
        plan = plan_of(self.control.current.values(), {})
        found = {}
        for id_, (_, stored) in self.store.people.items():
            person = deepcopy(stored).read()
            if person is not None:
                fresh = Standing(profile_id=id_, person=person)
                decide(fresh, plan, Occasion(micros(self.now), micros(self.now), "event"))
                if fresh.members:
                    found[id_] = sorted(fresh.members)
        return found


def changed(profile_id: str, version: int, changed: Any = (), **profile: Any) -> Any:
    """A record of ``profile.changes``."""
    at = profile.pop("at", NOW)
    history = profile.pop("history", False)
    return profile_id, ProfileChanged(
        profile_id=profile_id,
        version=version,
        changed_at=NOW,
        cause=Cause(message_id=f"m{version}", name="x", at=at, history=history),
        changed=list(changed),
        profile=Profile(profile_id=profile_id, **profile),
        merged_from=["former"] if profile_id == "merged" else [],
    )


@pytest.fixture
def world() -> World:
    return World()


async def test_entering_and_leaving_alternate_with_occurrences(world: World) -> None:
    world.control.put("german", GERMAN)

    await world.turn(changed("p1", 1, traits={"country": "DE"}))
    await world.turn(changed("p1", 2, ["traits.country"], traits={"country": "FR"}))
    turn = await world.turn(changed("p1", 3, ["traits.country"], traits={"country": "DE"}))

    assert [message.id for _, message in turn.messages] == ["p1/german/2/entered"]
    assert [message.type for _, message in turn.messages] == ["regulars.segment.entered.v1"]
    assert world.said() == [
        ("p1", "german", "entered", 1),
        ("p1", "german", "exited", 1),
        ("p1", "german", "entered", 2),
    ]
    assert world.store.sizes == {"german": 1}


async def test_a_change_says_when_and_why(world: World) -> None:
    world.control.put("german", GERMAN)
    at = NOW - timedelta(minutes=5)

    await world.turn(changed("merged", 1, traits={"country": "DE"}, at=at))

    [entered] = world.journal
    assert msgspec.to_builtins(entered) == {
        "profile_id": "merged",
        "segment": "german",
        "definition_version": 1,
        "change": "entered",
        "occurrence": 1,
        "at": "2026-03-01T11:55:00Z",
        "decided_at": "2026-03-01T12:00:00Z",
        "profile_version": 1,
        "why": [{"condition": 'country = "DE"', "actual": "DE", "holds": True}],
        "cause": "merge",  # that is how the first profile we hear of this person came about
        "merged_from": ["former"],
    }


async def test_an_older_version_changes_nothing(world: World) -> None:
    world.control.put("german", GERMAN)
    await world.turn(changed("p1", 5, traits={"country": "DE"}))
    world.said()

    turn = await world.turn(changed("p1", 5, traits={}), changed("p1", 4, traits={}))

    assert turn.dropped == {"older_version": 2}
    assert world.said() == []


async def test_time_alone_makes_a_member_at_its_instant(world: World) -> None:
    world.control.put("lapsed", LAPSED)
    ordered = NOW - 29 * DAY
    await world.turn(changed("p1", 1, last_order_at=ordered))
    [timer] = [one for one in world.timers.values() if one.key.startswith("flip/")]
    assert (timer.key, timer.due_at) == ("flip/p1", NOW + DAY)

    world.now = timer.due_at + timedelta(milliseconds=200)
    await world.turn()

    [entered] = world.journal
    assert (entered.at, entered.cause, entered.decided_at) == (NOW + DAY, "time", world.now)
    assert "flip/p1" not in world.timers


async def test_an_event_moves_the_flip_and_the_early_timer_changes_nothing(world: World) -> None:
    world.control.put("lapsed", LAPSED)
    await world.turn(changed("p1", 1, last_order_at=NOW - 29 * DAY))
    await world.turn(changed("p1", 2, ["orders"], last_order_at=NOW))

    world.now = NOW + DAY
    await world.turn()

    assert world.said() == []
    assert world.timers["flip/p1"].due_at == NOW + 30 * DAY


async def test_a_missing_computed_trait_keeps_the_membership(world: World) -> None:
    world.control.ready(BROWSING_KEY)
    world.control.put("browsing", BROWSING)
    await world.turn(changed("p1", 1))
    assert world.said() == []

    times = [int((NOW - timedelta(minutes=m)).timestamp() * 1000) for m in (50, 10)]
    value = ComputedValue(times=times)
    await world.turn(changed("p1", 2, [f"computed.{BROWSING_KEY}"], computed={BROWSING_KEY: value}))
    assert world.said() == [("p1", "browsing", "entered", 1)]
    await world.turn(changed("p1", 3, [f"computed.{BROWSING_KEY}"]))
    assert world.said() == []

    assert world.members() == {"p1": ["browsing"]}


def viewed(*minutes: int) -> dict[str, ComputedValue]:
    """The computed trait of who viewed so many minutes ago."""
    times = sorted(int((NOW - timedelta(minutes=m)).timestamp() * 1000) for m in minutes)
    return {BROWSING_KEY: ComputedValue(times=times)}


async def test_nobody_enters_or_leaves_before_every_profile_has_the_trait(world: World) -> None:
    keen = {"any": [GERMAN, BROWSING]}
    await world.handler.assigned([world.source])
    world.control.put("keen", GERMAN)
    await world.turn(changed("p1", 1, traits={"country": "DE"}), changed("p2", 1), changed("p3", 1))
    await world.settle()
    assert world.said() == [("p1", "keen", "entered", 1)]

    world.control.put("keen", {"all": [{"not": GERMAN}, BROWSING]})
    world.control.put("fresh", keen)
    await world.settle()
    names = [f"computed.{BROWSING_KEY}", "traits.country"]
    await world.turn(
        changed("p2", 2, names, computed=viewed(50, 10)),
        changed("p3", 2, names, traits={"country": "DE"}, computed=viewed()),
    )
    await world.settle()
    assert world.said() == []
    assert world.handler.behind() == []

    world.control.ready(BROWSING_KEY)
    assert world.handler.behind() == [world.source.id]
    await world.turn(changed("p1", 2, names, traits={"country": "DE"}, computed=viewed()))
    await world.settle()
    assert {one.cause for one in world.journal} == {"definition"}
    assert sorted(world.said()) == [
        ("p1", "fresh", "entered", 1),
        ("p1", "keen", "exited", 1),
        ("p2", "fresh", "entered", 1),
        ("p2", "keen", "entered", 1),
        ("p3", "fresh", "entered", 1),
    ]


async def test_a_segment_that_is_deleted_while_it_waits_is_left_by_everyone(world: World) -> None:
    await world.handler.assigned([world.source])
    world.control.put("keen", GERMAN)
    await world.turn(changed("p1", 1, traits={"country": "DE"}))
    world.control.put("keen", BROWSING)
    await world.settle()
    assert world.said() == [("p1", "keen", "entered", 1)]

    world.control.delete("keen")
    await world.settle()

    assert world.said() == [("p1", "keen", "exited", 1)]


async def test_how_far_a_segment_is_can_be_told_from_what_is_stored(world: World) -> None:
    async def told() -> Any:
        partitions = world.store.partitions.items()
        outlooks = [Outlook(done=one.done, heard=world.store.heard[id_]) for id_, one in partitions]
        return state_of("keen", world.control.versions["keen"], outlooks, partitions=1)

    world.control.put("keen", BROWSING)
    assert await told() == ("evaluating", [])
    await world.turn(*[changed(f"p{i}", 1, computed=viewed(1, 2)) for i in range(3)])
    assert await told() == ("waiting", [BROWSING_KEY])
    await world.settle()
    assert await told() == ("waiting", [BROWSING_KEY])

    world.control.ready(BROWSING_KEY)
    await world.turn(wake=True)
    assert await told() == ("evaluating", [])
    await world.settle()
    assert await told() == ("ready", [])
    assert world.members() == {f"p{i}": ["keen"] for i in range(3)}
    world.control.put("keen", GERMAN)
    assert await told() == ("evaluating", [])


async def test_a_merge_ends_the_former_profiles_memberships_and_leaves_a_redirect(
    world: World,
) -> None:
    world.control.put("german", GERMAN)
    world.control.put("lapsed", LAPSED)
    await world.turn(changed("p1", 1, traits={"country": "DE"}, last_order_at=NOW))

    gone = ProfileChanged(
        profile_id="p1",
        version=2,
        changed_at=NOW,
        cause=Cause(message_id="m", name="Profile Merged", at=NOW),
        merged_into="p2",
    )
    await world.turn(("p1", gone))

    assert [(one.change, one.cause) for one in world.journal] == [
        ("entered", "event"),
        ("exited", "merge"),
    ]
    _, kept = world.store.people["p1"]
    assert (kept.into, kept.body, kept.past["german"].occurrence) == ("p2", None, 1)
    assert "flip/p1" not in world.timers


async def test_erasure_exits_everything_and_forgets_the_person(world: World) -> None:
    world.control.put("german", GERMAN)
    await world.turn(changed("p1", 1, traits={"country": "DE"}))
    world.handler.lost(None)

    await world.turn(("p1", None))

    assert world.said() == [("p1", "german", "entered", 1), ("p1", "german", "exited", 1)]
    assert world.store.people == {}
    assert world.store.sizes == {"german": 0}


async def test_records_that_do_not_fit_are_rejected_and_the_rest_is_handled(world: World) -> None:
    world.control.put("german", GERMAN)
    key, good = changed("p1", 1, traits={"country": "DE"})
    bare = msgspec.json.decode(msgspec.json.encode(good))
    del bare["profile"]

    turn = await world.turn(
        ("p0", b"\x00 not json"),
        ("p0", b"[" * 100_000),
        ("p2", good),
        ("p1", bare),
        ("p0", b'{"profile_id": "p0", "version": "x"}'),
        (key, good),
    )

    reasons = [(rejected.record.offset, rejected.reason) for rejected in turn.rejected]
    assert sorted(reasons) == [
        (0, "invalid"),
        (1, "invalid"),
        (2, "wrong_key"),
        (3, "incomplete"),
        (4, "invalid"),
    ]
    assert world.members() == {"p1": ["german"]}


async def test_a_new_definition_is_swept_over_everyone_in_chunks(world: World) -> None:
    people = [changed(f"p{i}", 1, traits={"country": "DE"}) for i in range(7)]
    await world.turn(*people)
    await world.settle()
    world.said()

    world.control.put("german", GERMAN)
    assert world.handler.behind() == []  # not assigned: nothing is this worker's to sweep
    await world.handler.assigned([world.source])
    assert world.handler.behind() == [world.source.id]
    await world.settle()

    assert world.said() == [(f"p{i}", "german", "entered", 1) for i in range(7)]
    assert {one.done for one in world.store.partitions.values()} == {True}
    assert world.handler.behind() == []
    assert SWEEP not in world.timers


async def test_a_deleted_definition_is_left_by_everyone(world: World) -> None:
    world.control.put("german", GERMAN)
    await world.turn(*[changed(f"p{i}", 1, traits={"country": "DE"}) for i in range(3)])
    await world.settle()
    world.journal.clear()

    world.control.delete("german")
    await world.settle()

    assert [(one.change, one.cause) for one in world.journal] == [("exited", "definition")] * 3
    assert world.members() == {}


@pytest.mark.parametrize("restarted", [True, False])
async def test_a_sweep_goes_on_where_a_crash_or_an_abort_left_it(
    world: World, restarted: bool
) -> None:
    await world.turn(*[changed(f"p{i}", 1, traits={"country": "DE"}) for i in range(6)])
    await world.settle()
    world.control.put("german", GERMAN)
    await world.turn(wake=True)  # the sweep is begun
    await world.turn()
    assert len(world.members()) == 2

    await world.turn(crash=True)
    if restarted:
        world.restart()
    await world.handler.assigned([world.source])
    await world.settle()

    assert world.said() == [(f"p{i}", "german", "entered", 1) for i in range(6)]


async def test_a_person_whom_the_sweep_has_not_reached_is_judged_by_the_new_definition(
    world: World,
) -> None:
    await world.turn(*[changed(f"p{i}", 1, traits={"country": "DE"}) for i in range(6)])
    await world.settle()
    world.control.put("german", GERMAN)

    await world.turn(changed("p5", 2, [], traits={"country": "DE"}))

    assert [(one.profile_id, one.cause) for one in world.journal] == [("p5", "definition")]
    await world.settle()
    assert len(world.members()) == 6


async def test_a_definition_that_comes_in_the_middle_of_a_turn_waits_for_the_next(
    world: World,
) -> None:
    await world.handler.assigned([world.source])
    await world.turn(changed("p1", 1, traits={"country": "DE"}))
    await world.settle()
    world.handler.lost(None)
    load = world.store.standings

    async def slow_load(session: Any, profile_ids: Collection[str]) -> dict[str, Standing]:
        if not world.control.current:
            world.control.put("german", GERMAN)
            assert world.handler.behind() == [world.source.id]
        return await load(session, profile_ids)

    world.store.standings = slow_load  # type: ignore[method-assign]
    await world.turn(changed("p1", 2, traits={"country": "DE"}))
    assert world.said() == []

    await world.settle()
    assert world.said() == [("p1", "german", "entered", 1)]


async def test_who_is_erased_while_the_sweep_comes_by_exits_once(world: World) -> None:
    world.control.put("german", GERMAN)
    await world.turn(*[changed(f"p{i}", 1, traits={"country": "DE"}) for i in range(3)])
    await world.settle()
    world.control.put("german", {"not": GERMAN})
    await world.turn(wake=True)  # the sweep is begun
    world.said()

    await world.turn(("p0", None))
    await world.settle()

    exits = [(f"p{i}", "german", "exited", 1) for i in range(3)]
    assert world.said() == exits
    assert world.store.sizes == {"german": 0}


async def test_a_late_event_does_not_date_a_change_before_the_one_it_follows(
    world: World,
) -> None:
    world.control.put("german", GERMAN)
    names = ["traits.country"]
    await world.turn(changed("p1", 1, traits={"country": "DE"}))
    await world.turn(changed("p1", 2, names, traits={}, at=NOW - DAY))
    await world.turn(changed("p1", 3, names, traits={"country": "DE"}, at=NOW - 2 * DAY))

    assert [one.at for one in world.journal] == [NOW] * 3


async def test_an_event_ahead_of_our_clock_dates_no_change_in_the_future(world: World) -> None:
    world.control.put("german", GERMAN)
    await world.turn(changed("p1", 1, traits={"country": "DE"}, at=NOW + DAY))
    (entered,) = world.journal
    assert entered.at == entered.decided_at


async def test_cached_people_are_not_loaded_again_until_they_are_lost(world: World) -> None:
    await world.turn(changed("p1", 1))
    await world.turn(changed("p1", 2))
    assert world.store.loads == 1

    world.handler.lost([world.source])
    await world.turn(changed("p1", 3))

    assert world.store.loads == 2


RULES = (
    GERMAN,
    LAPSED,
    BROWSING,
    {"not": BROWSING},
    {"all": [GERMAN, {"not": LAPSED}]},
    {"fact": "counters.x", "op": "gte", "value": 2},
)
times = st.integers(-7200, 0).map(lambda s: int((NOW + timedelta(seconds=s)).timestamp() * 1000))
profiles = st.fixed_dictionaries(
    {
        "traits": st.sampled_from([{}, {"country": "DE"}, {"country": "FR"}]),
        "last_order_at": st.sampled_from([None, NOW - 31 * DAY, NOW - 30 * DAY + DAY / 24, NOW]),
        "counters": st.sampled_from([{}, {"x": 1}, {"X": 2}]),
        "computed": st.lists(times, max_size=3).map(
            lambda some: {BROWSING_KEY: ComputedValue(times=sorted(some))}
        ),
    }
)
NAMES = ("traits.country", "orders", "counters.X", "counters.x", f"computed.{BROWSING_KEY}")
steps = st.one_of(
    st.tuples(st.just("change"), st.lists(st.tuples(st.integers(0, 4), profiles), max_size=4)),
    st.tuples(st.just("define"), st.tuples(st.sampled_from("abc"), st.sampled_from(RULES))),
    st.tuples(st.just("delete"), st.sampled_from("abc")),
    st.tuples(st.just("wait"), st.integers(0, 3_000)),
    st.tuples(st.just("crash"), st.booleans()),
    st.tuples(st.just("forget"), st.integers(0, 4)),
    st.tuples(st.just("ready"), st.booleans()),
)


@given(st.lists(steps, max_size=14))
@tried(200)
async def test_whatever_happens_memberships_end_as_a_full_recompute(story: list[Any]) -> None:
    """And while a computed trait is not ready, only who is erased leaves what asks about it."""
    world = World(chunk=2)
    versions = dict.fromkeys(range(5), 0)
    for what, how in story:
        waiting = {
            one.name
            for one in world.control.current.values()
            if "Product Viewed" in str(one.body)
            and ("readiness", BROWSING_KEY) not in world.control.current
        }
        before = len(world.journal)
        if what == "change":
            records = []
            for number, profile in how:
                versions[number] += 1
                records.append(changed(f"p{number}", versions[number], NAMES, **profile))
            await world.turn(*records)
        elif what == "define":
            world.control.put(*how)
            await world.turn(wake=True)
        elif what == "delete" and ("segment", how) in world.control.current:
            world.control.delete(how)
            await world.turn(wake=True)
        elif what == "wait":
            world.now += timedelta(seconds=how)
            await world.turn()
        elif what == "crash":
            await world.turn(crash=True)
            if how:
                world.restart()
        elif what == "forget":
            await world.turn((f"p{how}", None))
            versions[how] = 0
        elif what == "ready":
            world.control.ready(BROWSING_KEY, so=how)
            await world.turn(wake=True)
        if what in ("change", "wait", "crash"):
            assert not waiting & {one.segment for one in world.journal[before:]}

    world.control.ready(BROWSING_KEY)
    await world.settle()

    assert world.members() == world.recomputed()
    entered = {key: by for key, by in world.store.sizes.items() if by}
    sizes: dict[str, int] = {}
    for keys in world.members().values():
        for key in keys:
            sizes[key] = sizes.get(key, 0) + 1
    assert entered == sizes
    flips = [one.flip for _, one in world.store.people.values()]
    assert sum(flip is not None for flip in flips) == sum(
        key.startswith("flip/") for key in world.timers
    )


def test_the_stored_body_gives_the_same_person_back() -> None:
    _, body = changed("p1", 1, traits={"country": "DE"}, last_order_at=NOW)
    encoded = msgspec.json.encode(body)

    standing = Standing(profile_id="p1", body=encoded)

    assert standing.read() == decode_change(encoded).profile
    assert standing.body is None


# -- imported history ---------------------------------------------------------------------


def told(world: World) -> list[tuple[str, str, bool]]:
    """Segment, change and whether it is history, of all that was said; forgotten then."""
    said = [(one.segment, one.change, one.history) for one in world.journal]
    world.journal.clear()
    return said


async def test_what_imported_history_brings_about_is_history(world: World) -> None:
    world.control.put("german", GERMAN)
    await world.turn(changed("p1", 1, traits={"country": "DE"}, history=True))
    await world.turn(changed("p1", 2, ["traits.country"], traits={}, history=True))
    await world.turn(changed("p1", 3, ["traits.country"], traits={"country": "DE"}))
    assert told(world) == [
        ("german", "entered", True),
        ("german", "exited", True),
        ("german", "entered", False),
    ]


async def test_after_a_gap_a_change_may_hold_more_than_history(world: World) -> None:
    world.control.put("german", GERMAN)
    await world.turn(changed("p1", 1))
    await world.turn(changed("p1", 3, ["orders"], traits={"country": "DE"}, history=True))
    assert told(world) == [("german", "entered", False)]


async def test_what_time_brings_to_an_imported_person_is_no_history(world: World) -> None:
    world.control.put("lapsed", LAPSED)
    await world.turn(changed("old", 1, last_order_at=NOW - 90 * DAY, history=True))
    assert told(world) == [("lapsed", "entered", True)]
    await world.turn(changed("p1", 1, last_order_at=NOW - 29 * DAY, history=True))
    world.now = NOW + DAY
    await world.turn()
    assert told(world) == [("lapsed", "entered", False)]


async def test_what_time_has_brought_before_history_came_is_no_history(world: World) -> None:
    world.control.put("lapsed", LAPSED)
    world.control.put("german", GERMAN)
    await world.turn(changed("p1", 1, last_order_at=NOW - 29 * DAY))
    world.now = NOW + 2 * DAY
    profile = {"last_order_at": NOW - 29 * DAY, "traits": {"country": "DE"}}
    key, change = changed("p1", 2, ["traits.country"], history=True, **profile)
    timers, world.timers = world.timers, {}  # the record comes before the timer fires
    await world.turn((key, change))
    assert told(world) == [("lapsed", "entered", False), ("german", "entered", True)]
    world.timers = timers
    await world.turn()
    assert told(world) == []


async def test_a_segment_that_is_defined_later_is_no_history(world: World) -> None:
    await world.turn(changed("p1", 1, traits={"country": "DE"}, history=True))
    world.control.put("german", GERMAN)
    await world.settle()
    assert told(world) == [("german", "entered", False)]

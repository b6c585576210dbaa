"""Rules against a slow and simple judge, and incremental against full evaluation."""

from copy import deepcopy
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.messages import Cause
from services.segmentation.model import Change, Person, Segment, Standing, instant, micros
from services.segmentation.rules.compile import compile_segment, evaluate, reasons
from services.segmentation.rules.dump import dump, encode
from services.segmentation.rules.moment import Moment
from services.segmentation.rules.parse import parse
from services.segmentation.rules.plan import Plan
from services.segmentation.rules.standing import Occasion, advance, decide, decide_timed
from tests.properties.segment_worlds import (
    AMOUNTS_OF,
    START,
    VALUES_OF,
    aggregated,
    edges,
    judge,
    keys_of,
    people,
    rules,
    segment_of,
    windowed,
)
from tests.tried import tried

TICK = timedelta(microseconds=1)


@st.composite
def cases(draw: Any) -> tuple[dict[str, Any], Person]:
    rule = draw(rules)
    return rule, draw(people([segment_of(rule)]))


@given(cases())
@tried(400)
def test_a_rule_answers_as_the_judge_does(case: tuple[dict[str, Any], Person]) -> None:
    rule, person = case
    compiled = compile_segment("s", 1, segment_of(rule))

    for now in {START, START + TICK, *edges(rule, person)}:
        verdict = evaluate(compiled, Moment(person, micros(now)))
        assert verdict.member is judge(rule, person, now), now


@given(cases())
@tried(400)
def test_nothing_changes_before_the_next_flip(case: tuple[dict[str, Any], Person]) -> None:
    rule, person = case
    compiled = compile_segment("s", 1, segment_of(rule))

    verdict = evaluate(compiled, Moment(person, micros(START)))

    flip = verdict.next_flip
    assert flip is None or flip > micros(START)
    for edge in edges(rule, person):
        for at in (edge - TICK, edge, edge + TICK):
            if at >= START and (flip is None or micros(at) < flip):
                assert judge(rule, person, at) is verdict.member, at


@pytest.mark.parametrize("aggregate", [*AMOUNTS_OF, "unique_count", *VALUES_OF])
@given(st.data())
@tried(80)
def test_an_aggregate_answers_as_the_judge_does_and_flips_when_it_does(
    aggregate: str, data: Any
) -> None:
    rule = data.draw(aggregated(aggregate)) | {"within_seconds": 300}
    [key] = keys_of(rule)
    person = Person(profile_id="p", computed={key: data.draw(windowed(aggregate))})
    compiled = compile_segment("s", 1, segment_of(rule))
    instants = sorted({micros(at + way) for at in edges(rule, person) for way in (-TICK, TICK * 0)})
    answers = [judge(rule, person, instant(now)) for now in instants]

    for place, now in enumerate(instants):
        verdict = evaluate(compiled, Moment(person, now))
        assert verdict.member is answers[place], instant(now)
        later = zip(instants[place:], answers[place:], strict=True)
        changes = min((at for at, said in later if said is not answers[place]), default=None)
        if changes is not None:
            assert verdict.next_flip is not None
            assert now < verdict.next_flip <= changes


@given(cases())
@tried(200)
def test_following_the_flips_meets_every_change(case: tuple[dict[str, Any], Person]) -> None:
    rule, person = case
    compiled = compile_segment("s", 1, segment_of(rule))
    end = max({START, *edges(rule, person)}) + TICK
    now, steps = micros(START), 0
    spells = []  # (from, membership)

    while True:
        verdict = evaluate(compiled, Moment(person, now))
        spells.append((now, verdict.member))
        if verdict.next_flip is None or verdict.next_flip > micros(end):
            break
        assert verdict.next_flip > now
        now, steps = verdict.next_flip, steps + 1

    for edge in edges(rule, person):
        if edge >= START:
            standing = [member for since, member in spells if since <= micros(edge)][-1]
            assert standing is judge(rule, person, edge)


@given(rules)
@tried(200)
def test_a_definition_survives_being_written_down(rule: dict[str, Any]) -> None:
    segment = segment_of(rule)

    body = encode(dump(segment))

    assert parse(msgspec.json.decode(body)) == segment
    assert encode(dump(segment)) == body


@given(cases())
@tried(100)
def test_reasons_name_every_condition(case: tuple[dict[str, Any], Person]) -> None:
    rule, person = case
    found = reasons(compile_segment("s", 1, segment_of(rule)), person, micros(START))

    assert len(found) == str(rule).count("'op'")
    msgspec.json.encode(found)


# -- incremental against full --------------------------------------------------------------


def changed_between(old: Person, new: Person) -> list[str]:
    """What profile would name: fields of orders as ``orders``, entries of maps singly."""
    changed = []
    for section in ("traits", "consent", "counters", "computed"):
        before, after = getattr(old, section), getattr(new, section)
        names = before.keys() | after.keys()
        changed += [f"{section}.{n}" for n in names if before.get(n) != after.get(n)]
    changed += [
        name for name in ("first_seen", "last_seen") if getattr(old, name) != getattr(new, name)
    ]
    if old.identifiers != new.identifiers:
        changed.append("identifiers.email")
    if (old.order_count, old.revenue, old.last_order_at) != (
        new.order_count,
        new.revenue,
        new.last_order_at,
    ):
        changed.append("orders")
    return changed


@st.composite
def mixed(draw: Any, old: Person, new: Person) -> Person:
    """A person who differs from ``old`` in a few fields only."""
    names = [name for name in Person.__struct_fields__ if draw(st.booleans())]
    taken = {name: deepcopy(getattr(new, name)) for name in names}
    return msgspec.structs.replace(old, **taken)


@st.composite
def journeys(draw: Any) -> tuple[dict[str, Segment], list[tuple[int, Person, int]]]:
    segments = {
        f"s{i}": segment_of(rule)
        for i, rule in enumerate(draw(st.lists(rules, min_size=1, max_size=5)))
    }
    steps: list[tuple[int, Person, int]] = []
    now, version = micros(START), 0
    for _ in range(draw(st.integers(1, 6))):
        person = draw(people(segments.values(), instant(now)))
        if steps:
            person = draw(mixed(steps[-1][1], person))
        version += draw(st.sampled_from([1, 1, 1, 2]))
        steps.append((now, person, version))
        now += draw(st.integers(0, 900_000_000))
    return segments, steps


delays = st.sampled_from([0, 0, 60_000_000, 86_400_000_000])


@given(journeys(), st.data())
@tried(300)
def test_asking_only_what_a_change_touches_equals_asking_everything(
    journey: tuple[dict[str, Segment], list[tuple[int, Person, int]]], data: Any
) -> None:
    segments, steps = journey
    plan = Plan([compile_segment(key, 1, segment) for key, segment in segments.items()])
    standing, full = Standing(profile_id="p"), Standing(profile_id="p")
    journal: list[Any] = []
    before: Person | None = None
    for now, person, version in steps:
        late = data.draw(st.booleans())  # the timer has not fired yet
        while not late and standing.flip is not None and standing.flip < now:
            flip = standing.flip
            journal += decide_timed(standing, plan, Occasion(flip, flip, "time"))
            decide(full, plan, Occasion(flip, flip, "time"))
            assert standing.members.keys() == full.members.keys()
        gap = version != standing.version + 1
        what = [] if gap or before is None else changed_between(before, person)
        change = Change(
            profile_id="p",
            version=version,
            changed_at=instant(now),
            cause=Cause(message_id="m", name="x", at=instant(now - data.draw(delays))),
            changed=what,
            profile=person,
        )
        journal += advance(standing, change, plan, now)
        full.person, full.version = person, version
        decide(full, plan, Occasion(now, now, "event"))

        assert standing.members.keys() == full.members.keys()
        assert standing.undecided == full.undecided
        assert full.flip is None or (standing.flip is not None and standing.flip <= full.flip)
        before = person

    by_segment: dict[str, list[Any]] = {}
    for change_ in journal:
        by_segment.setdefault(change_.segment, []).append(change_)
    for changes in by_segment.values():
        said = [(one.occurrence, one.change) for one in changes]
        wanted = [(i // 2 + 1, "exited" if i % 2 else "entered") for i in range(len(said))]
        assert said == wanted
        assert [one.at for one in changes] == sorted(one.at for one in changes)

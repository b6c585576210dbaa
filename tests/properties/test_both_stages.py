"""resolve and build together: in whatever turns, crashes and detours, each profile is its history.

Messages and decisions of people come in any order, to two workers of resolve at once. In the
end every profile is, byte for byte, the fold over what the oracle calls one person, every
former id leads there, and what was told last of each is what is stored.
"""

import json
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from schemas.messages import Interaction, Profile, ProfileChanged
from services.profile.build.model import State, decode, encode_state
from services.profile.build.rules.consent import OPEN
from services.profile.build.rules.fold import fold
from services.profile.build.rules.view import profile_of
from services.profile.resolve.rules.ground import profile_id_of
from services.runtime.turn import Record
from tests.identity_oracle import Ruling, Said, world_of
from tests.identity_stories import (
    DECIDED,
    NOON,
    SLOW,
    SOURCE,
    body,
    bounded,
    decision,
    histories,
)
from tests.two_stages import Stages, step

# -- what is said ------------------------------------------------------------------------------


def told(said: Said, fact: dict[str, Any]) -> bytes:
    """The message, which also tells a fact."""
    event = json.loads(body(said))
    if not {kind for kind, _ in said.names} & {"user_id", "email", "anonymous_id"}:
        return json.dumps(event).encode()  # Of what names nobody else, only refunds are taken.
    event["context"] |= fact.get("context", {})
    event["context"]["traits"] = event["context"].get("traits", {}) | fact.get("traits", {})
    event["event"] = fact["event"]
    event["properties"] = {"order_id": "o1"} | fact.get("properties", {})
    return json.dumps(event).encode()


def record(said: Said | Ruling, fact: dict[str, Any] | None = None) -> Record:
    if isinstance(said, Ruling):
        return Record(DECIDED, 0, b"k", decision(said), {})
    return Record(SOURCE, 0, b"k", told(said, fact) if fact else body(said), {})


FACTS = st.one_of(
    st.just({"event": "Product Viewed", "properties": {"category": "shoes"}}),
    st.builds(
        lambda value: {"event": "Article Read", "traits": {"plan": value}},
        st.sampled_from(["a", None, ["x"], {"$add": ["y"]}, {"$merge": {"k": 1}}]),
    ),
    st.builds(
        lambda name, order, amount, code: {
            "event": f"Order {name}",
            "properties": {"order_id": order, "total": amount, "currency": code},
        },
        st.sampled_from(["Completed", "Updated", "Refunded", "Cancelled"]),
        st.sampled_from(["o1", "o2"]),
        st.integers(1, 9),
        st.sampled_from(["USD", "EUR"]),
    ),
    st.builds(
        lambda given: {
            "event": "Signed Up",
            "context": {"consent": {"categoryPreferences": {"email": given}}},
        },
        st.booleans(),
    ),
)


# -- what must be ------------------------------------------------------------------------------


def check(stages: Stages, said: Sequence[Said], rulings: Sequence[Ruling]) -> None:
    people, stored = stages.people, stages.stored
    histories: dict[str, list[Interaction]] = defaultdict(list)
    for one in people.stored.values():
        histories[people.living(one.profile_id)].append(
            msgspec.json.decode(one.body, type=Interaction)
        )
    messages = {one.id for one in said}
    whole = {
        frozenset(one.interaction_id for one in all_) & messages for all_ in histories.values()
    }
    assert whole == world_of(said, rulings).people()
    traits = stages.build.sweep.traits
    for profile_id, history in histories.items():
        expected = State()
        for interaction in history:
            fold(expected, interaction, traits, set())
        assert stored.state(profile_id) == encode_state(expected)
    last: dict[str, ProfileChanged] = {}
    for change in stages.changes:
        assert change.profile_id not in last or change.version > last[change.profile_id].version
        last[change.profile_id] = change
    for profile_id, person in people.all.items():
        if person.into is None and profile_id not in histories:
            continue  # Nothing is said of whom nothing is known.
        assert followed(last, profile_id) == people.living(profile_id)
    for profile_id in histories:
        state = decode(stored.rows[profile_id][0]).state
        shown = msgspec.json.encode(profile_of(profile_id, state, traits, OPEN))
        assert last[profile_id].profile == msgspec.json.decode(shown, type=Profile)


def followed(last: dict[str, ProfileChanged], profile_id: str) -> str:
    """Where the redirects that were told lead."""
    for _ in range(20):
        into = last[profile_id].merged_into
        if into is None:
            return profile_id
        profile_id = into
    raise AssertionError("redirects that lead nowhere")


SCHEDULES = st.lists(
    st.one_of(
        st.tuples(st.just("take"), st.integers(0, 1), st.integers(1, 5)),
        st.tuples(st.just("take"), st.integers(0, 1), st.integers(1, 5)),
        st.tuples(st.just("end"), st.integers(0, 1)),
        st.tuples(st.just("step"), st.integers(0, 1), st.integers(0, 30)),
        st.tuples(st.just("look")),
        st.tuples(st.just("lose")),
        st.tuples(
            st.sampled_from(["build", "build", "build", "fail"]),
            st.lists(st.integers(0, 8), min_size=1, max_size=3),
            st.integers(1, 6),
        ),
    ),
    max_size=40,
)


@SLOW
@given(histories(), st.lists(FACTS, min_size=15, max_size=15), SCHEDULES, st.booleans())
async def test_each_profile_is_the_history_of_one_person_and_every_former_id_leads_there(
    history: tuple[list[Said], list[Ruling], list[Said | Ruling]],
    facts: list[dict[str, Any]],
    schedule: list[tuple[Any, ...]],
    tight: bool,
) -> None:
    with bounded(tight):
        await play(history, facts, schedule)


async def play(
    history: tuple[list[Said], list[Ruling], list[Said | Ruling]],
    facts: list[dict[str, Any]],
    schedule: list[tuple[Any, ...]],
) -> None:
    said, rulings, order = history
    by_id = dict(zip((one.id for one in said), facts, strict=False))
    coming = [
        record(one) if isinstance(one, Ruling) else record(one, by_id[one.id]) for one in order
    ]
    stages = Stages()
    await stages.build.assigned(stages.sources)
    steps = 0
    for what, *how in schedule:
        if what == "take":
            some, coming = coming[: how[1]], coming[how[1] :]
            await stages.begins(how[0], some)
        elif what == "end":
            await stages.ends(how[0])
        elif what == "step":
            known = [profile_id_of(one.id) for one in said]
            known = [each for each in known if each in stages.people.all]
            if known:
                steps += 1
                await stages.begins(how[0], [step(steps, known[how[1] % len(known)])])
        elif what == "look":
            await stages.looks_again()
        elif what == "lose":
            stages.build.lost(None)
        else:
            await stages.builds(how[0], size=how[1], fails=what == "fail")
    await stages.takes(coming)
    await stages.quiet()
    check(stages, said, rulings)


async def test_what_another_worker_attributed_while_a_device_changed_hands_is_put_right() -> None:
    device = ("anonymous_id", "a1")

    def said(number: int, *names: tuple[str, str]) -> Said:
        return Said(f"m{number}", NOON, (*names, device))

    ann, hers, his, bob = (
        said(0, ("user_id", "ann")), said(1), said(2), said(3, ("user_id", "bob"))
    )  # fmt: skip
    stages = Stages()
    await stages.build.assigned(stages.sources)
    await stages.takes([record(ann)])
    await stages.begins(0, [record(hers)])
    await stages.begins(1, [record(his), record(bob)])
    await stages.quiet()
    check(stages, [ann, hers, his, bob], [])

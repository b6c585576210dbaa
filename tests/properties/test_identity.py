"""Identity as a whole: whatever comes in whatever order, the people are those of the oracle."""

import json
import os
from collections.abc import Sequence
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from itertools import pairwise, permutations
from random import Random

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.messages import Identifier, IdentityDecision
from services.profile.resolve.handler import ResolveHandler
from services.profile.resolve.rules.identifiers import Sender
from services.profile.resolve.rules.spelling import node_of
from services.runtime.turn import Record, Source, Timer, Turn
from tests.identity_oracle import DEVICES, TRUST, Ruling, Said, world_of
from tests.identity_world import FakePeople

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SOURCE = Source("profile-resolve/events.clicks/0", "events.clicks", 0)
DECIDED = Source("profile-resolve/identity.decisions/0", "identity.decisions", 0)
KINDS = {"user_id": 7, "email": 7, "loyalty_card": 3}


class Senders:
    """Two sources: the shop's server and its pages."""

    def of(self, source: str) -> Sender:
        return Sender(untrusted=source == "page")


def source_of(untrusted: bool) -> str:
    return "page" if untrusted else "server"


def name(kind: str, number: int) -> tuple[str, str]:
    return kind, f"{kind[0]}{number}@shop.com" if kind == "email" else f"{kind[0]}{number}"


personal = st.one_of(
    *(st.builds(name, st.just(kind), st.integers(1, most)) for kind, most in KINDS.items())
)
device = st.builds(name, st.sampled_from(["anonymous_id", "anonymous_id", "device_id", "order"]),
                   st.integers(1, 3))  # fmt: skip
instants = st.one_of(st.integers(0, 9), st.integers(0, 80).map(lambda days: days * 1440))


@st.composite
def messages(draw, *, most: int = 25) -> list[Said]:
    """Messages in the order in which they come, which is none."""
    said = []
    for number in range(draw(st.integers(1, most))):
        who = draw(st.lists(personal, max_size=3, unique=True))
        what = draw(st.lists(device, max_size=2 if who else 1, unique=True))
        if not who and not what:
            what = [draw(device)]
        named = sorted(dict.fromkeys(who), key=lambda one: TRUST.index(one[0]))
        devices = sorted(dict.fromkeys(what), key=lambda one: DEVICES.index(one[0]))
        devices = list({kind: (kind, value) for kind, value in devices}.values())
        kinds = {kind for kind, _ in (*named, *devices)}
        # ingest takes none without, but for refunds
        if not kinds & {"user_id", "email", "anonymous_id", "order"}:
            devices = [draw(st.builds(name, st.just("anonymous_id"), st.integers(1, 3))), *devices]
        at = NOON + timedelta(minutes=draw(instants))
        users = [one for one in named if one[0] == "user_id"]
        named = [one for one in named if one not in users[1:]]
        untrusted = draw(st.booleans())
        books = f"{source_of(untrusted)}/"  # an order is one of its source's own
        devices = [(kind, books * (kind == "order") + value) for kind, value in devices]
        said.append(Said(f"m{number:02}", at, (*named, *devices), untrusted))
    return said


def body(said: Said) -> bytes:
    source = source_of(said.untrusted)
    names = [{"type": kind, "id": value.removeprefix(f"{source}/")} for kind, value in said.names
             if kind not in ("anonymous_id", "device_id", "user_id")]  # fmt: skip
    first = dict(reversed(said.names))
    context = {"externalIds": names}
    if "email" in first:
        context["traits"] = {"email": first["email"]}
    if "device_id" in first:
        context["device"] = {"id": first["device_id"]}
    event = {
        "messageId": said.id,
        "type": "track",
        "event": "Order Refunded",
        "properties": {"order_id": first.get("order", "o"), "total": 1},
        "timestamp": said.at.isoformat(),
        "receivedAt": datetime(2026, 9, 1, tzinfo=UTC).isoformat(),
        "source": source,
        "userId": first.get("user_id"),
        "anonymousId": first.get("anonymous_id"),
        "context": context,
    }
    return json.dumps({key: value for key, value in event.items() if value is not None}).encode()


@st.composite
def histories(draw) -> tuple[list[Said], list[Ruling], list[Said | Ruling]]:
    """Messages and decisions, and both as they come: one speaks of what is known by then."""
    said = draw(messages(most=15))
    order: list[Said | Ruling] = list(draw(st.permutations(said)))
    names = sorted({name for one in said for name in one.personal})
    devices = sorted({name for one in said for name in one.devices})
    made = []
    for number in range(draw(st.integers(0, 3)) if len(names) > 1 else 0):
        a = draw(st.lists(st.sampled_from(names), min_size=1, max_size=2, unique=True))
        b = draw(st.lists(st.sampled_from(names), min_size=1, max_size=2, unique=True))
        if devices and draw(st.booleans()):
            a = [draw(st.sampled_from(devices))]
        if not set(a) & set(b):
            at = NOON + timedelta(minutes=draw(instants))
            kind = draw(st.sampled_from(["split", "split", "join"]))
            ruling = Ruling(f"d{number}", at, kind, frozenset(a), frozenset(b))
            known = max(
                next(i for i, one in enumerate(order) if isinstance(one, Said) and n in one.names)
                for n in (*a, *b)
            )
            order.insert(draw(st.integers(known + 1, len(order))), ruling)
            made.append(ruling)
    return said, made, order


def decision(ruling: Ruling) -> bytes:
    def side(names: frozenset[tuple[str, str]]) -> list[Identifier]:
        inorder = sorted(names, key=lambda one: (*map(TRUST.index, [one[0]] * (
            one[0] in TRUST)), one))  # fmt: skip
        return [Identifier(*one) for one in inorder]

    said = IdentityDecision(
        decision_id=ruling.id,
        kind=ruling.kind,
        profile_id="p",
        at=ruling.at,
        a=side(ruling.a),
        b=side(ruling.b),
    )
    return msgspec.json.encode(said)


class Resolve:
    """A handler, its store, and its turns."""

    def __init__(self) -> None:
        self.people = FakePeople()
        self.handler = ResolveHandler(self.people, Senders())
        self.turns: list[Turn] = []

    async def take(self, batch: Sequence[Said | Ruling], timers: Sequence[Timer] = ()) -> Turn:
        records = [
            Record(DECIDED, 0, b"k", decision(said), {})
            if isinstance(said, Ruling)
            else Record(SOURCE, 0, b"k", body(said), {})
            for said in batch
        ]
        now = datetime(2026, 9, 1, tzinfo=UTC)
        turn = Turn(now=now, session=None, records=records, timers=timers)
        for record in records[::2]:
            record.ahead = self.handler.ahead(record, now)
        await self.handler.handle(turn)
        await turn.written()
        assert [(each.reason, each.detail) for each in turn.rejected] == []
        self.turns.append(turn)
        return turn


def check(people: FakePeople, said: Sequence[Said], rulings=()) -> None:
    """What is stored is what the definitions say, and hangs together."""
    oracle = world_of(said, rulings)
    assert {frozenset(each) for each in people.histories().values()} == oracle.people()
    assert people.shown() == {
        id: frozenset(Identifier(*one) for one in names) for id, names in oracle.accepted.items()
    }
    living = [person for person in people.all.values() if person.into is None]
    everybody = [profile_id for person in living for profile_id in person.profile_ids]
    assert sorted(everybody) == sorted(people.all)
    for person in living:
        for member in person.members:
            assert people.all[member].into == person.profile_id
        for held in person.identifiers:
            assert people.by[node_of(held.identifier)].profile_id == person.profile_id
    for has in people.by.values():
        assert not has.profile_id or people.all[has.profile_id].into is None
    held = {node_of(h.identifier) for person in living for h in person.identifiers}
    owned = {node for node, has in people.by.items() if has.profile_id and node.type in TRUST}
    assert held <= owned  # A decision may name what nobody has said.


def standing(people: FakePeople) -> object:
    """Whose everything is, and under which id."""
    ids = {id: (person.into, sorted(person.members)) for id, person in people.all.items()}
    owners = {node: has.profile_id for node, has in people.by.items()}
    return deepcopy((people.stored, ids, owners))


EXAMPLES = int(os.environ.get("REGULARS_TEST_EXAMPLES", "300"))
SLOW = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@SLOW
@given(messages(), st.lists(st.integers(0, 25), max_size=4))
async def test_whatever_comes_in_whatever_order_the_people_are_those_of_the_definitions(
    said: list[Said], cuts: list[int]
) -> None:
    resolve = Resolve()
    bounds = sorted({0, len(said), *(cut for cut in cuts if cut < len(said))})
    for start, end in pairwise(bounds):
        await resolve.take(said[start:end])
    check(resolve.people, said)


@SLOW
@given(histories(), st.integers(1, 6))
async def test_what_people_decide_holds_whatever_comes_before_or_after(
    history: tuple[list[Said], list[Ruling], list[Said | Ruling]], size: int
) -> None:
    said, decided, order = history
    resolve = Resolve()
    for start in range(0, len(order), size):
        await resolve.take(order[start : start + size])
    check(resolve.people, said, decided)


async def test_a_device_is_whose_it_was_decided_to_be_also_where_no_message_may_name_them() -> None:
    ann, bob, phone = name("email", 1), name("email", 2), ("anonymous_id", "a1")
    apart = Ruling("d1", NOON, "split", frozenset({ann}), frozenset({bob}))
    away = Ruling("d2", NOON, "split", frozenset({ann}), frozenset({phone}))
    his = Ruling("d3", NOON, "join", frozenset({bob}), frozenset({phone}))
    first, later = Said("m1", NOON, (phone,)), Said("m3", NOON, (phone,))
    for begin in ([first, Said("m2", NOON, (ann, bob))], [Said("m2", NOON, (ann, bob, phone))]):
        for order in permutations([apart, away, his, later]):
            resolve = Resolve()
            for each in (*begin, *order):
                await resolve.take([each])
            check(resolve.people, [*begin, later], [apart, away, his])


@SLOW
@given(messages(), st.integers(1, 6), st.randoms(use_true_random=False))
async def test_looking_again_and_hearing_again_change_nothing(
    said: list[Said], size: int, random: Random
) -> None:
    resolve = Resolve()
    for start in range(0, len(said), size):
        await resolve.take(said[start : start + size])
    timers = [timer for turn in resolve.turns for timer in turn.timers_set.values()]
    before = standing(resolve.people)
    random.shuffle(said)
    turns = [await resolve.take([], timers), await resolve.take(said)]
    assert [turn.messages for turn in turns] == [[], []]
    assert turns[0].timers_set == {}
    assert standing(resolve.people) == before

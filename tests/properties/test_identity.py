"""Identity as a whole: whatever comes in whatever order, the people are those of the oracle."""

import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.messages import Identifier
from services.profile.resolve.handler import ResolveHandler
from services.profile.resolve.rules.identifiers import Sender
from services.profile.resolve.rules.spelling import node_of
from services.runtime.turn import Record, Source, Turn
from tests.identity_oracle import TRUST, Said, world_of
from tests.identity_world import FakePeople

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SOURCE = Source("profile-resolve/events.clicks/0", "events.clicks", 0)
KINDS = {"user_id": 7, "email": 7, "loyalty_card": 3}


class Senders:
    """Two sources: the shop's server and its pages."""

    def of(self, source: str) -> Sender:
        return Sender(untrusted=source == "page")


def name(kind: str, number: int) -> tuple[str, str]:
    return kind, f"{kind[0]}{number}@shop.com" if kind == "email" else f"{kind[0]}{number}"


personal = st.one_of(
    *(st.builds(name, st.just(kind), st.integers(1, most)) for kind, most in KINDS.items())
)
device = st.builds(name, st.sampled_from(["anonymous_id", "anonymous_id", "device_id"]),
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
        devices = sorted(dict.fromkeys(what), key=lambda one: one[0] != "anonymous_id")
        devices = list({kind: (kind, value) for kind, value in devices}.values())
        kinds = {kind for kind, _ in (*named, *devices)}
        if not kinds & {"user_id", "email", "anonymous_id"}:  # ingest takes none without
            devices = [draw(st.builds(name, st.just("anonymous_id"), st.integers(1, 3))), *devices]
        at = NOON + timedelta(minutes=draw(instants))
        users = [one for one in named if one[0] == "user_id"]
        named = [one for one in named if one not in users[1:]]
        said.append(Said(f"m{number:02}", at, (*named, *devices), draw(st.booleans())))
    return said


def body(said: Said) -> bytes:
    names = [{"type": kind, "id": value} for kind, value in said.names
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
        "event": "Product Viewed",
        "timestamp": said.at.isoformat(),
        "receivedAt": datetime(2026, 9, 1, tzinfo=UTC).isoformat(),
        "source": "page" if said.untrusted else "server",
        "userId": first.get("user_id"),
        "anonymousId": first.get("anonymous_id"),
        "context": context,
    }
    return json.dumps({key: value for key, value in event.items() if value is not None}).encode()


class Resolve:
    """A handler, its store, and its turns."""

    def __init__(self) -> None:
        self.people = FakePeople()
        self.handler = ResolveHandler(self.people, Senders())
        self.turns: list[Turn] = []

    async def take(self, batch: Sequence[Said]) -> Turn:
        records = [Record(SOURCE, 0, b"k", body(said), {}) for said in batch]
        turn = Turn(now=datetime(2026, 9, 1, tzinfo=UTC), session=None, records=records)
        await self.handler.handle(turn)
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
    assert held == owned


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

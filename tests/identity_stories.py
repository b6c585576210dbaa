"""What people say of who they are, as hypothesis makes it up, and how it is written."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from unittest.mock import patch

import msgspec
from hypothesis import strategies as st

from schemas.messages import Identifier, IdentityDecision
from services.profile.resolve.rules import devices as device_rules
from services.profile.resolve.rules import holding, kinds
from services.profile.resolve.rules.identifiers import Sender
from services.runtime.turn import Source
from tests import identity_oracle
from tests.identity_oracle import DEVICES, TRUST, Ruling, Said, known_as

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HEARD = datetime(2026, 9, 1, tzinfo=UTC)
SOURCE = Source("profile-resolve/events.clicks/0", "events.clicks", 0)
DECIDED = Source("profile-resolve/identity.decisions/0", "identity.decisions", 0)
KINDS = {"user_id": 7, "email": 7, "email_sha256": 3, "loyalty_card": 3}


class Senders:
    """Two sources: the shop's server and its pages."""

    def of(self, source: str) -> Sender:
        return Sender(untrusted=source == "page")


def source_of(untrusted: bool) -> str:
    return "page" if untrusted else "server"


def name(kind: str, number: int) -> tuple[str, str]:
    if kind == "email_sha256":
        return known_as(name("email", number))
    return kind, f"{kind[0]}{number}@shop.com" if kind == "email" else f"{kind[0]}{number}"


personal = st.one_of(
    *(st.builds(name, st.just(kind), st.integers(1, most)) for kind, most in KINDS.items())
)
device = st.builds(name, st.sampled_from(["anonymous_id", "anonymous_id", "device_id", "order"]),
                   st.integers(1, 3))  # fmt: skip
instants = st.one_of(
    st.integers(0, 9),
    st.integers(0, 80).map(lambda days: days * 1440),
    st.just(int((HEARD - NOON) / timedelta(minutes=1))),
)


@st.composite
def messages(
    draw, *, most: int = 25, names=personal, things=device, together: int = 3
) -> list[Said]:
    """Messages in the order in which they come, which is none."""
    said = []
    for number in range(draw(st.integers(1, most))):
        who = draw(st.lists(names, max_size=together, unique=True))
        what = draw(st.lists(things, max_size=2, unique=True))
        if not who and not what:
            what = [draw(things)]
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
        untrusted = together > 1 and draw(st.booleans())
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
        # What cannot be true happened when it was heard.
        "timestamp": said.at.isoformat() if said.at < HEARD else f"{clock(said)}-01-02T00:00:00Z",
        "receivedAt": HEARD.isoformat(),
        "source": source,
        "userId": first.get("user_id"),
        "anonymousId": first.get("anonymous_id"),
        "context": context,
    }
    claimed = [value for kind, value in said.names if kind == "user_id"][1:]
    if claimed:  # which an alias alone can say
        event |= {"type": "alias", "event": None, "properties": {}, "previousId": claimed[0]}
    return json.dumps({key: value for key, value in event.items() if value is not None}).encode()


def clock(said: Said) -> int:
    return 1970 if len(said.names) % 2 else 2100


def few(kind: str, most: int) -> st.SearchStrategy[tuple[str, str]]:
    return st.builds(name, st.just(kind), st.integers(1, most))


def of_orders() -> st.SearchStrategy[list[Said]]:
    """What is said of one order, by few people on few devices."""
    names = st.one_of(few("user_id", 2), few("email", 1))
    things = st.one_of(few("anonymous_id", 2), few("order", 1))
    return messages(most=8, names=names, things=things, together=1)


def of_sales() -> st.SearchStrategy[list[Said]]:
    """What is said of one order, mostly by one who is named."""
    names = st.one_of(few("user_id", 3), few("email", 1), few("loyalty_card", 1))
    things = st.one_of(*[st.just(("order", "o1"))] * 4, few("order", 2), few("anonymous_id", 2))
    return st.one_of(
        messages(most=9, names=names, things=things, together=1),
        messages(most=9, names=names, things=things, together=2),
    )


def of_few() -> st.SearchStrategy[list[Said]]:
    """What few people say of few names: so that much of it is about the same."""
    names = st.one_of(few("user_id", 2), few("email", 2), few("loyalty_card", 2))
    return messages(most=6, names=names, things=few("anonymous_id", 2))


@st.composite
def of_aliases(draw) -> list[Said]:
    """What few people say of few names, and a believed source of two accounts that are one."""
    said = []
    for one in draw(of_few()):
        users = [name for name in one.names if name[0] == "user_id"]
        other = draw(few("user_id", 3))
        if users and not one.untrusted and other not in users and draw(st.booleans()):
            names = (*one.names[: -len(one.devices) or None], other)
            one = replace(one, names=(*names, *one.devices, ("anonymous_id", other[1])))
        said.append(one)
    return said


@st.composite
def histories(draw, said=None) -> tuple[list[Said], list[Ruling], list[Said | Ruling]]:
    """Messages and decisions, and both as they come: one speaks of what is known by then."""
    said = draw(messages(most=15) if said is None else said)
    order: list[Said | Ruling] = list(draw(st.permutations(said)))
    names = sorted({name for one in said for name in one.personal})
    devices = sorted({name for one in said for name in one.devices})
    made = []
    for number in range(draw(st.integers(0, 3)) if len(names) > 1 else 0):
        a = draw(st.lists(st.sampled_from(names), min_size=1, max_size=2, unique=True))
        b = draw(st.lists(st.sampled_from(names), min_size=1, max_size=2, unique=True))
        if devices and draw(st.booleans()):
            a = [*draw(st.sampled_from([[], [], a])), draw(st.sampled_from(devices))]
        if not set(a) & set(b):
            at = NOON + timedelta(minutes=draw(instants))
            kind = draw(st.sampled_from(["split", "split", "join"]))
            ruling = Ruling(f"d{number}", at, kind, frozenset(a), frozenset(b))
            order.insert(draw(st.integers(0, len(order))), ruling)
            made.append(ruling)
    return said, made, order


@st.composite
def of_decisions(draw) -> tuple[list[Said], list[Ruling], list[Said | Ruling]]:
    """What is decided of few names, some of which nobody ever says, and little that is said."""
    names = st.one_of(few("user_id", 2), few("email", 2), few("loyalty_card", 1))
    things = st.one_of(few("anonymous_id", 2), few("device_id", 1), st.just(("order", "server/o1")))
    sides = st.one_of(
        st.lists(names, min_size=1, max_size=2, unique=True),
        st.lists(things, min_size=1, max_size=1),
        st.lists(st.one_of(names, things), min_size=2, max_size=2, unique=True),
    )
    made = []
    for number in range(draw(st.integers(2, 6))):
        a, b = frozenset(draw(sides)), frozenset(draw(sides))
        if not a & b and any(kind in TRUST for kind, _ in (*a, *b)):
            at = NOON + timedelta(minutes=draw(instants))
            kind = draw(st.sampled_from(["join", "join", "join", "split"]))
            made.append(Ruling(f"d{number}", at, kind, a, b))
    said = draw(messages(most=6, names=names, things=things))
    before = draw(st.sampled_from([made, made, made[:1], []]))
    after = draw(st.permutations([*said, *(one for one in made if one not in before)]))
    return said, made, [*before, *after]


def decision(ruling: Ruling) -> bytes:
    def side(names: frozenset[tuple[str, str]]) -> list[Identifier]:
        ranks = [*TRUST, *DEVICES]
        inorder = sorted(map(known_as, names), key=lambda one: (ranks.index(one[0]), one))
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


@contextmanager
def bounded(tight: bool) -> Iterator[None]:
    """Every bound, lowered to what a short history meets."""
    if not tight:
        yield
        return
    with (
        patch.dict(kinds._MOST, email_sha256=2, loyalty_card=2),
        patch.multiple(device_rules, SHARED_NAMES=2, SHARED_TURNS=4),
        patch.object(holding, "SHARED_TURNS", 4),
        patch.multiple(identity_oracle, MOST_OTHERS=2, SHARED_NAMES=2, SHARED_TURNS=4),
    ):
        yield

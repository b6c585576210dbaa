"""Resolve's store on a real MongoDB: what a transaction sees, and which ones collide."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol
from uuid import uuid4

import pytest

from schemas.messages import Identifier
from services.profile.resolve.model import (
    Changes,
    Decision,
    Device,
    Entry,
    Held,
    Link,
    Mark,
    Owner,
    Person,
    Stored,
)
from services.profile.resolve.rules.ground import profile_id_of
from services.profile.resolve.rules.identity import Graph
from services.profile.resolve.rules.kinds import is_device
from services.profile.resolve.rules.needs import Known, needed
from services.profile.resolve.rules.spelling import node_of
from services.profile.resolve.store import IdentityStore
from services.runtime.mongo import Client, PyMongoError, Session, conflict, connect, transaction
from services.runtime.settings import Settings

pytestmark = pytest.mark.broker

# Not a whole number of milliseconds: what MongoDB's own dates cannot hold.
NOON = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
ANN = Identifier("user_id", "ann")
BOB = Identifier("user_id", "bob")
PHONE = Identifier("anonymous_id", "phone")
TABLET = Identifier("anonymous_id", "tablet")
MAIL = Identifier("email", "ann@shop.com")


class Stack(Protocol):
    @property
    def mongo_url(self) -> str: ...


@pytest.fixture
async def client(stack: Stack) -> AsyncIterator[Client]:
    client = connect(Settings(mongo_url=stack.mongo_url))
    yield client
    client.close()


@pytest.fixture
async def store(client: Client) -> AsyncIterator[IdentityStore]:
    name = f"resolve_{uuid4().hex[:12]}"
    store = IdentityStore(client[name])
    await store.prepare()
    yield store
    await client.drop_database(name)


def link(message_id: str, *identifiers: Identifier) -> Link:
    nodes = [node_of(each) for each in identifiers if not is_device(each.type)]
    devices = [each for each in identifiers if is_device(each.type)]
    return Link(message_id, NOON, "web", "same_event", list(identifiers), [], nodes, devices)


def interaction(interaction_id: str, profile_id: str, minutes: int = 0) -> Stored:
    at = NOON + timedelta(minutes=minutes)
    return Stored(interaction_id, profile_id, at, "Product Viewed", interaction_id.encode())


async def resolve(store: IdentityStore, session: Session, *links: Link) -> list[str]:
    """What a turn does with these events, within the open transaction."""
    named = {node for each in links for node in (*each.nodes, *each.devices)}
    owners, devices = await store.owners(named, session)
    people = await store.people(needed(links, owners, devices).people, session)
    graph = Graph(Known(owners, devices, people))
    whose = [graph.attribute(each).profile_id for each in links]
    stored = [
        interaction(each.message_id, profile_id)
        for each, profile_id in zip(links, whose, strict=True)
    ]
    await store.save(stored, graph.changes(), session)
    return whose


async def turn(client: Client, store: IdentityStore, *links: Link) -> list[str]:
    async with await client.start_session() as session, transaction(session):
        return await resolve(store, session, *links)


async def collide(client: Client, store: IdentityStore, one: Link, other: Link) -> bool:
    """Two workers at once: both have read before either commits. Does one abort?"""
    async with await client.start_session() as first, await client.start_session() as second:
        try:
            async with transaction(first):
                await store.owners([ANN], first)  # A snapshot begins with the first read.
                async with transaction(second):
                    await resolve(store, second, other)
                await resolve(store, first, one)
        except PyMongoError as error:
            if conflict(error):
                return True
            raise
    return False


async def test_what_a_turn_changed_is_what_the_next_one_finds(
    client: Client, store: IdentityStore
) -> None:
    [stranger] = await turn(client, store, link("m1", PHONE))
    [ann] = await turn(client, store, link("m2", ANN, MAIL))
    assert await turn(client, store, link("m3", ANN, PHONE, TABLET)) == [ann]
    mark = Mark(NOON, "m3", ANN)
    devices = {
        PHONE: Device(ann, own=stranger, marks=[mark]),
        TABLET: Device(ann, marks=[mark]),
    }
    assert await store.owners([ANN, node_of(MAIL), PHONE, TABLET, BOB]) == (
        dict.fromkeys([ANN, node_of(MAIL)], Owner(ann)),
        devices,
    )
    assert await store.devices(ann) == devices
    person = await store.person(stranger)
    assert person is not None
    assert person.profile_ids == [ann, stranger]
    assert person.identifiers == [
        Held("user_id", "ann", NOON, "m2", "web"),
        Held("email", "ann@shop.com", NOON, "m2", "web"),
    ]
    assert [(merge.from_, merge.message_id) for merge in person.merges] == [(stranger, "m3")]
    assert [await store.holder(each) for each in (PHONE, MAIL, BOB)] == [ann, ann, None]
    assert await store.person("p_nobody") is None


async def test_an_identifier_of_nobody_keeps_who_named_it_in_vain(
    client: Client, store: IdentityStore
) -> None:
    nobodys = {BOB: Owner("", contested=True, claimed=("p_ann", "p_cyd")), ANN: Owner("")}
    async with await client.start_session() as session, transaction(session):
        await store.save([], Changes(owners={**nobodys}), session)
    assert await store.owners(nobodys) == (nobodys, {})


async def test_every_absorbed_profile_leads_straight_to_the_survivor(
    client: Client, store: IdentityStore
) -> None:
    [oldest] = await turn(client, store, link("m1", PHONE))
    [middle] = await turn(client, store, link("m2", MAIL))
    [ann] = await turn(client, store, link("m3", ANN))
    one, other = sorted([oldest, middle])
    await turn(client, store, link("m4", MAIL, PHONE))
    await turn(client, store, link("m5", ANN, MAIL))
    assert await store.survivors([oldest, middle, ann, "p_nobody"]) == {
        oldest: ann,
        middle: ann,
        ann: ann,
    }
    assert await store.fates([ann, oldest, "p_nobody"]) == {
        ann: (None, [one, other]),
        oldest: (ann, []) if oldest == other else (ann, [middle]),
    }


async def test_known_interactions_are_found_within_and_after_a_transaction(
    client: Client, store: IdentityStore
) -> None:
    await turn(client, store, link("m1", PHONE), link("m2", PHONE))
    async with await client.start_session() as session, transaction(session):
        assert await store.known(["m1", "m2", "m3"], session) == {"m1", "m2"}


async def test_interactions_of_all_former_ids_are_streamed(
    client: Client, store: IdentityStore
) -> None:
    await save(
        client,
        store,
        [interaction(f"m{n:04}", "p_a" if n % 2 else "p_b") for n in range(2_500)]
        + [interaction("other", "p_c")],
    )
    chunks = [chunk async for chunk in store.interactions(["p_a", "p_b"])]
    assert len(chunks) > 1
    found = sorted((body, profile_id) for chunk in chunks for profile_id, body in chunk)
    assert found == [(f"m{n:04}".encode(), "p_a" if n % 2 else "p_b") for n in range(2_500)]


async def test_a_timeline_is_paged_newest_first_without_gap_or_repeat(
    client: Client, store: IdentityStore
) -> None:
    spread = [interaction(f"m{n:02}", "p_a" if n % 3 else "p_b", minutes=n // 4) for n in range(30)]
    await save(client, store, [*spread, interaction("other", "p_c")])
    seen: list[Entry] = []
    while page := await store.page(
        ["p_a", "p_b"], 7, (seen[-1].at, seen[-1].interaction_id) if seen else None
    ):
        assert len(page) <= 7
        seen.extend(page)
    ordered = sorted(spread, key=lambda each: (-each.at.timestamp(), each.interaction_id))
    assert [entry.interaction_id for entry in seen] == [each.interaction_id for each in ordered]
    assert [entry.body for entry in seen] == [each.body for each in ordered]


async def test_the_timeline_is_read_from_its_index(client: Client, store: IdentityStore) -> None:
    await save(client, store, [interaction(f"m{n}", "p_a", minutes=n) for n in range(50)])
    plan = await store._interactions.database.command(
        "explain",
        {
            "find": "interactions",
            "filter": {
                "p": {"$in": ["p_a", "p_b"]},
                "t": {"$lte": NOON},
                "$or": [{"t": {"$lt": NOON}}, {"_id": {"$gt": "m3"}}],
            },
            "sort": {"t": -1, "_id": 1},
            "limit": 10,
        },
    )
    stages = set(_stages(plan["queryPlanner"]["winningPlan"]))
    assert "SORT_MERGE" in stages
    assert not stages & {"SORT", "COLLSCAN"}


async def test_two_workers_cannot_give_one_identifier_to_two_persons(
    client: Client, store: IdentityStore
) -> None:
    await turn(client, store, link("m1", ANN), link("m2", BOB))
    assert await collide(client, store, link("m3", ANN, PHONE), link("m4", BOB, PHONE))


async def test_two_workers_cannot_create_one_person_twice(
    client: Client, store: IdentityStore
) -> None:
    assert await collide(client, store, link("m1", PHONE), link("m2", PHONE))


async def test_an_identifier_cannot_be_added_to_a_person_while_it_is_absorbed(
    client: Client, store: IdentityStore
) -> None:
    await turn(client, store, link("m1", ANN), link("m2", PHONE))
    assert await collide(client, store, link("m3", MAIL, PHONE), link("m4", ANN, PHONE))
    assert await collide(client, store, link("m5", ANN, MAIL), link("m6", ANN, TABLET))


async def test_a_device_cannot_be_given_to_a_person_while_it_is_absorbed(
    client: Client, store: IdentityStore
) -> None:
    await turn(client, store, link("m1", ANN), link("m2", MAIL))
    assert await collide(client, store, link("m3", ANN, MAIL), link("m4", MAIL, TABLET))


async def test_two_persons_cannot_be_named_on_a_device_at_once(
    client: Client, store: IdentityStore
) -> None:
    await turn(client, store, link("m1", ANN), link("m2", BOB), link("m3", PHONE))
    assert await collide(client, store, link("m4", ANN, PHONE), link("m5", BOB, PHONE))


async def test_decisions_are_found_by_all_that_they_name(
    client: Client, store: IdentityStore
) -> None:
    split = Decision("d1", "split", NOON, (ANN,), (PHONE, node_of(MAIL)), "sam", "two people")
    async with await client.start_session() as session, transaction(session):
        await store.save([], Changes(decisions=[split]), session)
    assert [await store.decisions([each]) for each in (ANN, PHONE, node_of(MAIL), BOB)] == [
        [split],
        [split],
        [split],
        [],
    ]


async def test_a_person_cannot_absorb_and_be_absorbed_at_once(
    client: Client, store: IdentityStore
) -> None:
    await turn(client, store, link("m1", PHONE), link("m2", TABLET), link("m3", ANN))
    assert await collide(client, store, link("m4", MAIL, PHONE), link("m5", ANN, PHONE))


async def test_one_message_cannot_be_stored_twice_by_two_workers(
    client: Client, store: IdentityStore
) -> None:
    await turn(client, store, link("m1", ANN))
    assert await collide(client, store, link("m2", ANN), link("m2", ANN))


async def test_events_of_one_person_do_not_collide(client: Client, store: IdentityStore) -> None:
    await turn(client, store, link("m1", ANN, PHONE))
    assert not await collide(client, store, link("m2", ANN), link("m3", ANN, PHONE))


async def test_an_event_may_go_to_a_profile_while_it_is_absorbed(
    client: Client, store: IdentityStore
) -> None:
    await turn(client, store, link("m1", ANN), link("m2", PHONE))
    assert not await collide(client, store, link("m3", PHONE), link("m4", ANN, PHONE))
    _, devices = await store.owners([PHONE])
    assert devices[PHONE].profile_id == profile_id_of("m1")
    person = await store.person(devices[PHONE].profile_id)
    assert person is not None
    found = [body async for chunk in store.interactions(person.profile_ids) for _, body in chunk]
    assert sorted(found) == [b"m1", b"m2", b"m3", b"m4"]


async def test_prepare_may_run_in_several_processes(store: IdentityStore) -> None:
    await store.prepare()


async def save(client: Client, store: IdentityStore, stored: Sequence[Stored]) -> None:
    async with await client.start_session() as session, transaction(session):
        await store.save(stored, Changes(created=[Person("p_x")]), session)


def _stages(plan: dict[str, Any]) -> list[str]:
    inner = [plan["inputStage"]] if "inputStage" in plan else plan.get("inputStages", [])
    return [plan["stage"], *(stage for each in inner for stage in _stages(each))]

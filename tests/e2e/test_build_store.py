"""Build's store on a real MongoDB: what a turn writes, a rebuild reads and the API finds."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol
from uuid import uuid4

import msgspec
import pytest
from msgspec.json import encode
from prometheus_client import REGISTRY

from schemas.messages import Definition, Interaction
from services.profile.build import documents
from services.profile.build.changes import Limits, row_of
from services.profile.build.handler import Build
from services.profile.build.inbox import RECORDED
from services.profile.build.kept import Kept
from services.profile.build.kept import encode as encoded
from services.profile.build.model import encode_state
from services.profile.build.rules import computed
from services.profile.build.store import HistoryStore, ProfileStore
from services.profile.computed.store import DefinitionStore
from services.profile.feed.snapshot import Stored as Snapshot
from services.profile.people import People
from services.profile.resolve.model import Changes, Person, Stored
from services.profile.resolve.store import IdentityStore
from services.runtime.http import Problem
from services.runtime.mongo import Client, Database, connect, transaction
from services.runtime.settings import Settings
from services.runtime.turn import Record, Source, Timer, Turn
from tests.people import START, at, did, identified, ordered

pytestmark = pytest.mark.broker

GROUP = "profile-resolve"
ORIGIN = f"{GROUP}/events.clicks/0"


class Stack(Protocol):
    @property
    def mongo_url(self) -> str: ...


@pytest.fixture
async def client(stack: Stack) -> AsyncIterator[Client]:
    client = connect(Settings(mongo_url=stack.mongo_url))
    yield client
    client.close()


@pytest.fixture
async def database(client: Client) -> AsyncIterator[Database]:
    name = f"build_{uuid4().hex[:12]}"
    await client[name].create_collection("checkpoints")
    yield client[name]
    await client.drop_database(name)


class Declared:
    def __init__(self) -> None:
        self.current: dict[tuple[str, str], Definition] = {}
        self.revision = 0

    def rebuild(self) -> None:
        self.revision += 1
        self.current["rebuild", "all"] = Definition(
            kind="rebuild", name="all", version=self.revision, updated_at=START, body={}
        )

    def declare(self, key: str, **body: Any) -> None:
        self.revision += 1
        self.current["computed_trait", key] = Definition(
            kind="computed_trait", name=key, version=1, updated_at=START, body=body
        )


def recomputed(way: str) -> float:
    return REGISTRY.get_sample_value("regulars_profile_recomputed_total", {"way": way}) or 0


class Shop:
    """Resolve and build on one database, without Kafka between them."""

    def __init__(self, client: Client, database: Database) -> None:
        self.client, self.database = client, database
        self.profiles, self.identities = ProfileStore(database), IdentityStore(database)
        self.history = HistoryStore(database, self.identities, GROUP)
        self.declared = Declared()
        self.build = self.worker()
        self.source = Source("profile-build/profile.interactions/3", "profile.interactions", 3)
        self.seq = 0

    def worker(self, limits: Limits | None = None) -> Build:
        """A build worker that has just started."""
        return Build(self.profiles, self.history, self.declared, limits)

    async def resolved(self, *said: Interaction) -> list[Record]:
        """What resolve stores and publishes of these."""
        stored = [
            Stored(each.interaction_id, each.profile_id, each.at, each.name, encode(each))
            for each in said
        ]
        people = {item.profile_id: Person(item.profile_id, members=["former"]) for item in said}
        known = await self.identities.people(people)
        created = [person for id, person in people.items() if id not in known]
        records = []
        for item in stored:
            self.seq += 1
            headers = {"ce_type": RECORDED, "origin": ORIGIN, "seq": str(self.seq)}
            encoded = {name: value.encode() for name, value in headers.items()}
            records.append(Record(self.source, 0, item.profile_id.encode(), item.body, encoded))
        async with await self.client.start_session() as session, transaction(session):
            await self.identities.save(stored, Changes(created=created), session)
            await self.database["checkpoints"].update_one(
                {"_id": ORIGIN}, {"$set": {"seq": self.seq}}, upsert=True, session=session
            )
        return records

    async def turn(self, records: Sequence[Record] = (), timers: Sequence[Timer] = ()) -> Turn:
        async with await self.client.start_session() as session, transaction(session):
            turn = Turn(now=datetime.now(UTC), session=session, records=records, timers=timers)
            await self.build.handle(turn)
            await turn.written()
        await self.build.committed(turn)
        return turn

    async def states(self) -> dict[str, bytes]:
        documents = await self.database["profiles"].find({}, {"_id": 1}).to_list(None)
        kept = await self.profiles.load([document["_id"] for document in documents], None)
        return {id: encode_state(item.state) for id, item in kept.items()}


@pytest.fixture
async def shop(client: Client, database: Database) -> Shop:
    shop = Shop(client, database)
    await shop.identities.prepare()
    await shop.profiles.prepare()
    await shop.profiles.prepare()  # a second worker starts
    return shop


async def in_session(client: Client, ask: Any) -> Any:
    async with await client.start_session() as session, transaction(session):
        return await ask(session)


async def test_what_a_turn_stores_another_worker_goes_on_from(shop):
    await shop.turn(await shop.resolved(identified(1, plan="gold"), ordered(2, revenue=12.5)))
    shop.build = shop.worker()
    turn = await shop.turn(await shop.resolved(did("Cart Viewed", 3)))
    change = msgspec.json.decode(turn.messages[0][1].value)
    assert change["version"] == 2
    assert change["profile"]["traits"] == {"plan": "gold"}
    assert change["profile"]["revenue"] == [{"amount": "12.50", "currency": "USD"}]


async def test_an_aborted_turn_leaves_nothing(shop):
    records = await shop.resolved(did("Cart Viewed", 1))

    async def fail() -> None:
        async with await shop.client.start_session() as session, transaction(session):
            turn = Turn(now=START, session=session, records=records)
            await shop.build.handle(turn)
            await turn.written()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert await shop.states() == {}


async def test_a_sweep_after_a_new_computed_trait_equals_having_had_it_from_the_start(shop):
    people = [did("Cart Viewed", second, profile_id=f"p{second}") for second in range(5)]
    first = await shop.resolved(*people, *(identified(9, id=f"i{n}", n=n) for n in range(2)))
    await shop.turn(first)
    shop.declared.declare("carts", event="Cart Viewed", window_seconds=60)
    shop.build = shop.worker()
    await shop.build.assigned([shop.source])
    turn = await shop.turn()
    while turn.timers_set:
        turn = await shop.turn(timers=list(turn.timers_set.values()))
    swept = await shop.states()
    await shop.database["profiles"].delete_many({})
    shop.build = shop.worker()
    await shop.turn(first)
    assert await shop.states() == swept
    assert len(swept) == 5


async def test_a_rebuild_reads_former_profiles_and_names_the_checkpoints_of_resolve_only(shop):
    checkpoints = shop.database["checkpoints"]
    await checkpoints.insert_many(
        [{"_id": "profile-build/profile.interactions/3", "seq": 7}, {"_id": f"{GROUP}-2/x/0"}]
    )
    records = await shop.resolved(did("Cart Viewed", 1), did("X", 2, profile_id="former"))
    shop.declared.declare("carts", event="Cart Viewed")
    await shop.turn(records[:1])
    shop.declared.declare("x", event="X")
    turn = await shop.turn(await shop.resolved(did("Cart Viewed", 3)))
    change = msgspec.json.decode(turn.messages[0][1].value)
    assert change["profile"]["computed"] == {"carts": {"count": 2}, "x": {"count": 1}}
    assert change["merged_from"] == ["former"]
    assert (await shop.profiles.load(["p1"], None))["p1"].vector == {ORIGIN: 3}


async def test_stale_profiles_are_those_of_the_partition_with_another_fingerprint(shop):
    ids = ["p1", "p2", "p3"]
    await shop.turn(
        await shop.resolved(*(did("A", number, profile_id=id) for number, id in enumerate(ids)))
    )
    (current,) = {item.fingerprint for item in (await shop.profiles.load(ids, None)).values()}

    async def stale(
        partition: int, fingerprint: str, after: str = "", limit: int = 9
    ) -> tuple[list[str], str]:
        behind = fingerprint, after
        return await in_session(
            shop.client, lambda session: shop.profiles.stale(partition, behind, limit, session)
        )

    await shop.database["profiles"].insert_one({"_id": "gone", "p": 3, "i": "p1"})
    assert await stale(3, current) == ([], "p3")
    assert await stale(3, current, after="p3") == ([], "")
    assert await stale(4, "other") == ([], "")
    assert await stale(3, "other") == (ids, "p3")
    assert await stale(3, "other", after="p1", limit=1) == (["p2"], "p2")
    await shop.database["profiles"].update_one({"_id": "p3"}, {"$set": {"f": "older"}})
    assert await stale(3, current, limit=1) == (["p3"], "p3")
    few = [{"_id": f"f{number:02}", "p": 3, "f": current} for number in range(12)]
    await shop.database["profiles"].insert_many(few)
    assert await stale(3, current, limit=1) == ([], "f09")  # It looks at ten times as many.
    assert await stale(3, current, after="f09", limit=1) == (["p3"], "p3")


async def found(shop: Shop, prefix: str = "") -> list[str]:
    return [id for id, _, _ in await shop.profiles.listed(prefix, 9, None)]


async def test_the_customer_list_is_searched_by_email_name_and_user_id_last_seen_first(shop):
    await shop.turn(
        await shop.resolved(
            *(
                did(
                    "Identify", 60 * minute, profile_id=id, type="identify", traits=traits, id=id,
                    identifiers=(("user_id", f"U-{id}"),),
                )
                for minute, (id, traits) in enumerate(
                    [
                        ("p1", {"email": "Ann@x.io"}),
                        ("p2", {"firstName": "Anna", "lastName": "Li"}),
                        ("p3", {"email": "bob@x.io", "name": "Bob"}),
                    ]
                )
            )
        )
    )  # fmt: skip
    assert await found(shop) == ["p3", "p2", "p1"]
    assert await found(shop, "ann") == ["p2", "p1"]
    assert await found(shop, "u-p3") == ["p3"]
    assert await found(shop, "an.") == []


async def test_emails_user_ids_and_names_are_found_by_one_index_and_those_of_before_go(shop):
    profiles = shop.database["profiles"]
    for field in "eun":
        await profiles.create_index(field, name=f"by_{field}", sparse=True)
    await profiles.create_index([("p", 1), ("f", 1)], name="stale")
    await shop.profiles.prepare()
    assert set(await profiles.index_information()) == {"_id_", "swept", "rates", "seen", "found"}
    for field in "eun":
        plan = await profiles.find({field: {"$gte": "ann", "$lt": "ann~"}}).explain()
        assert plan["queryPlanner"]["winningPlan"]["inputStage"]["indexName"] == "found"


async def test_a_list_is_paged_without_gaps_or_repeats_where_people_were_seen_at_once(shop):
    await shop.turn(
        await shop.resolved(
            *(did("A", 60 * (n // 3), id=f"m{n}", profile_id=f"p{n}") for n in range(8))
        )
    )
    seen: list[str] = []
    after = None
    while page := await shop.profiles.listed("", 3, after):
        seen += [id for id, _, _ in page]
        after = (page[-1][2], page[-1][0])
    assert seen == ["p6", "p7", "p3", "p4", "p5", "p0", "p1", "p2"]


async def test_what_follows_within_the_minute_changes_nothing_that_is_indexed(shop):
    async def indexed() -> dict[str, Any]:
        found = await shop.database["profiles"].find_one({}, {"_id": 0, "v": 0, "b": 0})
        assert found is not None
        return found

    await shop.turn(await shop.resolved(did("A", 1), identified(2, email="ann@x.io")))
    first = await indexed()
    await shop.turn(await shop.resolved(did("B", 59)))
    assert (first["s"], await indexed()) == (START, first)
    await shop.turn(await shop.resolved(did("A", 61)))
    assert await indexed() == {**first, "s": at(60)}


async def test_profiles_lie_in_pages_of_half_the_usual_size(shop, database):
    stats = await database.command("collStats", "profiles")
    assert "leaf_page_max=16KB" in stats["wiredTiger"]["creationString"]


async def test_a_trait_that_was_unset_is_not_found_any_more(shop):
    await shop.turn(await shop.resolved(identified(1, email="ann@x.io")))
    assert await found(shop, "ann") == ["p1"]
    await shop.turn(await shop.resolved(identified(2, email=None)))
    assert await found(shop, "ann") == []


async def test_what_is_stored_in_an_older_layout_is_computed_again_and_never_misread(
    shop, monkeypatch
):
    order = {"order_id": "o", "revenue": 12.5}
    said = [did("Order Completed", n, profile_id=f"p{n}", properties=order) for n in range(3)]
    first = await shop.resolved(*said)
    await shop.turn(first)
    gone = Kept(version=4, into="p0")
    rows = [row_of("gone", 3, gone, (encoded(gone), None))]
    await in_session(shop.client, lambda session: shop.profiles.save(rows, session))

    monkeypatch.setattr(computed, "LAYOUT", 2)  # a version that keeps other states comes
    monkeypatch.setattr(documents, "STATE", "b2")
    monkeypatch.setattr(documents, "OLDER", ("b",))
    shop.build = shop.worker()
    people = People(shop.profiles, shop.identities)
    for asked in ("p1", "gone"):
        with pytest.raises(Problem) as told:
            await people.profile(asked)
        assert (told.value.status, told.value.headers) == (503, {"Retry-After": "5"})
    assert await found(shop) == []  # rather than people of whom nothing is known
    assert [id for id, _ in await Snapshot(shop.database).after("", 9)] == ["gone"]

    shop.build = shop.worker(Limits(swept=1, rebuilt=2))  # one in a turn
    await shop.build.assigned([shop.source])
    late = [did("Cart Viewed", 9, id=f"late{n}", profile_id=f"p{n}") for n in (1, 2)]
    late = await shop.resolved(*late)
    turn = await shop.turn(late)
    [(_, message)] = turn.messages
    change = msgspec.json.decode(message.value)
    assert change["version"] == 3  # a gap: nobody goes by what it says that changed
    assert "before" not in change
    assert (change["profile"]["interactions"], change["merged_from"]) == (2, ["former"])
    announced = {}
    while turn.timers_set:
        turn = await shop.turn(timers=list(turn.timers_set.values()))
        changes = [msgspec.json.decode(message.value) for _, message in turn.messages]
        announced |= {each["profile_id"]: each["version"] for each in changes}
    assert announced == {"p0": 3, "p2": 3}
    swept = await shop.states()
    kinds = await shop.database["profiles"].distinct("b"), await people.profile("gone")
    assert (len(kinds[0]), kinds[1][0], kinds[1][1].version) == (1, "p0", 3)  # b: of the redirect

    await shop.database["profiles"].delete_many({"_id": {"$ne": "gone"}})
    shop.build = shop.worker()
    await shop.turn([*first, *late])
    assert await shop.states() == swept

    monkeypatch.setattr(computed, "LAYOUT", 3)  # in which all are too large
    monkeypatch.setattr(documents, "STATE", "b3")
    shop.build, before = shop.worker(Limits(state_bytes=10)), recomputed("left")
    await shop.build.assigned([shop.source])
    turn = await shop.turn()
    while turn.timers_set:  # they are looked at once
        turn = await shop.turn(timers=list(turn.timers_set.values()))
    known = await shop.profiles.load(["p0", "p1", "p2"], None)
    assert [(one.unread, one.version) for one in known.values()] == [(True, 1)] * 3
    assert recomputed("left") - before == 3
    with pytest.raises(Problem) as told:
        await people.profile("p1")
    assert (told.value.status, told.value.extra["code"]) == (422, "profile_too_large")
    assert (await people.known(["p1", "gone"])).keys() == set()
    more = await shop.resolved(did("Cart Viewed", 10, id="more", profile_id="p1"))
    turn = await shop.turn(more)
    assert [item.reason for item in turn.rejected] == ["profile_too_large"]

    shop.build = shop.worker()  # and once more where they are not, as after an unmerge
    monkeypatch.setattr(computed, "LAYOUT", 4)
    await shop.build.assigned([shop.source])
    turn = await shop.turn()
    while turn.timers_set:
        turn = await shop.turn(timers=list(turn.timers_set.values()))
    assert (await people.profile("p1"))[1].state.interactions == 3


async def test_a_former_id_leads_to_the_person_through_any_number_of_merges(shop):
    await shop.turn(await shop.resolved(did("A", 1)))
    merged = [(f"f{n}", f"f{n + 1}" if n < 29 else "p1") for n in range(30)]
    crossing = [("r0", "r1"), ("r1", "r0")]
    moved = [(id, Kept(version=2, into=into)) for id, into in [*merged, *crossing, ("x", "nobody")]]
    rows = [row_of(id, 3, kept, (encoded(kept), None)) for id, kept in moved]
    await in_session(shop.client, lambda session: shop.profiles.save(rows, session))
    leads = await shop.profiles.profiles(["p1", "f0", "f17", "r0", "r1", "x", "nobody"])
    assert {id: to for id, (to, _) in leads.items()} == dict.fromkeys(("p1", "f0", "f17"), "p1")
    assert leads["f0"][1].state.interactions == 1


async def test_definitions_are_stored_first_and_marked_when_published(database):
    store = DefinitionStore(database)
    await store.prepare()
    body = {"event": "Cart Viewed", "window_seconds": 60}
    first = await store.put("carts", body, at(0))
    assert (first.definition.version, await store.unpublished()) == (1, [first])
    await store.published(first.definition)
    assert await store.unpublished() == []
    assert (await store.put("carts", body, at(5))).definition.version == 1
    second = await store.put("carts", {"event": "Cart Viewed"}, at(6))
    await store.published(first.definition)  # an answer that comes late
    assert (second.definition.version, await store.unpublished()) == (2, [second])
    assert [item.version for item in await store.all()] == [2]
    gone = await store.delete("carts", at(7))
    assert (gone.deleted, await store.get("carts"), await store.all()) == (True, None, [])
    assert (await store.unpublished(), await store.delete("carts", at(8))) == ([gone], None)
    assert (await store.put("carts", body, at(9))).definition.version == 4
    assert await store.get("nothing") is None

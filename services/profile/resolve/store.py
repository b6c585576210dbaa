"""Who is who, in MongoDB: the identity graph, in the database of the service ``profile``.

``people``: a ``Person``, ``decisions``: a ``Decision`` with ``ids``, all that it names; their
times as RFC 3339 text, exact to the microsecond. What happened to them is in ``timeline``.
``identifiers`` ``{_id: "<type>:<value>" (an address as its SHA-256), p: profile id, u: no
authenticated source has named it, c: contested, r: of nobody's, who named it in vain}``; of a
device ``{_id, p, o: its own anonymous profile, m: marks, l: lead, s: shared, d: decided}``.

Several workers change the graph at once, each in a snapshot transaction of its own. Two
that would decide differently, had one seen the other, always write a document in common:
whoever takes an identifier inserts it, and whoever adds to a person, gives it a device or
merges it writes that person. So one of them aborts and is tried again.
"""

from collections.abc import Collection, Sequence

import msgspec
from pymongo import ASCENDING, UpdateMany

from schemas.messages import Identifier
from services.profile.resolve.documents import device_of, holding_of, identifier_of, key_of
from services.profile.resolve.model import Changes, Decision, Device, Owner, Person, Stored
from services.profile.resolve.rules.kinds import is_device
from services.profile.resolve.rules.spelling import node_of
from services.profile.resolve.timeline import Timeline
from services.runtime.commands import Change, find, insert, update
from services.runtime.mongo import Database, Document, Session, create_collection


class IdentityStore(Timeline):
    """The store of resolve; the service's other parts read it, and write nothing."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._identifiers = database["identifiers"]
        self._people = database["people"]
        self._decisions = database["decisions"]

    async def prepare(self) -> None:
        """Create collections and indexes. Safe to call from several processes."""
        await super().prepare()
        for name in ("identifiers", "people", "decisions"):
            await create_collection(self._database, name)
        await self._identifiers.create_index("p", name="holder")
        await self._decisions.create_index("ids", name="named")
        await self._people.create_index(
            [("refusals.because", ASCENDING), ("_id", ASCENDING)],
            name="refused",
            partialFilterExpression={"refusals.because": {"$exists": True}},
        )

    # -- what the stage asks and writes (the handler's protocol) -----------------------------

    async def owners(
        self, nodes: Collection[Identifier], session: Session | None = None
    ) -> tuple[dict[Identifier, Owner], dict[Identifier, Device]]:
        """Who has each of these, persons' identifiers (as nodes) and devices apart."""
        by_key = {key_of(node): node for node in nodes}
        owners: dict[Identifier, Owner] = {}
        devices: dict[Identifier, Device] = {}
        for document in await find(self._identifiers, {"_id": {"$in": list(by_key)}}, session):
            node = by_key[document["_id"]]
            if is_device(node.type):
                devices[node] = device_of(document)
            else:
                claimed = tuple(document.get("r", ()))
                owners[node] = Owner(document["p"], "u" in document, "c" in document, claimed)
        return owners, devices

    async def people(
        self, profile_ids: Collection[str], session: Session | None = None
    ) -> dict[str, Person]:
        """These persons, absorbed ones as they were."""
        found = await find(self._people, {"_id": {"$in": list(profile_ids)}}, session)
        people = [msgspec.convert(document, Person) for document in found]
        return {person.profile_id: person for person in people}

    async def survivors(
        self, profile_ids: Collection[str], session: Session | None = None
    ) -> dict[str, str]:
        """The id that each existing profile goes by now: its own if it was not absorbed."""
        wanted = {"_id": {"$in": list(profile_ids)}}
        found = await find(self._people, wanted, session, {"into": 1})
        return {document["_id"]: document.get("into") or document["_id"] for document in found}

    async def save(self, stored: Sequence[Stored], changes: Changes, session: Session) -> None:
        """Store new interactions and what changed in the graph, one write a collection.

        The largest comes first: meanwhile the stage has other work to do.
        """
        if stored:
            await self._add(stored, session)
        if changes.owners or changes.moved or changes.absorbed:
            await self._save_identifiers(changes, session)
        if changes.created or changes.changed or changes.redirected or changes.touched:
            await self._save_people(changes, session)
        if changes.rewritten:
            await self._rewrite(changes.rewritten, session)
        for decision in changes.decisions:
            ids = [key_of(each) for each in (*decision.a, *decision.b)]
            fields = msgspec.to_builtins(decision) | {"ids": ids}
            await self._decisions.replace_one(
                {"_id": decision.decision_id}, fields, upsert=True, session=session
            )

    async def _save_identifiers(self, changes: Changes, session: Session) -> None:
        # First what belongs to whom at large, then what is known of each.
        if changes.absorbed:
            writes = [
                UpdateMany({"p": former}, {"$set": {"p": into}})
                for former, into in changes.absorbed.items()
            ]
            await self._identifiers.bulk_write(writes, ordered=False, session=session)
        if changes.owners:
            rows = [holding_of(node, has) for node, has in changes.owners.items()]
            await insert(self._identifiers, rows, session)
        if changes.moved:
            moved = [holding_of(node, has) for node, has in changes.moved.items()]
            replaced = [({"_id": row["_id"]}, row) for row in moved]
            await update(self._identifiers, replaced, session)

    async def _save_people(self, changes: Changes, session: Session) -> None:
        if changes.created:
            rows = [msgspec.to_builtins(person) for person in changes.created]
            await insert(self._people, rows, session)
        changed: list[Change] = [
            ({"_id": person.profile_id}, msgspec.to_builtins(person)) for person in changes.changed
        ]
        for member, into in changes.redirected.items():
            changed.append(({"_id": member}, {"$set": {"into": into}}))
        for profile_id in changes.touched:
            changed.append(({"_id": profile_id}, {"$inc": {"devices": 1}}))
        if changed:
            await update(self._people, changed, session)

    async def decisions(
        self, named: Collection[Identifier], session: Session | None = None
    ) -> list[Decision]:
        """The decisions of people that name any of these nodes or devices."""
        wanted = {"ids": {"$in": [key_of(each) for each in named]}}
        found = await find(self._decisions, wanted, session, {"_id": 0, "ids": 0})
        return [msgspec.convert(document, Decision) for document in found]

    # -- what build and the API read -----------------------------------------------------

    async def person(self, profile_id: str, session: Session | None = None) -> Person | None:
        """Who ``profile_id`` is now: the survivor, where that profile was absorbed."""
        found = (await self.people([profile_id], session)).get(profile_id)
        if found is None or found.into is None:
            return found
        return (await self.people([found.into], session)).get(found.into)

    async def holder(self, identifier: Identifier, session: Session | None = None) -> str | None:
        """The profile id of the person known by an identifier (normalised), or None."""
        wanted = {"_id": key_of(node_of(identifier))}
        found = await find(self._identifiers, wanted, session, {"p": 1})
        return found[0]["p"] or None if found else None

    async def devices(self, profile_id: str, limit: int = 100) -> dict[Identifier, Device]:
        """The devices that a person holds now, at most ``limit`` of them."""
        found = self._identifiers.find({"p": profile_id}).limit(limit)
        held = {identifier_of(document["_id"]): document for document in await found.to_list(None)}
        return {
            each: device_of(document) for each, document in held.items() if is_device(each.type)
        }

    async def fates(
        self, profile_ids: Collection[str], session: Session | None = None
    ) -> dict[str, tuple[str | None, list[str]]]:
        """(into, former profile ids) of each of these; who is unknown is missing."""
        wanted = {"_id": {"$in": list(profile_ids)}}
        found = await find(self._people, wanted, session, {"members": 1, "into": 1})
        return {
            document["_id"]: (document.get("into"), document.get("members", []))
            for document in found
        }

    async def refused(self, limit: int, after: str | None = None) -> list[Person]:
        """Living persons of whom a link was refused by a limit, by profile id."""
        wanted: Document = {"refusals.because": "limit", "into": {"$exists": False}}
        if after is not None:
            wanted["_id"] = {"$gt": after}
        found = self._people.find(wanted).sort("_id", ASCENDING).limit(limit)
        return [msgspec.convert(document, Person) for document in await found.to_list(None)]

    async def decision(self, decision_id: str) -> Decision | None:
        """The decision with this id, once it is applied."""
        document = await self._decisions.find_one({"_id": decision_id}, {"_id": 0, "ids": 0})
        return None if document is None else msgspec.convert(document, Decision)

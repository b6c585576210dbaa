"""Identity and interactions in MongoDB, in the database of the service ``profile``.

``interactions`` ``{_id: interaction id, p: profile id it was attributed to, t: event time,
n: name, b: the encoded Interaction, c: true where it may speak of consent, else missing, h: who
has the order that it tells of, where that is somebody else, else missing}``; ``people``: a
``Person``, ``decisions``: a ``Decision`` with ``ids``, all that it names; their times as RFC 3339
text, exact to the microsecond.
``identifiers`` ``{_id: "<type>:<value>" (an address as its SHA-256), p: profile id, u: no
authenticated source has named it, c: contested}``; of a device ``{_id, p, o: its own anonymous
profile, m: marks, l: lead, s: shared, d: decided}``.

Several workers change the graph at once, each in a snapshot transaction of its own. Two
that would decide differently, had one seen the other, always write a document in common:
whoever takes an identifier inserts it, and whoever adds to a person, gives it a device or
merges it writes that person. So one of them aborts and is tried again.
"""

from collections.abc import AsyncIterator, Collection, Sequence
from datetime import datetime

import msgspec
from pymongo import ASCENDING, DESCENDING, UpdateMany

from schemas.messages import Identifier
from services.profile.resolve.documents import (
    device_of,
    holding_of,
    identifier_of,
    key_of,
    rewritten,
    row_of,
)
from services.profile.resolve.model import (
    Changes,
    Decision,
    Device,
    Entry,
    Owner,
    Person,
    Stored,
)
from services.profile.resolve.rules.kinds import is_device
from services.profile.resolve.rules.spelling import node_of
from services.runtime.commands import Change, find, insert, update
from services.runtime.mongo import (
    Database,
    Document,
    Session,
    UpdateOne,
    create_collection,
)

_STREAMED = 1_000


class IdentityStore:
    """The store of resolve; the service's other parts read it, and write nothing."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._interactions = database["interactions"]
        self._identifiers = database["identifiers"]
        self._people = database["people"]
        self._decisions = database["decisions"]

    async def prepare(self) -> None:
        """Create collections and indexes. Safe to call from several processes."""
        for name in ("interactions", "identifiers", "people", "decisions"):
            await create_collection(self._database, name)
        await self._interactions.create_index(
            [("p", ASCENDING), ("t", DESCENDING), ("_id", ASCENDING)], name="timeline"
        )
        await self._interactions.create_index(
            [("p", ASCENDING), ("t", DESCENDING), ("_id", ASCENDING), ("c", ASCENDING)],
            name="consent",
            partialFilterExpression={"c": True},
        )
        await self._interactions.create_index(
            "h", name="handed", partialFilterExpression={"h": {"$exists": True}}
        )
        await self._identifiers.create_index("p", name="holder")
        await self._decisions.create_index("ids", name="named")
        await self._people.create_index(
            [("refusals.because", ASCENDING), ("_id", ASCENDING)],
            name="refused",
            partialFilterExpression={"refusals.because": {"$exists": True}},
        )

    # -- what the stage asks and writes (the handler's protocol) -----------------------------

    async def known(self, interaction_ids: Collection[str], session: Session) -> set[str]:
        """Those of the ids that are stored already."""
        wanted = {"_id": {"$in": list(interaction_ids)}}
        found = await find(self._interactions, wanted, session, {"_id": 1})
        return {document["_id"] for document in found}

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
            rows = [row_of(each) for each in stored]
            await insert(self._interactions, rows, session)
        if changes.owners or changes.moved or changes.absorbed:
            await self._save_identifiers(changes, session)
        if changes.created or changes.changed or changes.redirected or changes.touched:
            await self._save_people(changes, session)
        if changes.rewritten:
            await self._interactions.bulk_write(
                [
                    UpdateOne({"_id": each.interaction_id}, rewritten(each))
                    for each in changes.rewritten
                ],
                ordered=False,
                session=session,
            )
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

    async def latest(
        self, profile_ids: Collection[str], session: Session | None = None
    ) -> datetime | None:
        """When the latest interaction attributed to any of these ids was."""
        # The index answers for one id at a time.
        times = [
            document["t"]
            for profile_id in profile_ids
            if (
                document := await self._interactions.find_one(
                    {"p": profile_id}, {"t": 1}, sort=[("t", DESCENDING)], session=session
                )
            )
        ]
        return max(times, default=None)

    async def decisions(
        self, named: Collection[Identifier], session: Session | None = None
    ) -> list[Decision]:
        """The decisions of people that name any of these nodes or devices."""
        wanted = {"ids": {"$in": [key_of(each) for each in named]}}
        found = await find(self._decisions, wanted, session, {"_id": 0, "ids": 0})
        return [msgspec.convert(document, Decision) for document in found]

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

    # -- what build and the API read -----------------------------------------------------

    async def person(self, profile_id: str, session: Session | None = None) -> Person | None:
        """Who ``profile_id`` is now: the survivor, where that profile was absorbed."""
        found = (await self.people([profile_id], session)).get(profile_id)
        if found is None or found.into is None:
            return found
        return (await self.people([found.into], session)).get(found.into)

    async def person_by(
        self, identifier: Identifier, session: Session | None = None
    ) -> Person | None:
        """The person known by an identifier (normalised), or None."""
        profile_id = await self.holder(identifier, session)
        return None if profile_id is None else await self.person(profile_id, session)

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

    async def interactions(
        self, profile_ids: Collection[str], session: Session | None = None
    ) -> AsyncIterator[list[tuple[str, bytes]]]:
        """(profile id, encoded Interaction) of all attributed to these ids, in no order.

        In lists, so that the history of one person need not fit into memory.
        """
        async for chunk in self._stream("p", profile_ids, session):
            yield chunk

    async def handed(
        self, profile_ids: Collection[str], session: Session | None = None
    ) -> AsyncIterator[list[tuple[str, bytes]]]:
        """The same of what was told of orders to others, and these ids have now: (who has the
        order, encoded Interaction)."""
        async for chunk in self._stream("h", profile_ids, session):
            yield chunk

    async def _stream(
        self, by: str, profile_ids: Collection[str], session: Session | None
    ) -> AsyncIterator[list[tuple[str, bytes]]]:
        found = self._interactions.find(
            {by: {"$in": list(profile_ids)}},
            {"_id": 0, by: 1, "b": 1},
            batch_size=_STREAMED,
            session=session,
        )
        while chunk := await found.to_list(_STREAMED):
            yield [(document[by], document["b"]) for document in chunk]

    async def page(
        self,
        profile_ids: Collection[str],
        limit: int,
        after: tuple[datetime, str] | None = None,
        session: Session | None = None,
    ) -> list[Entry]:
        """Up to ``limit`` interactions, newest first, equal times by id.

        ``after``: the ``at`` and ``interaction_id`` of the last entry that was seen.
        """
        wanted: dict[str, object] = {"p": {"$in": list(profile_ids)}}
        if after is not None:
            at, interaction_id = after
            wanted["t"] = {"$lte": at}
            wanted["$or"] = [{"t": {"$lt": at}}, {"_id": {"$gt": interaction_id}}]
        found = self._interactions.find(wanted, {"t": 1, "b": 1}, session=session)
        found = found.sort([("t", DESCENDING), ("_id", ASCENDING)]).limit(limit)
        return [
            Entry(document["t"], document["_id"], document["b"])
            for document in await found.to_list(None)
        ]

"""Identity and interactions in MongoDB, in the database of the service ``profile``.

``interactions`` ``{_id: interaction id, p: profile id it was attributed to, t: event time,
n: name, b: the encoded Interaction, c: true where it may speak of consent, else missing}``;
``identifiers`` ``{_id: "<type>:<value>", p}``; ``people``: a ``Person``, its times as RFC 3339
text, exact to the microsecond.

Several workers change the graph at once, each in a snapshot transaction of its own. Two
that would decide differently, had one seen the other, always write a document in common:
whoever takes an identifier inserts it, and whoever adds to a person or merges it writes
that person. So one of them aborts and is tried again.
"""

from collections.abc import AsyncIterator, Collection, Sequence
from datetime import datetime

import msgspec
from pymongo import ASCENDING, DESCENDING, InsertOne

from schemas.messages import Identifier
from services.profile.resolve.model import Changes, Entry, Person, Stored
from services.runtime.mongo import Database, ReplaceOne, Session, UpdateOne, create_collection

_ALL = 10_000
"""More than a turn asks for: the answer comes in one round trip."""
_STREAMED = 1_000


class IdentityStore:
    """The store of resolve; the service's other parts read it, and write nothing."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._interactions = database["interactions"]
        self._identifiers = database["identifiers"]
        self._people = database["people"]

    async def prepare(self) -> None:
        """Create collections and indexes. Safe to call from several processes."""
        for name in ("interactions", "identifiers", "people"):
            await create_collection(self._database, name)
        await self._interactions.create_index(
            [("p", ASCENDING), ("t", DESCENDING), ("_id", ASCENDING)], name="timeline"
        )
        await self._interactions.create_index(
            [("p", ASCENDING), ("t", DESCENDING), ("_id", ASCENDING), ("c", ASCENDING)],
            name="consent",
            partialFilterExpression={"c": True},
        )

    # -- what the stage asks and writes (the handler's protocol) -----------------------------

    async def known(self, interaction_ids: Collection[str], session: Session) -> set[str]:
        """Those of the ids that are stored already."""
        found = self._interactions.find(
            {"_id": {"$in": list(interaction_ids)}}, {"_id": 1}, batch_size=_ALL, session=session
        )
        return {document["_id"] for document in await found.to_list(None)}

    async def owners(
        self, identifiers: Collection[Identifier], session: Session | None = None
    ) -> dict[Identifier, str]:
        """The profile id of each identifier that somebody has."""
        by_key = {_key(identifier): identifier for identifier in identifiers}
        found = self._identifiers.find(
            {"_id": {"$in": list(by_key)}}, batch_size=_ALL, session=session
        )
        return {by_key[document["_id"]]: document["p"] for document in await found.to_list(None)}

    async def people(
        self, profile_ids: Collection[str], session: Session | None = None
    ) -> dict[str, Person]:
        """These persons, absorbed ones as they were."""
        found = self._people.find(
            {"_id": {"$in": list(profile_ids)}}, batch_size=_ALL, session=session
        )
        people = [msgspec.convert(document, Person) for document in await found.to_list(None)]
        return {person.profile_id: person for person in people}

    async def survivors(
        self, profile_ids: Collection[str], session: Session | None = None
    ) -> dict[str, str]:
        """The id that each existing profile goes by now: its own if it was not absorbed."""
        found = self._people.find(
            {"_id": {"$in": list(profile_ids)}}, {"into": 1}, batch_size=_ALL, session=session
        )
        return {
            document["_id"]: document["into"] or document["_id"]
            for document in await found.to_list(None)
        }

    async def save(self, stored: Sequence[Stored], changes: Changes, session: Session) -> None:
        """Store new interactions and what changed in the graph, one write a collection."""
        if changes.owners or changes.moved:
            await self._save_identifiers(changes, session)
        if changes.created or changes.changed or changes.redirected:
            await self._save_people(changes, session)
        if stored:
            await self._interactions.insert_many(
                [
                    {
                        "_id": interaction.interaction_id,
                        "p": interaction.profile_id,
                        "t": interaction.at,
                        "n": interaction.name,
                        "b": interaction.body,
                        **({"c": True} if interaction.consent else {}),
                    }
                    for interaction in stored
                ],
                ordered=False,
                session=session,
            )

    async def _save_identifiers(self, changes: Changes, session: Session) -> None:
        writes: list[InsertOne[dict[str, str]] | UpdateOne] = [
            InsertOne({"_id": _key(identifier), "p": profile_id})
            for identifier, profile_id in changes.owners.items()
        ]
        writes.extend(
            UpdateOne({"_id": _key(identifier)}, {"$set": {"p": profile_id}})
            for identifier, profile_id in changes.moved.items()
        )
        await self._identifiers.bulk_write(writes, ordered=False, session=session)

    async def _save_people(self, changes: Changes, session: Session) -> None:
        writes: list[InsertOne[dict[str, object]] | ReplaceOne[dict[str, object]] | UpdateOne]
        writes = [InsertOne(msgspec.to_builtins(person)) for person in changes.created]
        writes.extend(
            ReplaceOne({"_id": person.profile_id}, msgspec.to_builtins(person))
            for person in changes.changed
        )
        writes.extend(
            UpdateOne({"_id": member}, {"$set": {"into": into}})
            for member, into in changes.redirected.items()
        )
        await self._people.bulk_write(writes, ordered=False, session=session)

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
        owner = (await self.owners([identifier], session)).get(identifier)
        return None if owner is None else await self.person(owner, session)

    async def members(
        self, profile_ids: Collection[str], session: Session | None = None
    ) -> dict[str, list[str]]:
        """The former profile ids of each of these persons; who is unknown is missing."""
        found = self._people.find(
            {"_id": {"$in": list(profile_ids)}}, {"members": 1}, batch_size=_ALL, session=session
        )
        return {document["_id"]: document["members"] for document in await found.to_list(None)}

    async def interactions(
        self, profile_ids: Collection[str], session: Session | None = None
    ) -> AsyncIterator[list[tuple[str, bytes]]]:
        """(profile id, encoded Interaction) of all attributed to these ids, in no order.

        In lists, so that the history of one person need not fit into memory.
        """
        found = self._interactions.find(
            {"p": {"$in": list(profile_ids)}},
            {"_id": 0, "p": 1, "b": 1},
            batch_size=_STREAMED,
            session=session,
        )
        while chunk := await found.to_list(_STREAMED):
            yield [(document["p"], document["b"]) for document in chunk]

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


def _key(identifier: Identifier) -> str:
    return f"{identifier.type}:{identifier.value}"

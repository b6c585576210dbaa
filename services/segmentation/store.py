"""What segmentation keeps in MongoDB: the worker's side and the API's.

``people``
    ``{_id: profile_id, part, v, body, m: [{s, since, occ, def}], past: [{s, occ, at}], und,
    flip, into, applied}``: one person, with the latest ``ProfileChanged`` as it came, in
    binary, and the segments they are in (``m``) and were in before (``past``). Instants are
    microseconds since 1970.
``partitions``
    ``{_id: source id, applied, cursor, done, sizes: {segment: members}, heard: {segment:
    {version, waits}}}``: how far each partition has applied the definitions, its part of each
    segment's size, and the version of each that it goes by, with what it waits for.
``segments``
    ``{_id: key, version, body, at, published, deleted}``: the definitions, written by the API.
"""

from collections.abc import Collection
from typing import Any

import msgspec
from pymongo.errors import DuplicateKeyError

from services.runtime.commands import find
from services.runtime.mongo import (
    Database,
    DeleteOne,
    Session,
    UpdateOne,
    create_collection,
)
from services.segmentation.definitions import Stored
from services.segmentation.model import Left, Membership, Outlook, Progress, Standing
from services.segmentation.work import Saved, Write

_BY_SEGMENT = [("m.s", 1), ("_id", 1)]
_COLLECTIONS = ("people", "partitions", "segments")


async def prepare(database: Database) -> None:
    """Create the collections and indexes."""
    for name in _COLLECTIONS:
        await create_collection(database, name)
    await database["people"].create_index([("part", 1), ("_id", 1)])
    await database["people"].create_index(_BY_SEGMENT)


class People:
    """The worker's side (``handler.Store``)."""

    def __init__(self, database: Database) -> None:
        self._people = database["people"]
        self._partitions = database["partitions"]

    async def standings(
        self, session: Session, profile_ids: Collection[str]
    ) -> dict[str, Standing]:
        """How these people stand, of those that are known."""
        query = {"_id": {"$in": list(profile_ids)}}
        found = await find(self._people, query, session)
        return {document["_id"]: standing_of(document) for document in found}

    async def following(
        self, session: Session, partition: int, cursor: str, limit: int
    ) -> list[Standing]:
        """The next people of the partition, by profile id, after ``cursor``."""
        query = {"part": partition, "_id": {"$gt": cursor}}
        found = self._people.find(query, session=session).sort("_id", 1).limit(limit)
        return [standing_of(document) for document in await found.to_list(None)]

    async def progress(self, session: Session, source_ids: Collection[str]) -> dict[str, Progress]:
        """How far these partitions have applied definitions, of those that ever did."""
        query = {"_id": {"$in": list(source_ids)}, "applied": {"$exists": True}}
        return {
            document["_id"]: Progress(
                fingerprint=document["applied"], cursor=document["cursor"], done=document["done"]
            )
            for document in await find(self._partitions, query, session)
        }

    async def save(self, session: Session, saved: Saved) -> None:
        """Store everything that one turn changed."""
        people = [_write(write) for write in saved.writes]
        if people:
            await self._people.bulk_write(people, ordered=False, session=session)
        ids = sorted({*saved.progress, *saved.sizes, *saved.heard})
        partitions = [update for id_ in ids if (update := _advance(id_, saved)) is not None]
        if partitions:
            await self._partitions.bulk_write(partitions, ordered=False, session=session)


def standing_of(document: dict[str, Any]) -> Standing:
    """A document of ``people``."""
    members = (
        Membership(
            segment=item["s"],
            since=item["since"],
            occurrence=item["occ"],
            definition=item["def"],
        )
        for item in document.get("m", ())
    )
    return Standing(
        profile_id=document["_id"],
        version=document["v"],
        body=document.get("body"),
        into=document.get("into"),
        members={membership.segment: membership for membership in members},
        past={item["s"]: Left(item["occ"], item["at"]) for item in document.get("past", ())},
        undecided=tuple(document.get("und", ())),
        flip=document.get("flip"),
        applied=document.get("applied", ""),
    )


def _write(write: Write) -> UpdateOne | DeleteOne:
    standing = write.standing
    if write.gone:
        return DeleteOne({"_id": standing.profile_id})
    values: dict[str, Any] = {"applied": standing.applied}
    for name in write.fields:
        values.update(_field(name, write))
    return UpdateOne(
        {"_id": standing.profile_id},
        {"$set": values, "$setOnInsert": {"part": write.partition}},
        upsert=True,
    )


def _field(name: str, write: Write) -> dict[str, Any]:
    standing = write.standing
    match name:
        case "version":
            return {"v": standing.version}
        case "body":
            return {"body": write.body}
        case "members":
            return {"m": [_member(one) for one in standing.members.values()]}
        case "past":
            past = standing.past.items()
            return {"past": [{"s": key, "occ": one.occurrence, "at": one.at} for key, one in past]}
        case "undecided":
            return {"und": list(standing.undecided)}
        case _:
            return {name: getattr(standing, name)}


def _member(one: Membership) -> dict[str, Any]:
    return {"s": one.segment, "since": one.since, "occ": one.occurrence, "def": one.definition}


def _advance(source_id: str, saved: Saved) -> UpdateOne | None:
    update: dict[str, Any] = {}
    progress = saved.progress.get(source_id)
    if progress is not None:
        update["$set"] = {
            "applied": progress.fingerprint,
            "cursor": progress.cursor,
            "done": progress.done,
        }
    if source_id in saved.heard:
        heard = msgspec.to_builtins(saved.heard[source_id])
        update["$set"] = update.get("$set", {}) | {"heard": heard}
    sizes = {key: by for key, by in saved.sizes.get(source_id, {}).items() if by}
    if sizes:
        update["$inc"] = {f"sizes.{key}": by for key, by in sizes.items()}
    return UpdateOne({"_id": source_id}, update, upsert=True) if update else None


class Members:
    """The API's view of people, read only."""

    def __init__(self, database: Database) -> None:
        self._people = database["people"]
        self._partitions = database["partitions"]

    async def person(self, profile_id: str) -> Standing | None:
        """How the person stands; one who was merged into another has ``into``."""
        document = await self._people.find_one({"_id": profile_id})
        return None if document is None else standing_of(document)

    async def members(self, segment: str, after: str, limit: int) -> list[tuple[str, Membership]]:
        """The members of a segment by profile id, after ``after``."""
        query = {"m.s": segment, "_id": {"$gt": after}}
        found = self._people.find(query, {"m": 1, "v": 1}).sort("_id", 1).limit(limit)
        # Else a query early in the order may walk every person by `_id`.
        found = found.hint(_BY_SEGMENT)
        standings = [standing_of(document) for document in await found.to_list(None)]
        return [(one.profile_id, one.members[segment]) for one in standings]

    async def outlooks(self) -> list[Outlook]:
        """How far each partition is, of those that ever looked at definitions."""
        found = self._partitions.find({"heard": {"$exists": True}}, {"done": 1, "heard": 1})
        return [msgspec.convert(document, Outlook) for document in await found.to_list(None)]

    async def sizes(self) -> dict[str, int]:
        """How many members each segment has."""
        sizes = dict[str, int]()
        async for document in self._partitions.find({}, {"sizes": 1}):
            for segment, size in document.get("sizes", {}).items():
                sizes[segment] = sizes.get(segment, 0) + size
        return sizes


class Segments:
    """The definitions (``definitions.Catalogue``), written by the API only."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._segments = database["segments"]

    async def prepare(self) -> None:
        """Create the collections and indexes."""
        await prepare(self._database)

    async def get(self, key: str) -> Stored | None:
        """A definition, also a deleted one."""
        document = await self._segments.find_one({"_id": key})
        return None if document is None else _stored(document)

    async def page(self, after: str, limit: int) -> list[Stored]:
        """Definitions that are not deleted, by key, after ``after``."""
        query = {"_id": {"$gt": after}, "deleted": False}
        found = self._segments.find(query).sort("_id", 1).limit(limit)
        return [_stored(document) for document in await found.to_list(None)]

    async def where(self, **wanted: bool) -> list[Stored]:
        """Every definition that is ``deleted`` or ``published`` as wanted."""
        return [_stored(document) async for document in self._segments.find(dict(wanted))]

    async def put(self, stored: Stored) -> bool:
        """Store the next version; False when somebody else has stored one meanwhile."""
        fields = {
            "version": stored.version,
            "body": stored.body,
            "at": stored.at,
            "published": stored.published,
            "deleted": stored.deleted,
        }
        if stored.version == 1:
            try:
                await self._segments.insert_one({"_id": stored.key, **fields})
            except DuplicateKeyError:
                return False
            return True
        query = {"_id": stored.key, "version": stored.version - 1}
        result = await self._segments.update_one(query, {"$set": fields})
        return result.matched_count == 1

    async def published(self, stored: Stored) -> None:
        """This version was acknowledged by Kafka."""
        query = {"_id": stored.key, "version": stored.version}
        await self._segments.update_one(query, {"$set": {"published": True}})


def _stored(document: dict[str, Any]) -> Stored:
    return Stored(
        key=document["_id"],
        version=document["version"],
        body=bytes(document["body"]),
        at=document["at"],
        published=document["published"],
        deleted=document["deleted"],
    )

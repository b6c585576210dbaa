"""Dead letters in MongoDB, in the database of the service ``ingest``.

``dead_letters``: a ``Letter`` with its id as ``_id``, and ``kept``, what it costs to keep;
gone after ``expires``. ``dead_letter_counts`` ``{_id: "<day>/<source>/<topic>/<reason>", day,
source, topic, reason, stored, suppressed, dropped, expires}``: refusals by day, also of
letters that are gone. ``dead_letter_erasures`` ``{_id: hash, at, expires}``: who was erased,
so that a letter that comes in late is erased too.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from services.ingest.dead_letters.model import (
    MAX_HISTORY,
    OPEN,
    Action,
    Count,
    Filter,
    Letter,
    Tally,
)
from services.ingest.dead_letters.people import MANY
from services.runtime.mongo import Database, ReplaceOne, Session, UpdateOne, create_collection

_BY_SOURCE = [("source", 1), ("state", 1), ("at", 1), ("kept", 1)]
_CLOSED = ("erased", "dismissed", "replayed")
_MOST_MS = 5_000
_ALL = 10_000

Position = tuple[datetime, str]
"""``at`` and id of the letter that a page ended with."""


class Letters:
    """The collections. With a ``session`` a call is part of that turn's transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._letters = database["dead_letters"]
        self._counts = database["dead_letter_counts"]
        self._erasures = database["dead_letter_erasures"]

    async def prepare(self) -> None:
        """Create collections and indexes. Safe to call from several processes."""
        for name in ("dead_letters", "dead_letter_counts", "dead_letter_erasures"):
            await create_collection(self._database, name)
            await self._database[name].create_index("expires", expireAfterSeconds=0)
        await self._letters.create_index([("at", -1), ("_id", -1)])
        await self._letters.create_index(_BY_SOURCE, name="by_source")
        await self._letters.create_index("people")
        replaying = {"state": "replaying"}
        await self._letters.create_index("home", partialFilterExpression=replaying)

    # -- the worker's side (the handler's protocol) ------------------------------------------

    async def known(self, ids: Collection[str], session: Session) -> dict[str, Letter]:
        """Those of the letters that are stored."""
        found = self._letters.find({"_id": {"$in": list(ids)}}, session=session, batch_size=_ALL)
        return {one["_id"]: letter_of(one) for one in await found.to_list(None)}

    async def erasures(self, people: Collection[bytes], session: Session) -> dict[bytes, datetime]:
        """When each of these persons was erased, of those who were."""
        found = self._erasures.find({"_id": {"$in": list(people)}}, session=session)
        return {bytes(one["_id"]): one["at"] for one in await found.to_list(None)}

    async def save(self, letters: Sequence[Letter], session: Session) -> None:
        """Store letters, whether they are new or changed."""
        writes = [ReplaceOne({"_id": one.id}, document_of(one), upsert=True) for one in letters]
        await self._letters.bulk_write(writes, ordered=False, session=session)

    async def count(
        self, counts: Mapping[Tally, Count], expires: datetime, session: Session
    ) -> None:
        """Add to the counts."""
        writes = []
        for tally, count in counts.items():
            fields = msgspec.structs.asdict(tally)
            update = {
                "$inc": msgspec.structs.asdict(count),
                "$set": {"expires": expires},
                "$setOnInsert": fields,
            }
            writes.append(UpdateOne({"_id": "/".join(fields.values())}, update, upsert=True))
        await self._counts.bulk_write(writes, ordered=False, session=session)

    async def trim(
        self, sources: Collection[str], most: int, most_bytes: int, session: Session
    ) -> list[Letter]:
        """Remove the oldest letters of sources that have too many, done ones first.

        Returns those that were still open, with their bodies left out.
        """
        pipeline: list[dict[str, Any]] = [
            {"$match": {"source": {"$in": list(sources)}}},
            {"$project": {"_id": 0, "source": 1, "kept": 1}},
            {"$group": {"_id": "$source", "n": {"$sum": 1}, "bytes": {"$sum": "$kept"}}},
        ]
        dropped: list[Letter] = []
        async for one in self._letters.aggregate(pipeline, session=session, hint="by_source"):
            excess = (one["n"] - most, one["bytes"] - most_bytes)
            if max(excess) > 0:
                dropped += await self._trim(one["_id"], excess, session)
        return dropped

    async def _trim(self, source: str, excess: tuple[int, int], session: Session) -> list[Letter]:
        count, octets = excess
        gone: list[str] = []
        dropped: list[Letter] = []
        without = dict.fromkeys(("raw", "edited", "headers", "history", "people", "outputs"), 0)
        for states in (_CLOSED, OPEN):
            query = {"source": source, "state": {"$in": states}}
            found = self._letters.find(query, without, session=session).sort("at", 1)
            async for one in found:
                if count <= 0 and octets <= 0:
                    break
                gone.append(one["_id"])
                count, octets = count - 1, octets - one["kept"]
                if states is OPEN:
                    dropped.append(letter_of({**one, "raw": None}))
        await self._letters.delete_many({"_id": {"$in": gone}}, session=session)
        return dropped

    async def requested(self, homes: Collection[str], most: int, session: Session) -> list[Letter]:
        """Letters of these partitions that are to be replayed."""
        query = {"state": "replaying", "home": {"$in": list(homes)}}
        found = self._letters.find(query, session=session).limit(most)
        return [letter_of(one) for one in await found.to_list(None)]

    async def waiting(self) -> list[str]:
        """The homes of the letters that are to be replayed."""
        return list(await self._letters.distinct("home", {"state": "replaying"}))

    # -- the API's side ----------------------------------------------------------------------

    async def get(self, id_: str) -> Letter | None:
        """One letter."""
        found = await self._letters.find_one({"_id": id_}, max_time_ms=_MOST_MS)
        return None if found is None else letter_of(found)

    async def change(self, letter: Letter) -> bool:
        """Store the next version; False when somebody else has stored one meanwhile."""
        query = {"_id": letter.id, "version": letter.version - 1}
        result = await self._letters.replace_one(query, document_of(letter))
        return result.matched_count == 1

    async def page(self, wanted: Filter, limit: int, after: Position | None) -> list[Letter]:
        """The latest letters, newest first."""
        query = _query(wanted)
        if after is not None:
            at, id_ = after
            beyond = [{"at": {"$lt": at}}, {"at": at, "_id": {"$lt": id_}}]
            query = {"$and": [query, {"$or": beyond}]}
        found = self._letters.find(query, max_time_ms=_MOST_MS)
        found = found.sort([("at", -1), ("_id", -1)]).limit(limit)
        return [letter_of(one) for one in await found.to_list(None)]

    async def dismiss(self, wanted: Filter, action: Action) -> int:
        """What ``life.dismissed`` does, to all of these at once; returns how many they were."""
        deed = msgspec.to_builtins(action, builtin_types=(datetime,))
        change = {
            "$set": {"state": "dismissed"},
            "$inc": {"version": 1},
            "$push": {"history": {"$each": [deed], "$slice": -MAX_HISTORY}},
        }
        return int((await self._letters.update_many(_query(wanted), change)).modified_count)

    async def states(self, wanted: Filter) -> dict[str, int]:
        """How many letters are in each state."""
        pipeline: list[dict[str, Any]] = [
            {"$match": _query(wanted)},
            {"$group": {"_id": "$state", "n": {"$sum": 1}}},
        ]
        found = self._letters.aggregate(pipeline, maxTimeMS=_MOST_MS)
        return {one["_id"]: one["n"] async for one in found}

    async def counts(self, wanted: Filter) -> dict[Tally, Count]:
        """Refusals by day (of ``start`` and ``end``), source, topic and reason."""
        query: dict[str, Any] = {
            name: value
            for name in ("source", "topic", "reason")
            if (value := getattr(wanted, name))
        }
        days = {
            bound: instant.date().isoformat()
            for bound, instant in (("$gte", wanted.start), ("$lte", wanted.end))
            if instant is not None
        }
        if days:
            query["day"] = days
        found = self._counts.find(query, max_time_ms=_MOST_MS).sort("_id", 1)
        return {
            msgspec.convert(one, Tally): msgspec.convert(one, Count)
            for one in await found.to_list(None)
        }

    async def naming(self, people: Collection[bytes]) -> list[Letter]:
        """Letters that name any of these persons, and those that may since they name many."""
        found = self._letters.find({"people": {"$in": [*people, MANY]}})
        return [letter_of(one) async for one in found]

    async def erase_later(self, people: Collection[bytes], at: datetime, until: datetime) -> None:
        """Have letters of these persons erased that were refused by now and come later."""
        writes = [
            UpdateOne({"_id": one}, {"$set": {"at": at, "expires": until}}, upsert=True)
            for one in people
        ]
        await self._erasures.bulk_write(writes, ordered=False)


def _query(wanted: Filter) -> dict[str, Any]:
    query: dict[str, Any] = {
        name: value for name in ("source", "topic", "reason") if (value := getattr(wanted, name))
    }
    if wanted.states:
        query["state"] = {"$in": list(wanted.states)}
    times = {
        bound: instant
        for bound, instant in (("$gte", wanted.start), ("$lt", wanted.end))
        if instant is not None
    }
    if times:
        query["at"] = times
    if wanted.text:
        within = {"$regex": re.escape(wanted.text), "$options": "i"}
        query["$or"] = [{"name": within}, {"message_id": within}, {"_id": wanted.text}]
    return query


def document_of(letter: Letter) -> dict[str, Any]:
    """A letter as it is stored."""
    document = msgspec.to_builtins(letter, builtin_types=(bytes, datetime))
    document["_id"] = document.pop("id")
    document["kept"] = letter.kept
    return dict(document)


def letter_of(document: dict[str, Any]) -> Letter:
    """A document of ``dead_letters``."""
    return msgspec.convert({**document, "id": document["_id"]}, Letter)

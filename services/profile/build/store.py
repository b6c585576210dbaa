"""Profiles in MongoDB: one binary value each, and a few fields to find them by.

``profiles`` ``{_id: profile_id, p: partition of profile.interactions, v: version, i: the
survivor's id (redirects only), f: fingerprint of its computed traits, e: email, u: user id,
n: name (each lower case, missing where unknown), s: the minute of last seen, r: fingerprint of
the exchange rates that its orders were valued at (only where there are orders), x: it was
rearranged once (only then), l: it is too large for this layout (only then), b: the encoded
``Kept``}``; ``documents`` says under which name that stands in another layout.
A redirect stays for ever and has neither ``f`` nor ``s``.
"""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from services.profile.build import documents
from services.profile.build.changes import Row
from services.profile.build.kept import Kept
from services.profile.build.sweep_store import SweepStore
from services.profile.resolve.store import IdentityStore
from services.runtime.commands import Change, find, update
from services.runtime.mongo import Database, PyMongoError, Session, create_collection

_MESSAGE_BYTES = 15_000_000
"""Of states written at once: a command holds 16 MB."""
_PAGES = {"wiredTiger": {"configString": "leaf_page_max=16KB"}}
"""Half of what is usual: who is written next lies elsewhere, and pages are written whole. Among a
million people half as much is written so; smaller ones are hardly compressed any more."""
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)
"""The ``s`` of a person who has done nothing themselves."""
_FORMER_INDEXES = {"by_e", "by_u", "by_n", "stale"}
"""Of earlier versions."""
_UNVALUED = "="
"""The ``r`` of orders that were stored while no base currency was set."""


class ProfileStore(SweepStore):
    """The store of build; the API reads it."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._database = database
        self._profiles = database["profiles"]

    async def prepare(self) -> None:
        """Create the collection and its indexes. Safe to call from several processes."""
        await super().prepare()
        await self.create()
        await self._profiles.create_index([("p", 1), ("_id", 1)], name="swept")
        await self._profiles.create_index(
            [("p", 1), ("r", 1)], name="rates", partialFilterExpression={"r": {"$exists": True}}
        )
        await self._profiles.create_index([("s", -1), ("_id", 1)], name="seen", sparse=True)
        # One for the three: what moves anything in an index pays for each that there is.
        found_by = dict.fromkeys(("e", "u", "n"), 1)
        await self._profiles.create_index("$**", name="found", wildcardProjection=found_by)
        for former in (await self._profiles.index_information()).keys() & _FORMER_INDEXES:
            with suppress(PyMongoError):  # Another process has dropped it, or will.
                await self._profiles.drop_index(former)

    async def create(self) -> None:
        """Create the collection alone, for who has many profiles to put there first."""
        await create_collection(self._database, "profiles", storageEngine=_PAGES)

    # -- the handler's protocol --------------------------------------------------------------

    async def load(self, profile_ids: Sequence[str], session: Session | None) -> dict[str, Kept]:
        """The states that exist, by profile id."""
        # One alone is found without a plan.
        wanted = {"_id": profile_ids[0] if len(profile_ids) == 1 else {"$in": list(profile_ids)}}
        found = await find(self._profiles, wanted, session, documents.projection())
        return {document["_id"]: documents.kept_of(document) for document in found}

    async def save(self, rows: Sequence[Row], session: Session) -> None:
        """Write states, whether they existed or not."""
        size, some = 0, list[Change]()
        for row in rows:
            size += len(row.stored)
            if size > _MESSAGE_BYTES:
                await update(self._profiles, some, session, upsert=True)
                size, some = len(row.stored), []
            some.append(({"_id": row.profile_id}, _update(row)))
        await update(self._profiles, some, session, upsert=True)

    async def valued_otherwise(
        self, partition: int, rates: tuple[str, str], limit: int, session: Session
    ) -> list[str]:
        """Some profiles of a partition whose orders are valued at none of ``rates``."""
        others = {"r": {"$gt": "", "$nin": list(rates)}}
        found = self._profiles.find({"p": partition, **others}, {"_id": 1}, session=session)
        return [document["_id"] for document in await found.limit(limit).to_list(None)]

    # -- what the API reads ------------------------------------------------------------------

    async def profiles(self, profile_ids: Iterable[str]) -> dict[str, tuple[str, Kept]]:
        """By each id that is known: the profile, or the one that absorbed it, as (its id, kept)."""
        asked = list(profile_ids)
        known, ahead = dict[str, Kept](), set(asked)
        while ahead:
            read = await self.load(list(ahead), None)
            known |= read
            ahead = {kept.into for kept in read.values() if kept.into is not None} - known.keys()
        return {id_: at for id_ in asked if (at := _survivor(id_, known)) is not None}

    async def listed(
        self, prefix: str, limit: int, after: tuple[datetime, str] | None
    ) -> list[tuple[str, Kept, datetime]]:
        """(profile id, kept, position) of up to ``limit`` profiles, the last seen first.

        ``prefix`` is what an email, user id or name begins with, in lower case; empty: all.
        ``after`` is the position and id of the last one that was seen.
        """
        wanted: list[dict[str, Any]] = [{"s": {"$gte": _NEVER}}, documents.readable()]
        if prefix:
            span = {"$gte": prefix, "$lt": prefix + "\U0010ffff"}
            wanted.append({"$or": [{field: span} for field in ("e", "u", "n")]})
        if after is not None:
            at, profile_id = after
            later_on = [{"s": {"$lt": at}}, {"s": at, "_id": {"$gt": profile_id}}]
            wanted.append({"$or": later_on})
        shown = {**documents.projection(), "s": 1}
        found = self._profiles.find({"$and": wanted}, shown).max_time_ms(5_000)
        found = found.sort([("s", -1), ("_id", 1)]).limit(limit)
        return [
            (document["_id"], documents.kept_of(document), document["s"])
            for document in await found.to_list(None)
        ]


def _survivor(profile_id: str, known: Mapping[str, Kept]) -> tuple[str, Kept] | None:
    """Where a profile id leads; None for nobody.

    The partition of one may have heard of a merge, and that of the other not yet of the one
    that it takes back: then both name each other for a moment, and lead nowhere.
    """
    kept, seen = known.get(profile_id), set[str]()
    while kept is not None and kept.into is not None:
        seen.add(profile_id)
        profile_id = kept.into
        kept = None if profile_id in seen else known.get(profile_id)
    return None if kept is None else (profile_id, kept)


def _update(row: Row) -> dict[str, Any]:
    if row.into is not None:
        gone = dict.fromkeys(("p", "f", "e", "u", "n", "s", "r", *documents.OLDER), "")
        values: dict[str, Any] = {"v": row.version, "i": row.into}
        values[documents.STATE] = row.stored
        return {"$set": values, "$unset": gone}
    values = {
        "p": row.partition,
        "v": row.version,
        "f": row.fingerprint,
        "s": _minute(row.last_seen),
    }
    unknown = dict.fromkeys(documents.OLDER, "")
    if row.stored:
        values[documents.STATE] = row.stored
    else:
        values["l"] = documents.STATE
    if row.rearranged:
        values["x"] = True
    if row.rates is not None:
        values["r"] = row.rates or _UNVALUED
    if (search := row.search) is not None:
        for field, value in (("e", search.email), ("u", search.user_id), ("n", search.name)):
            if value:
                values[field] = value
            elif row.version > 1:  # Before that nothing was told of them.
                unknown[field] = ""
    return {"$set": values, "$unset": unknown} if unknown else {"$set": values}


def _minute(last_seen: datetime | None) -> datetime:
    """Where a person stands among those seen last.

    No more exact than people look at lists: an update that moves nothing in any index costs the
    server half, and most follow another within the minute.
    """
    return _NEVER if last_seen is None else last_seen.replace(second=0, microsecond=0)


class HistoryStore:
    """What resolve has stored, as the rebuild reads it."""

    def __init__(self, database: Database, identities: IdentityStore, group: str) -> None:
        self._checkpoints = database["checkpoints"]
        self._identities = identities
        self._group = group

    async def fates(
        self, profile_ids: Sequence[str], session: Session
    ) -> dict[str, tuple[str | None, list[str]]]:
        """(where it went, its former profile ids) of each."""
        return await self._identities.fates(profile_ids, session)

    async def vector(self, session: Session) -> dict[str, int]:
        """The ``seq`` of each of resolve's checkpoints, by its id."""
        ours = {"$gte": f"{self._group}/", "$lt": f"{self._group}0"}  # "0" follows "/"
        found = await find(self._checkpoints, {"_id": ours}, session, {"seq": 1})
        return {document["_id"]: document.get("seq", 0) for document in found}

    async def interactions(
        self, profile_ids: Sequence[str], session: Session
    ) -> AsyncIterator[list[tuple[str, bytes]]]:
        """(profile id, encoded interaction), in lists; see ``rebuild.History``."""
        async for chunk in self._identities.interactions(profile_ids, session):
            yield chunk
        async for chunk in self._identities.handed(profile_ids, session):
            yield chunk

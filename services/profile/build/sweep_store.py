"""What is kept of sweeps, in MongoDB.

``sweeps`` ``{_id: source id, p: partition, fingerprint, generation, done, has, cursor}``
(``sweep.Progress``); ``compositions`` ``{_id: fingerprint, ...}``
(``rules.computed.Composition``); ``readiness`` ``{_id: computed trait key, digest, at}``.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

from schemas.topics import PROFILE_PARTITIONS
from services.profile.build.readiness import Ready
from services.profile.build.rules.computed import Composition
from services.profile.build.sweep import Progress
from services.runtime.mongo import Database, Session, create_collection
from services.runtime.turn import Source

_PARTITIONS = list(range(PROFILE_PARTITIONS))
_LOOKED = 10
"""How many times the limit is looked at in one turn, where nobody is behind."""


class Coverage(Struct, frozen=True):
    """How many profiles are up to some definitions, of how many."""

    done: int
    of: int


class SweepStore:
    """The part of build's store that is about definitions and who has them."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._profiles = database["profiles"]
        self._sweeps = database["sweeps"]
        self._compositions = database["compositions"]
        self._readiness = database["readiness"]

    async def prepare(self) -> None:
        """Create the collections. Safe to call from several processes."""
        for name in ("sweeps", "compositions", "readiness"):
            await create_collection(self._database, name)

    # -- the handler's protocol --------------------------------------------------------------

    async def stale(
        self, partition: int, behind: tuple[str, str], limit: int, session: Session
    ) -> tuple[list[str], str]:
        """The next profiles of a partition that were computed with other definitions.

        By their ids: the fingerprint is in no index, or whoever brings a profile up to date would
        move it there. What has none is a redirect.
        """
        fingerprint, cursor = behind
        others = {"p": partition, "_id": {"$gt": cursor}}
        found = self._profiles.find(others, {"f": 1}, batch_size=limit, session=session)
        found = found.sort("_id", 1).limit(_LOOKED * limit)
        while chunk := await found.to_list(limit):
            cursor = chunk[-1]["_id"]
            stale = [one["_id"] for one in chunk if one.get("f", fingerprint) != fingerprint]
            if stale:
                await found.close()
                return stale, cursor
        return [], cursor if cursor != behind[1] else ""

    async def progress(self, source_id: str, session: Session) -> Progress | None:
        """How far the sweep of a partition is."""
        document = await self._sweeps.find_one({"_id": source_id}, session=session)
        return None if document is None else _progress(document)

    async def proceed(self, source: Source, progress: Progress, session: Session) -> None:
        """Keep how far the sweep of a partition is."""
        await self._sweeps.update_one(
            {"_id": source.id},
            {"$set": {"p": source.partition, **msgspec.to_builtins(progress)}},
            upsert=True,
            session=session,
        )

    async def compose(self, composition: Composition, session: Session) -> None:
        """Keep what a fingerprint stands for."""
        values = msgspec.to_builtins(composition)
        await self._compositions.update_one(
            {"_id": composition.fingerprint},
            {"$setOnInsert": values},
            upsert=True,
            session=session,
        )

    async def composition(self, fingerprint: str, session: Session) -> Composition | None:
        """What a fingerprint stands for, if it is known."""
        found = await self._compositions.find_one({"_id": fingerprint}, session=session)
        if found is None:
            return None
        return Composition(**{name: found[name] for name in Composition.__struct_fields__})

    # -- who has what ------------------------------------------------------------------------

    async def all_progress(self) -> list[Progress]:
        """How far each partition is."""
        return [_progress(document) for document in await self._sweeps.find({}).to_list(None)]

    async def coverage(
        self, fingerprints: Collection[str], trait: tuple[str, str] | None = None
    ) -> Coverage:
        """How many profiles the sweeps for one of these fingerprints have seen to.

        Where a sweep is for others, all or none: whether every profile of its partition has
        ``trait``, a computed trait's key and digest.
        """
        done = 0
        for document in await self._sweeps.find({}).to_list(None):
            one, seen_to = _progress(document), {"p": document["p"]}
            ours = one.fingerprint in fingerprints
            whole = (ours and one.done) or (trait is not None and one.has.get(trait[0]) == trait[1])
            if not whole:
                seen_to["_id"] = {"$lte": one.cursor}
            if ours or whole:
                done += await self._profiles.count_documents(seen_to)
        of = await self._profiles.count_documents({"p": {"$in": _PARTITIONS}})
        return Coverage(min(done, of), of)

    async def following(self, after: str, limit: int) -> list[str]:
        """The next profiles by id, without redirects."""
        found = self._profiles.find({"_id": {"$gt": after}, "f": {"$gt": ""}}, {"_id": 1})
        documents = await found.sort("_id", 1).limit(limit).to_list(None)
        return [document["_id"] for document in documents]

    async def having(self, key: str, digest: str) -> list[str]:
        """The fingerprints of profiles that have this computed trait."""
        found = self._compositions.find({f"digests.{key}": digest}, {"_id": 1})
        return [document["_id"] for document in await found.to_list(None)]

    async def ready(self) -> dict[str, Ready]:
        """The computed traits that are ready, by key."""
        found = await self._readiness.find({}).to_list(None)
        return {one["_id"]: Ready(one["_id"], one["digest"], one["at"]) for one in found}

    async def mark_ready(self, ready: Ready) -> None:
        """Keep that a trait is ready."""
        values: dict[str, str | datetime] = {"digest": ready.digest, "at": ready.at}
        await self._readiness.update_one({"_id": ready.key}, {"$set": values}, upsert=True)

    async def forget_ready(self, key: str) -> None:
        """The trait is not defined any more."""
        await self._readiness.delete_one({"_id": key})


def _progress(document: dict[str, Any]) -> Progress:
    known = {name: document[name] for name in Progress.__struct_fields__ if name in document}
    return Progress(**known)

"""Consent in MongoDB: resolve's interactions that speak of it, and what support recorded.

Reads ``interactions`` by the mark ``c`` (see resolve's store). Owns ``consent_requests``
``{_id: digest of an Idempotency-Key, d: digest of what was asked, b: the event, k: its key on
the topic, at}``, each kept for 30 days.
"""

from collections.abc import AsyncIterator, Collection
from datetime import datetime
from typing import Any

from msgspec import Struct
from pymongo import ASCENDING, DESCENDING

from services.runtime.mongo import Database, create_collection

_BATCH = 500
_KEPT_SECONDS = 30 * 86_400


class Spoken(Struct):
    """An interaction that speaks of consent: where a page can go on, and its encoded body."""

    at: datetime
    interaction_id: str
    body: bytes


class Asked(Struct):
    """A request to record a statement, as it was first made."""

    request: str
    key: str
    event: bytes


class ConsentStore:
    """What the API reads and keeps of consent."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._interactions = database["interactions"]
        self._requests = database["consent_requests"]

    async def prepare(self) -> None:
        """Create the collection and its index. Safe to call from several processes."""
        await create_collection(self._database, "consent_requests")
        await self._requests.create_index("at", expireAfterSeconds=_KEPT_SECONDS)

    async def spoken(
        self,
        profile_ids: Collection[str],
        until: datetime | None = None,
        after: tuple[datetime, str] | None = None,
        *,
        everything: bool = False,
    ) -> AsyncIterator[Spoken]:
        """Interactions of these profile ids, valid at ``until``, the newest first.

        Those that speak of consent, or with ``everything`` all of them.

        Times are exact to the millisecond here; equal ones go by id. ``after``: the last that
        was seen.
        """
        wanted: dict[str, Any] = {"p": {"$in": list(profile_ids)}}
        if not everything:
            wanted["c"] = True
        before = min((at for at in (until, after and after[0]) if at is not None), default=None)
        if before is not None:
            wanted["t"] = {"$lte": before}
        if after is not None:
            at, interaction_id = after
            wanted["$or"] = [{"t": {"$lt": at}}, {"_id": {"$gt": interaction_id}}]
        found = self._interactions.find(wanted, {"t": 1, "b": 1}, batch_size=_BATCH)
        found = found.sort([("t", DESCENDING), ("_id", ASCENDING)])
        async for document in found:
            yield Spoken(document["t"], document["_id"], document["b"])

    async def interaction(self, interaction_id: str) -> bytes | None:
        """The body of one interaction."""
        document = await self._interactions.find_one({"_id": interaction_id}, {"b": 1})
        return None if document is None else bytes(document["b"])

    async def first(self, id_: str, asked: Asked, now: datetime) -> Asked:
        """Keep this request, unless there is one by this id: what is kept."""
        document = await self._requests.find_one_and_update(
            {"_id": id_},
            {"$setOnInsert": {"d": asked.request, "k": asked.key, "b": asked.event, "at": now}},
            upsert=True,
            return_document=True,
        )
        assert document is not None  # upserted
        return Asked(document["d"], document["k"], document["b"])

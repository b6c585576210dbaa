"""What ingest keeps of its sources in MongoDB (database ``ingest``).

``sources``
    ``{_id: name, version, at, body, deleted, published}``: the sources as they were last
    changed; ``body`` is ``model.Source`` as JSON, in binary. Write keys are hashed in it and
    secrets sealed.
"""

import msgspec

from services.ingest.sources.model import Source
from services.ingest.sources.register import Stored
from services.runtime.mongo import Database, Document, PyMongoError, conflict

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Source).decode


class Sources:
    """The stored sources (``register.Shelf``)."""

    def __init__(self, database: Database) -> None:
        self._sources = database["sources"]

    async def get(self, name: str) -> Stored | None:
        """A source, or what is left of a deleted one."""
        document = await self._sources.find_one({"_id": name})
        return None if document is None else _stored(document)

    async def all(self) -> list[Stored]:
        """Every source that is not deleted."""
        return [_stored(one) async for one in self._sources.find({"deleted": False}).sort("_id")]

    async def unpublished(self) -> list[Stored]:
        """Those that a crash, or a broker that was away, left unpublished."""
        return [_stored(one) async for one in self._sources.find({"published": False})]

    async def put(self, stored: Stored) -> bool:
        """Store a new version; False when the one before it is not what is there."""
        document = {
            "version": stored.version,
            "at": stored.at,
            "body": None if stored.source is None else _encode(stored.source),
            "deleted": stored.source is None,
            "published": False,
        }
        if stored.version > 1:
            query = {"_id": stored.name, "version": stored.version - 1}
            result = await self._sources.replace_one(query, document)
            return result.matched_count == 1
        try:
            await self._sources.insert_one({"_id": stored.name, **document})
        except PyMongoError as error:
            if conflict(error):
                return False
            raise
        return True

    async def published(self, stored: Stored) -> None:
        """Flag this version, if it is still the latest."""
        query = {"_id": stored.name, "version": stored.version}
        await self._sources.update_one(query, {"$set": {"published": True}})


def _stored(document: Document) -> Stored:
    return Stored(
        name=document["_id"],
        version=document["version"],
        at=document["at"],
        source=None if document["body"] is None else _decode(document["body"]),
        published=document["published"],
    )

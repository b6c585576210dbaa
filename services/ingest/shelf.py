"""Definitions on MongoDB (``register.Shelf``): one collection for each kind.

``{_id: name, version, at, body, former, deleted, published}``; ``body``, and ``former`` of a
deleted one, is the definition's Struct as JSON, in binary.
"""

from typing import Any, Generic, TypeVar

import msgspec

from services.ingest.register import Stored
from services.runtime.mongo import Document, PyMongoError, conflict

T = TypeVar("T", bound=msgspec.Struct)
_encode = msgspec.json.Encoder().encode


class Definitions(Generic[T]):
    """The stored definitions of one kind."""

    def __init__(self, collection: Any, kind: type[T]) -> None:
        self._kept = collection
        self._decoder = msgspec.json.Decoder(kind)

    async def get(self, name: str) -> Stored[T] | None:
        """A definition, or what is left of a deleted one."""
        document = await self._kept.find_one({"_id": name})
        return None if document is None else self._stored(document)

    async def all(self) -> list[Stored[T]]:
        """Every definition that is not deleted, by name."""
        found = self._kept.find({"deleted": False}).sort("_id")
        return [self._stored(one) async for one in found]

    async def unpublished(self) -> list[Stored[T]]:
        """Those that a crash, or a broker that was away, left unpublished."""
        return [self._stored(one) async for one in self._kept.find({"published": False})]

    async def put(self, stored: Stored[T]) -> bool:
        """Store a new version; False when the one before it is not what is there."""
        document = {
            "version": stored.version,
            "at": stored.at,
            "body": None if stored.body is None else _encode(stored.body),
            "former": None if stored.former is None else _encode(stored.former),
            "deleted": stored.body is None,
            "published": False,
        }
        if stored.version > 1:
            query = {"_id": stored.name, "version": stored.version - 1}
            result = await self._kept.replace_one(query, document)
            return bool(result.matched_count == 1)
        try:
            await self._kept.insert_one({"_id": stored.name, **document})
        except PyMongoError as error:
            if conflict(error):
                return False
            raise
        return True

    async def published(self, stored: Stored[T]) -> None:
        """Flag this version, if it is still the latest."""
        query = {"_id": stored.name, "version": stored.version}
        await self._kept.update_one(query, {"$set": {"published": True}})

    def _stored(self, document: Document) -> Stored[T]:
        return Stored[T](
            name=document["_id"],
            version=document["version"],
            at=document["at"],
            body=self._decoded(document["body"]),
            former=self._decoded(document.get("former")),
            published=document["published"],
        )

    def _decoded(self, body: bytes | None) -> T | None:
        return None if body is None else self._decoder.decode(body)

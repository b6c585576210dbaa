"""Declared traits in MongoDB, computed ones and the sources of others."""

from datetime import datetime
from typing import Any, Literal

from schemas.messages import Definition
from services.runtime.mongo import Database, create_collection

Kind = Literal["computed_trait", "trait"]
_COLLECTIONS: dict[Kind, str] = {"computed_trait": "definitions", "trait": "trait_sources"}


class DefinitionStore:
    """Definitions of one kind as they were put: ``{_id: name, version, updated_at, body,
    published}``.

    Stored before they are published, so that none is lost between the two: what is not
    marked as published is published again at the next start.
    """

    def __init__(self, database: Database, kind: Kind = "computed_trait") -> None:
        self._database = database
        self._kind = kind
        self._name = _COLLECTIONS[kind]
        self._definitions = database[self._name]

    async def prepare(self) -> None:
        """Create the collection."""
        await create_collection(self._database, self._name)

    async def get(self, key: str) -> Definition | None:
        """One definition."""
        document = await self._definitions.find_one({"_id": key})
        return None if document is None else self._definition(document)

    async def all(self) -> list[Definition]:
        """Every definition, by name."""
        found = self._definitions.find({}).sort("_id", 1)
        return [self._definition(document) for document in await found.to_list(None)]

    async def put(self, key: str, body: dict[str, Any], now: datetime) -> Definition:
        """Store a new version; the same body again keeps the version there is."""
        document = await self._definitions.find_one({"_id": key, "body": body})
        if document is None:
            document = await self._definitions.find_one_and_update(
                {"_id": key},
                {
                    "$set": {"body": body, "updated_at": now, "published": False},
                    "$inc": {"version": 1},
                },
                upsert=True,
                return_document=True,
            )
        assert document is not None  # upserted
        return self._definition(document)

    async def published(self, definition: Definition) -> None:
        """Mark this version as published."""
        await self._definitions.update_one(
            {"_id": definition.name, "version": definition.version}, {"$set": {"published": True}}
        )

    async def unpublished(self) -> list[Definition]:
        """What was stored, and perhaps not published."""
        found = self._definitions.find({"published": False})
        return [self._definition(document) for document in await found.to_list(None)]

    def _definition(self, document: dict[str, Any]) -> Definition:
        return Definition(
            kind=self._kind,
            name=document["_id"],
            version=document["version"],
            updated_at=document["updated_at"],
            body=document["body"],
        )

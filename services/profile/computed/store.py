"""Declared traits in MongoDB, computed ones and the sources of others."""

from datetime import datetime
from typing import Any, Literal

from msgspec import Struct

from schemas.messages import Definition
from services.runtime.mongo import Database, create_collection

Kind = Literal["computed_trait", "trait", "rates"]
_COLLECTIONS: dict[Kind, str] = {
    "computed_trait": "definitions",
    "trait": "trait_sources",
    "rates": "rates",
}


class Stored(Struct, frozen=True):
    """A definition as it is stored."""

    definition: Definition
    deleted: bool

    @property
    def name(self) -> str:
        """The definition's."""
        return self.definition.name


_STANDING = {"deleted": {"$ne": True}}


class DefinitionStore:
    """Definitions of one kind as they were put.

    ``{_id: name, version, updated_at, body, published, deleted}``. Stored before
    they are published, so that none is lost between the two: what is not marked as published
    is published again at the next start. Deleted ones stay, so that versions go on rising.
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
        found = await self.latest(key)
        return None if found is None or found.deleted else found.definition

    async def latest(self, key: str) -> Stored | None:
        """One definition, also when it was deleted."""
        document = await self._definitions.find_one({"_id": key})
        return None if document is None else self._stored(document)

    async def all(self) -> list[Definition]:
        """Every definition, by name."""
        found = self._definitions.find(_STANDING).sort("_id", 1)
        return [self._stored(document).definition for document in await found.to_list(None)]

    async def put(self, key: str, body: dict[str, Any], now: datetime) -> Stored:
        """Store a new version; the same body again keeps the version there is."""
        document = await self._definitions.find_one({"_id": key, "body": body, **_STANDING})
        if document is None:
            change = {"body": body, "updated_at": now, "published": False, "deleted": False}
            document = await self._definitions.find_one_and_update(
                {"_id": key},
                {"$set": change, "$inc": {"version": 1}},
                upsert=True,
                return_document=True,
            )
        assert document is not None  # upserted
        return self._stored(document)

    async def delete(self, key: str, now: datetime) -> Stored | None:
        """Mark it as deleted, by a new version; None if there is none."""
        change = {"updated_at": now, "published": False, "deleted": True}
        document = await self._definitions.find_one_and_update(
            {"_id": key, **_STANDING},
            {"$set": change, "$inc": {"version": 1}},
            return_document=True,
        )
        return None if document is None else self._stored(document)

    async def published(self, definition: Definition) -> None:
        """Mark this version as published."""
        await self._definitions.update_one(
            {"_id": definition.name, "version": definition.version}, {"$set": {"published": True}}
        )

    async def unpublished(self) -> list[Stored]:
        """What was stored, and perhaps not published."""
        found = self._definitions.find({"published": False})
        return [self._stored(document) for document in await found.to_list(None)]

    def _stored(self, document: dict[str, Any]) -> Stored:
        definition = Definition(
            kind=self._kind,
            name=document["_id"],
            version=document["version"],
            updated_at=document["updated_at"],
            body=document["body"],
        )
        return Stored(definition, bool(document.get("deleted")))

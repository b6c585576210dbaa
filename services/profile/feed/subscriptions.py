"""Subscriptions as the API keeps and shows them: the same collections as ``store.Ledger``.

The API takes no part in turns. What it changes is one document, and then the revision, by
which the worker learns of it.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

from services.profile.feed.model import Entry, Health, Subscription
from services.profile.feed.store import REVISION, Ledger, subscription_of
from services.runtime.mongo import Database


class Standing(Struct, kw_only=True):
    """How a subscription is doing."""

    waiting: int = 0
    """Deliveries on their way."""
    behind: int = 0
    """Partitions in which it has yet to catch up."""
    last_success_at: datetime | None = None
    failing_since: datetime | None = None


class Subscriptions:
    """The API's side of the webhooks' collections."""

    def __init__(self, database: Database) -> None:
        self._subscriptions = database["subscriptions"]
        self._lanes = database["lanes"]
        self._deliveries = database["deliveries"]
        self._endpoints = database["endpoints"]
        self._ledger = Ledger(database)

    async def all(self) -> list[Subscription]:
        """Every subscription, the oldest first."""
        return sorted(await self._ledger.subscriptions(), key=lambda one: (one.created_at, one.id))

    async def get(self, id_: str) -> Subscription | None:
        """One of them."""
        if id_ == REVISION:
            return None
        document = await self._subscriptions.find_one({"_id": id_})
        return None if document is None else subscription_of(document)

    async def add(self, subscription: Subscription) -> None:
        """A new one."""
        document = msgspec.to_builtins(subscription, builtin_types=(datetime,))
        await self._subscriptions.insert_one({"_id": document.pop("id"), **document})
        await self._changed()

    async def change(self, id_: str, values: Mapping[str, Any]) -> Subscription | None:
        """Set fields of one; None if there is none."""
        return await self._update(id_, {"$set": dict(values)})

    async def move(self, id_: str, since: datetime) -> Subscription | None:
        """Have one go on from another point in time; None if there is none."""
        return await self._update(id_, {"$set": {"since": since}, "$inc": {"moves": 1}})

    async def remove(self, id_: str) -> bool:
        """Delete one and its log; the worker deletes what is on its way."""
        if id_ == REVISION:
            return False
        result = await self._subscriptions.delete_one({"_id": id_})
        await self._endpoints.delete_one({"_id": id_})
        await self._changed()
        return bool(result.deleted_count)

    async def standings(self) -> dict[str, Standing]:
        """How each of them is doing, by id; one that nothing is known of is left out."""
        found: dict[str, Standing] = {}
        for name, count in (("waiting", self._deliveries), ("behind", self._lanes)):
            match = {"behind": True} if name == "behind" else {}
            groups = count.aggregate(
                [{"$match": match}, {"$group": {"_id": "$s", "n": {"$sum": 1}}}]
            )
            for group in await groups.to_list(None):
                setattr(found.setdefault(group["_id"], Standing()), name, group["n"])
        for document in await self._endpoints.find({}, {"log": 0}).to_list(None):
            standing = found.setdefault(document["_id"], Standing())
            standing.last_success_at = document.get("last_success_at")
            standing.failing_since = document.get("failing_since")
        return found

    async def health(self, id_: str) -> Health:
        """The log of one, the latest attempt first."""
        return await self._ledger.health(id_)

    async def note(self, id_: str, entry: Entry) -> None:
        """Add an attempt of the API's own to the log."""
        await self._ledger.note(id_, [entry])

    async def _update(self, id_: str, change: dict[str, Any]) -> Subscription | None:
        if id_ == REVISION:
            return None
        document = await self._subscriptions.find_one_and_update(
            {"_id": id_}, change, return_document=True
        )
        await self._changed()
        return None if document is None else subscription_of(document)

    async def _changed(self) -> None:
        await self._subscriptions.update_one({"_id": REVISION}, {"$inc": {"n": 1}}, upsert=True)

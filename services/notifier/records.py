"""What the API keeps and reads: campaigns, pages of the ledger, unsubscribes.

The same collections as ``store.Ledger``. The API never takes part in a turn: what it
changes in the ledger it changes by one conditional update, which a turn that works on the
same message notices (its transaction is tried again).
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from services.notifier import rules
from services.notifier.confirmation import KEY, same
from services.notifier.model import CampaignDocument, Confirmed, Entry, Suppression
from services.notifier.store import entry_of, fields_of, suppress
from services.runtime.mongo import Database

_PENDING_PUBLICATIONS = 1_000
_ASKED = 100
"""Of one person; more are asked for at other addresses."""


class Records:
    """The API's side of the notifier's database."""

    def __init__(self, database: Database) -> None:
        self._campaigns = database["campaigns"]
        self._messages = database["messages"]
        self._suppressions = database["suppressions"]

    # -- campaigns -----------------------------------------------------------------------

    async def campaign(self, key: str) -> CampaignDocument | None:
        """A campaign as last put; ``body`` None when it was deleted."""
        document = await self._campaigns.find_one({"_id": key})
        return None if document is None else _campaign(document)

    async def campaigns(self, after: str, limit: int) -> list[CampaignDocument]:
        """Campaigns that exist, by key, from the one behind ``after``."""
        query = {"_id": {"$gt": after}, "body": {"$ne": None}}
        cursor = self._campaigns.find(query).sort("_id", 1).limit(limit)
        return [_campaign(document) async for document in cursor]

    async def put_campaign(
        self, key: str, body: Mapping[str, Any] | None, now: datetime
    ) -> CampaignDocument:
        """Store the campaign (None: delete it); its version rises by one if it changed."""
        encoded = None if body is None else msgspec.json.encode(body, order="sorted")
        changed = {"$ne": [{"$ifNull": ["$body", None]}, {"$literal": encoded}]}

        def either(new: Any, old: Any) -> dict[str, Any]:
            return {"$cond": [changed, new, old]}

        # One pipeline, so that two callers at once get two versions.
        document = await self._campaigns.find_one_and_update(
            {"_id": key},
            [
                {
                    "$set": {
                        "version": either({"$add": [{"$ifNull": ["$version", 0]}, 1]}, "$version"),
                        "updated_at": either(now, "$updated_at"),
                        "published": either(False, "$published"),
                        "body": {"$literal": encoded},
                    }
                }
            ],
            upsert=True,
            return_document=True,
        )
        assert document is not None  # upserted
        return _campaign(document)

    async def published(self, key: str, version: int) -> None:
        """This version is on control.definitions."""
        query = {"_id": key, "version": version}
        await self._campaigns.update_one(query, {"$set": {"published": True}})

    async def unpublished(self) -> list[CampaignDocument]:
        """Campaigns whose last change did not reach control.definitions yet."""
        cursor = self._campaigns.find({"published": False}).limit(_PENDING_PUBLICATIONS)
        return [_campaign(document) async for document in cursor]

    # -- messages ------------------------------------------------------------------------

    async def message(self, message_id: str) -> tuple[Entry, datetime | None] | None:
        """A message, and when its reader unsubscribed by it."""
        document = await self._messages.find_one({"_id": message_id})
        return None if document is None else (entry_of(document), document.get("unsubscribed_at"))

    async def messages(
        self, match: Mapping[str, str], after: tuple[datetime, str] | None, limit: int
    ) -> list[tuple[Entry, datetime | None]]:
        """Messages by ``profile_id``, ``campaign`` and ``state``, the newest decision first."""
        query: dict[str, Any] = dict(match)
        if after is not None:
            at, id_ = after
            query["$or"] = [{"decided_at": {"$lt": at}}, {"decided_at": at, "_id": {"$lt": id_}}]
        cursor = self._messages.find(query).sort([("decided_at", -1), ("_id", -1)]).limit(limit)
        return [(entry_of(doc), doc.get("unsubscribed_at")) async for doc in cursor]

    async def resend(self, entry: Entry, now: datetime, by: str) -> Entry | None:
        """Have an uncertain or failed message sent again; None if it changed meanwhile.

        The sender of its partition finds it in the ledger within a few seconds.
        """
        again = rules.resend(entry, now, by)
        query = {"_id": entry.message_id, "state": entry.state, "attempt": entry.attempt}
        result = await self._messages.update_one(query, {"$set": fields_of(again)})
        return again if result.modified_count else None

    # -- unsubscribes --------------------------------------------------------------------

    async def unsubscribe(self, entry: Entry, now: datetime) -> datetime:
        """Suppress the person and the address from now on; the first time it was asked."""
        keys = rules.suppression_keys(entry.channel, (entry.profile_id,), entry.address)
        await self._suppressions.bulk_write(
            [
                suppress(
                    Suppression(key=key, reason="unsubscribed", at=now, message_id=entry.message_id)
                )
                for key in keys
            ]
        )
        document = await self._messages.find_one_and_update(
            {"_id": entry.message_id, "unsubscribed_at": {"$exists": False}},
            {"$set": {"unsubscribed_at": now, "unsubscribe_told": False}},
            return_document=True,
        )
        if document is None:
            document = await self._messages.find_one({"_id": entry.message_id})
        assert document is not None  # the ledger forgets nothing
        first: datetime = document["unsubscribed_at"]
        return first

    async def unsubscribe_told(self, message_id: str) -> None:
        """The unsubscribe is on message.changes."""
        await self._messages.update_one({"_id": message_id}, {"$set": {"unsubscribe_told": True}})

    async def untold_unsubscribes(self) -> list[tuple[Entry, datetime]]:
        """Unsubscribes that could not be published yet."""
        cursor = self._messages.find({"unsubscribe_told": False}).limit(_PENDING_PUBLICATIONS)
        return [(entry_of(doc), doc["unsubscribed_at"]) async for doc in cursor]

    # -- confirmations -------------------------------------------------------------------

    async def confirm(self, message_id: str, now: datetime, ip: str) -> Confirmed | None:
        """Store that the reader of this message confirmed by it; the first time is kept."""
        document = await self._messages.find_one_and_update(
            {"_id": message_id, "confirmed_at": {"$exists": False}},
            {"$set": {"confirmed_at": now, "confirmed_ip": ip, "confirm_told": False}},
            return_document=True,
        )
        return await self.confirmed(message_id) if document is None else _confirmed(document)

    async def confirmed(self, message_id: str) -> Confirmed | None:
        """What was confirmed by this message; None: nothing yet."""
        query = {"_id": message_id, "confirmed_at": {"$exists": True}}
        document = await self._messages.find_one(query)
        return None if document is None else _confirmed(document)

    async def asked_last(self, message_id: str) -> Entry | None:
        """The newest message that asked for what this one asked, at the same address."""
        document = await self._messages.find_one({"_id": message_id, "campaign": KEY})
        if document is None:
            return None
        entry = entry_of(document)
        theirs = {"profile_id": entry.profile_id, "campaign": KEY}
        cursor = self._messages.find(theirs).sort([("decided_at", -1), ("_id", -1)])
        async for document in cursor.limit(_ASKED):
            newer = entry_of(document)
            if same(newer, entry):
                return newer
        return entry

    async def confirm_told(self, message_id: str) -> None:
        """The confirmation is on message.changes."""
        await self._messages.update_one({"_id": message_id}, {"$set": {"confirm_told": True}})

    async def untold_confirmations(self) -> list[Confirmed]:
        """Confirmations that could not be published yet."""
        cursor = self._messages.find({"confirm_told": False}).limit(_PENDING_PUBLICATIONS)
        return [_confirmed(document) async for document in cursor]


def _confirmed(document: Mapping[str, Any]) -> Confirmed:
    return Confirmed(
        entry=entry_of(dict(document)),
        at=document["confirmed_at"],
        ip=document["confirmed_ip"],
        told=document["confirm_told"],
    )


def _campaign(document: Mapping[str, Any]) -> CampaignDocument:
    body = document["body"]
    return CampaignDocument(
        key=document["_id"],
        version=document["version"],
        updated_at=document["updated_at"],
        body=None if body is None else msgspec.json.decode(body),
        published=document["published"],
    )

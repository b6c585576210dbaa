"""Webhooks in MongoDB: who subscribes, how far each has come, what is on its way.

* ``subscriptions`` ``{_id, url, types, changed, segments, ...}``: ``model.Subscription``; and
  ``{_id: "revision", n}``, which rises with each change of any.
* ``lanes`` ``{_id: "<subscription>/<source>", s, o, position, behind, moves}``; one that is
  missing is as far as its stage.
* ``deliveries`` ``{_id, s: subscription, o: source, n: offset, b: the encoded Delivery}``.
* ``endpoints`` ``{_id: subscription, last_success_at, failing_since, log}``: written beside the
  turns, since several workers write the same one.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

import msgspec

from services.profile.feed.draft import Draft
from services.profile.feed.model import (
    LOG_ENTRIES,
    TESTED,
    Delivery,
    Entry,
    Health,
    LaneState,
    Subscription,
)
from services.runtime.mongo import (
    Database,
    DeleteOne,
    ReplaceOne,
    Session,
    UpdateOne,
    create_collection,
)

REVISION = "revision"

_encode = msgspec.msgpack.Encoder().encode
_delivery = msgspec.msgpack.Decoder(Delivery).decode
_ALL = 10_000


async def prepare(database: Database) -> None:
    """Create the collections and their indexes. Safe to call from several processes."""
    for name in ("subscriptions", "lanes", "deliveries", "endpoints"):
        await create_collection(database, name)
    await database["lanes"].create_index("o")
    await database["deliveries"].create_index([("o", 1), ("n", 1)])
    await database["deliveries"].create_index("s")


class Ledger:
    """The handler's protocol, and what the sender notes beside it."""

    def __init__(self, database: Database) -> None:
        self._subscriptions = database["subscriptions"]
        self._lanes = database["lanes"]
        self._deliveries = database["deliveries"]
        self._endpoints = database["endpoints"]

    async def revision(self, session: Session | None = None) -> int:
        """A number that rises with each change of a subscription."""
        document = await self._subscriptions.find_one({"_id": REVISION}, session=session)
        return 0 if document is None else int(document["n"])

    async def subscriptions(self, session: Session | None = None) -> list[Subscription]:
        """All of them."""
        found = self._subscriptions.find({"_id": {"$ne": REVISION}}, session=session)
        return [subscription_of(document) for document in await found.to_list(None)]

    async def load(
        self, sources: Collection[str], session: Session
    ) -> tuple[list[LaneState], list[Delivery]]:
        """What is stored of these sources; deliveries by offset."""
        query = {"o": {"$in": list(sources)}}
        lanes = self._lanes.find(query, batch_size=_ALL, session=session)
        states = [_lane_of(document) for document in await lanes.to_list(None)]
        found = self._deliveries.find(query, {"b": 1}, session=session).sort([("o", 1), ("n", 1)])
        return states, [_delivery(document["b"]) for document in await found.to_list(None)]

    async def save(self, draft: Draft, now: datetime, session: Session) -> None:
        """Store what the turn has decided."""
        deliveries: list[ReplaceOne[dict[str, Any]] | DeleteOne] = [
            ReplaceOne({"_id": one.id}, _document(one), upsert=True) for one in draft.puts.values()
        ]
        deliveries += [DeleteOne({"_id": id_}) for id_ in draft.removed]
        if deliveries:
            await self._deliveries.bulk_write(deliveries, ordered=False, session=session)
        lanes: list[ReplaceOne[dict[str, Any]] | DeleteOne] = [
            ReplaceOne({"_id": "/".join(key)}, _lane(state), upsert=True)
            for key, state in draft.lanes.items()
        ]
        lanes += [DeleteOne({"_id": "/".join(key)}) for key in draft.ended]
        if lanes:
            await self._lanes.bulk_write(lanes, ordered=False, session=session)
        if draft.disabled:
            await self._disable(draft, now, session)

    async def _disable(self, draft: Draft, now: datetime, session: Session) -> None:
        writes = [
            UpdateOne(
                {"_id": id_, "enabled": True},
                {"$set": {"enabled": False, "reason": reason, "disabled_at": now}},
            )
            for id_, reason in draft.disabled.items()
        ]
        writes.append(UpdateOne({"_id": REVISION}, {"$inc": {"n": 1}}, upsert=True))
        await self._subscriptions.bulk_write(writes, ordered=False, session=session)

    # -- beside the turns --------------------------------------------------------------------

    async def note(self, subscription: str, entries: Sequence[Entry]) -> datetime | None:
        """Add attempts to the log, the oldest first; since when the endpoint fails, if it does.

        Of a subscription that is gone nothing is kept.
        """
        if await self._subscriptions.find_one({"_id": subscription}, {"_id": 1}) is None:
            return None
        log = [msgspec.to_builtins(entry, builtin_types=(datetime,)) for entry in entries]
        succeeded = [entry.at for entry in entries if entry.outcome == "delivered"]
        values: dict[str, Any] = {}
        if succeeded:
            values |= {"last_success_at": succeeded[-1], "failing_since": None}
        change: dict[str, Any] = {"$push": {"log": {"$each": log, "$slice": -LOG_ENTRIES}}}
        if values:
            change["$set"] = values
        await self._endpoints.update_one({"_id": subscription}, change, upsert=True)
        real = [entry for entry in entries if entry.type != TESTED]
        failures = [e.at for e in real if not succeeded or e.at > succeeded[-1]]
        if failures:
            query = {"_id": subscription, "failing_since": None}
            await self._endpoints.update_one(query, {"$set": {"failing_since": failures[0]}})
        document = await self._endpoints.find_one({"_id": subscription}, {"failing_since": 1})
        return None if document is None else document.get("failing_since")

    async def arrived(self, delivery_ids: Sequence[str]) -> None:
        """These need not be sent again; safe to repeat."""
        if delivery_ids:
            await self._deliveries.delete_many({"_id": {"$in": list(delivery_ids)}})

    async def health(self, subscription: str) -> Health:
        """How the endpoint has been doing; the latest attempt first."""
        document = await self._endpoints.find_one({"_id": subscription}) or {}
        document.pop("_id", None)
        health = msgspec.convert(document, Health)
        health.log.reverse()
        return health


def subscription_of(document: dict[str, Any]) -> Subscription:
    """A subscription as it is stored."""
    return msgspec.convert({**document, "id": document["_id"]}, Subscription)


def _document(delivery: Delivery) -> dict[str, Any]:
    return {
        "_id": delivery.id,
        "s": delivery.subscription,
        "o": delivery.source,
        "n": delivery.offset,
        "b": _encode(delivery),
    }


def _lane(state: LaneState) -> dict[str, Any]:
    return {
        "s": state.subscription,
        "o": state.source,
        "position": state.position,
        "behind": state.behind,
        "moves": state.moves,
    }


def _lane_of(document: dict[str, Any]) -> LaneState:
    return LaneState(
        subscription=document["s"],
        source=document["o"],
        position=document["position"],
        behind=document["behind"],
        moves=document["moves"],
    )

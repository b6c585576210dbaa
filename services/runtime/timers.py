"""Timers as part of the state: due instants stored in the transaction that decides them.

``{_id: "<source id>/<key>", source, key, due (ms), body}`` with an index on (source, due).
Only the partition's owner sets and fires them, so the next instant can be kept in memory.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from services.runtime.mongo import (
    Database,
    DeleteOne,
    ReplaceOne,
    Session,
    create_collection,
)
from services.runtime.turn import Source, Timer, Turn

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


class Timers:
    """The ``timers`` collection of one service's database, for one stage."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._collection = database["timers"]
        self._sources: Mapping[str, Source] = {}
        self.next_due: datetime | None = None
        """The earliest instant at which ``due`` can return anything."""

    async def prepare(self) -> None:
        """Create the collection and its index."""
        await create_collection(self._database, "timers")
        await self._collection.create_index([("source", 1), ("due", 1)])

    async def own(self, sources: Mapping[str, Source]) -> None:
        """From now on fire the timers of ``sources``, and no others."""
        self._sources = dict(sources)
        await self.refresh()

    async def refresh(self) -> None:
        """Read the earliest due instant anew: after an abort, or after timers fired."""
        query = {"source": {"$in": list(self._sources)}}
        first = await self._collection.find_one(query, {"due": 1}, sort=[("due", 1)])
        self.next_due = None if first is None else _EPOCH + first["due"] * _MILLISECOND

    async def due(self, now: datetime, limit: int) -> list[Timer]:
        """Up to ``limit`` timers that are due at ``now``, the earliest first."""
        if self.next_due is None or self.next_due > now:
            return []
        query = {"source": {"$in": list(self._sources)}, "due": {"$lte": _milliseconds(now)}}
        cursor = self._collection.find(query).sort("due", 1).limit(limit)
        timers = [self._timer(document) async for document in cursor]
        if not timers:
            await self.refresh()  # it was cancelled, or is a fraction of a millisecond away
        return timers

    async def store(self, turn: Turn, session: Session) -> None:
        """Remove what fired, cancel and set, within the turn's transaction."""
        set_ = turn.timers_set
        gone = {(timer.source.id, timer.key) for timer in turn.timers} | turn.timers_cancelled
        writes: list[DeleteOne | ReplaceOne[dict[str, Any]]] = [
            DeleteOne({"_id": f"{source}/{key}"})
            for source, key in gone
            if (source, key) not in set_
        ]
        writes += [_replace(timer) for timer in set_.values()]
        if writes:
            await self._collection.bulk_write(writes, ordered=False, session=session)

    async def committed(self, turn: Turn) -> None:
        """The turn is durable: know the next instant."""
        if turn.timers or turn.timers_cancelled:
            await self.refresh()
        elif turn.timers_set:
            self._advance(timer.due_at for timer in turn.timers_set.values())

    def _advance(self, instants: Iterable[datetime]) -> None:
        earliest = min(instants)
        if self.next_due is None or earliest < self.next_due:
            self.next_due = earliest

    def _timer(self, document: dict[str, Any]) -> Timer:
        source = self._sources[document["source"]]
        due_at = _EPOCH + document["due"] * _MILLISECOND
        return Timer(source, document["key"], due_at, bytes(document["body"]))


def _milliseconds(instant: datetime) -> int:
    return (instant - _EPOCH) // _MILLISECOND


def _replace(timer: Timer) -> ReplaceOne[dict[str, Any]]:
    id_ = f"{timer.source.id}/{timer.key}"
    # Rounded up, so that a timer never fires before its instant.
    due = -((_EPOCH - timer.due_at) // _MILLISECOND)
    document = {
        "_id": id_,
        "source": timer.source.id,
        "key": timer.key,
        "due": due,
        "body": timer.body,
    }
    return ReplaceOne({"_id": id_}, document, upsert=True)

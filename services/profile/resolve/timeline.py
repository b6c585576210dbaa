"""What happened, in MongoDB: the collection ``interactions`` of the service ``profile``.

``{_id: interaction id, p: profile id it was attributed to, t: event time, n: name, b: the
encoded Interaction, c: true where it may speak of consent, else missing, h: who has the order
that it tells of, where that is somebody else, else missing}``
"""

from collections.abc import AsyncIterator, Collection, Sequence
from datetime import datetime

from pymongo import ASCENDING, DESCENDING

from services.profile.resolve.documents import rewritten, row_of
from services.profile.resolve.model import Entry, Stored
from services.runtime.commands import find, insert
from services.runtime.mongo import Database, Session, UpdateOne, create_collection

_STREAMED = 1_000


class Timeline:
    """The part of resolve's store that is about interactions."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._interactions = database["interactions"]

    async def prepare(self) -> None:
        """Create the collection and its indexes. Safe to call from several processes."""
        await create_collection(self._database, "interactions")
        await self._interactions.create_index(
            [("p", ASCENDING), ("t", DESCENDING), ("_id", ASCENDING)], name="timeline"
        )
        await self._interactions.create_index(
            [("p", ASCENDING), ("t", DESCENDING), ("_id", ASCENDING), ("c", ASCENDING)],
            name="consent",
            partialFilterExpression={"c": True},
        )
        await self._interactions.create_index(
            "h", name="handed", partialFilterExpression={"h": {"$exists": True}}
        )

    # -- what the stage asks and writes ------------------------------------------------------

    async def known(self, interaction_ids: Collection[str], session: Session) -> set[str]:
        """Those of the ids that are stored already."""
        wanted = {"_id": {"$in": list(interaction_ids)}}
        found = await find(self._interactions, wanted, session, {"_id": 1})
        return {document["_id"] for document in found}

    async def latest(
        self, profile_ids: Collection[str], session: Session | None = None
    ) -> datetime | None:
        """When the latest interaction attributed to any of these ids was."""
        # The index answers for one id at a time.
        times = [
            document["t"]
            for profile_id in profile_ids
            if (
                document := await self._interactions.find_one(
                    {"p": profile_id}, {"t": 1}, sort=[("t", DESCENDING)], session=session
                )
            )
        ]
        return max(times, default=None)

    async def _add(self, stored: Sequence[Stored], session: Session) -> None:
        await insert(self._interactions, [row_of(each) for each in stored], session)

    async def _rewrite(self, stored: Sequence[Stored], session: Session) -> None:
        writes = [UpdateOne({"_id": each.interaction_id}, rewritten(each)) for each in stored]
        await self._interactions.bulk_write(writes, ordered=False, session=session)

    # -- what build, the API and who decides anew read ---------------------------------------

    async def interactions(
        self, profile_ids: Collection[str], session: Session | None = None
    ) -> AsyncIterator[list[tuple[str, bytes]]]:
        """(profile id, encoded Interaction) of all attributed to these ids, in no order.

        In lists, so that the history of one person need not fit into memory.
        """
        async for chunk in self._stream("p", profile_ids, session):
            yield chunk

    async def handed(
        self, profile_ids: Collection[str], session: Session | None = None
    ) -> AsyncIterator[list[tuple[str, bytes]]]:
        """The same of what was told of orders to others, and these ids have now: (who has the
        order, encoded Interaction)."""
        async for chunk in self._stream("h", profile_ids, session):
            yield chunk

    async def _stream(
        self, by: str, profile_ids: Collection[str], session: Session | None
    ) -> AsyncIterator[list[tuple[str, bytes]]]:
        found = self._interactions.find(
            {by: {"$in": list(profile_ids)}},
            {"_id": 0, by: 1, "b": 1},
            batch_size=_STREAMED,
            session=session,
        )
        while chunk := await found.to_list(_STREAMED):
            yield [(document[by], document["b"]) for document in chunk]

    async def page(
        self,
        profile_ids: Collection[str],
        limit: int,
        after: tuple[datetime, str] | None = None,
        session: Session | None = None,
    ) -> list[Entry]:
        """Up to ``limit`` interactions, newest first, equal times by id.

        ``after``: the ``at`` and ``interaction_id`` of the last entry that was seen.
        """
        wanted: dict[str, object] = {"p": {"$in": list(profile_ids)}}
        if after is not None:
            at, interaction_id = after
            wanted["t"] = {"$lte": at}
            wanted["$or"] = [{"t": {"$lt": at}}, {"_id": {"$gt": interaction_id}}]
        found = self._interactions.find(wanted, {"t": 1, "b": 1}, session=session)
        found = found.sort([("t", DESCENDING), ("_id", ASCENDING)]).limit(limit)
        return [
            Entry(document["t"], document["_id"], document["b"])
            for document in await found.to_list(None)
        ]

"""Pairs that were put in the queue of suggestions, in MongoDB.

``suggested`` ``{_id: "<smaller profile id>~<greater>", a, b, at}``. Whether a pair is yet to
be decided is not kept here: that is told by who the two are now, and by the decisions.
``searches`` ``{_id: "last", crowded, at}`` is how the last search for them went.
"""

from collections.abc import AsyncIterator, Callable, Collection, Sequence
from datetime import UTC, datetime
from typing import Any

from services.runtime.mongo import Database, UpdateOne

Put = tuple[str, str, datetime | None]
"""(one profile id, the other, when it was put there)."""


class FoundPairs:
    """The collection."""

    def __init__(
        self, database: Database, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._pairs = database["suggested"]
        self._searches = database["searches"]
        self._clock = clock

    async def put(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Keep them; those that are there stay as they are."""
        if pairs:
            await self._pairs.bulk_write(
                [
                    UpdateOne(
                        {"_id": f"{one}~{other}"},
                        {"$setOnInsert": {"a": one, "b": other, "at": self._clock()}},
                        upsert=True,
                    )
                    for one, other in pairs
                ],
                ordered=False,
            )

    async def drop(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Forget them."""
        if pairs:
            ids = [f"{one}~{other}" for one, other in pairs]
            await self._pairs.delete_many({"_id": {"$in": ids}})

    async def note(self, crowded: int) -> None:
        """A search has ended: ``crowded`` people were not compared with all they may be."""
        last = {"crowded": crowded, "at": self._clock()}
        await self._searches.replace_one({"_id": "last"}, last, upsert=True)

    async def noted(self) -> tuple[int, datetime | None]:
        """The same of the last search, and when it ended; None: there was none."""
        last = await self._searches.find_one({"_id": "last"}) or {}
        return last.get("crowded", 0), last.get("at")

    async def all(self, at_once: int) -> AsyncIterator[list[Put]]:
        """All of them, in parts."""
        found, last = await self._page({}, at_once), ""
        while found:
            yield found
            last = f"{found[-1][0]}~{found[-1][1]}"
            found = await self._page({"_id": {"$gt": last}}, at_once)

    async def of(self, ids: Collection[str]) -> list[Put]:
        """Those of them with these ids."""
        return await self._page({"_id": {"$in": list(ids)}}, len(ids)) if ids else []

    async def _page(self, wanted: dict[str, Any], limit: int) -> list[Put]:
        found = self._pairs.find(wanted).sort("_id", 1).limit(limit)
        return [(each["a"], each["b"], each["at"]) for each in await found.to_list(None)]

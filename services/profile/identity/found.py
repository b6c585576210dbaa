"""Pairs that were put in the queue of suggestions, in MongoDB.

``suggested`` ``{_id: "<smaller profile id>~<greater>", a, b, at}``. Whether a pair is yet to
be decided is not kept here: that is told by who the two are now, and by the decisions.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from services.runtime.mongo import Database, UpdateOne

Put = tuple[str, str, datetime | None]
"""(one profile id, the other, when it was put there)."""


class FoundPairs:
    """The collection."""

    def __init__(
        self, database: Database, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._pairs = database["suggested"]
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

    async def all(self, limit: int) -> list[Put]:
        """The latest."""
        found = self._pairs.find({}).sort("at", -1).limit(limit)
        return [(each["a"], each["b"], each["at"]) for each in await found.to_list(None)]

    async def of(self, one: str, other: str) -> Put | None:
        """One of them."""
        each = await self._pairs.find_one({"_id": f"{one}~{other}"})
        return None if each is None else (each["a"], each["b"], each["at"])

"""Exchange rates in MongoDB: ``rates``, a document a month, as definitions are stored."""

from datetime import datetime
from typing import Any

from pymongo.errors import DuplicateKeyError

from services.profile.computed.store import DefinitionStore, Stored
from services.runtime.mongo import Database

Days = dict[str, dict[str, str | None]]
"""Day -> currency -> rate as a text; None takes one away."""


class RatesStore(DefinitionStore):
    """``{_id: "2026-03", body: {reference, days: {day: {currency: rate}}}, version, ...}``."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, "rates")

    async def reference(self) -> str | None:
        """The currency that all stored rates are against; None without any."""
        document = await self._definitions.find_one({}, {"body.reference": 1})
        return None if document is None else str(document["body"]["reference"])

    async def merge(self, month: str, reference: str, days: Days, now: datetime) -> Stored:
        """Add ``days`` to what is stored of a month; the same again keeps the version there is."""
        while True:
            known = await self.latest(month)
            body = merged(known.definition.body if known else {}, reference, days)
            if known is not None and known.definition.body == body:
                return known
            version = known.definition.version if known else 0
            values = {"body": body, "updated_at": now, "published": False, "version": version + 1}
            try:
                document = await self._definitions.find_one_and_update(
                    {"_id": month, "version": version} if known else {"_id": month, "version": -1},
                    {"$set": values},
                    upsert=known is None,
                    return_document=True,
                )
            except DuplicateKeyError:
                continue  # Somebody stored the month's first rates meanwhile.
            if document is not None:
                return self._stored(document)


def merged(body: dict[str, Any], reference: str, days: Days) -> dict[str, Any]:
    """The body of a month with ``days`` in it; days without rates are left out."""
    known: dict[str, dict[str, str]] = body.get("days", {})
    both: dict[str, dict[str, str]] = {}
    for day in sorted({*known, *days}):
        rates: dict[str, str | None] = {**known.get(day, {}), **days.get(day, {})}
        kept = {code: rate for code, rate in sorted(rates.items()) if rate is not None}
        if kept:
            both[day] = kept
    return {"reference": reference, "days": both}

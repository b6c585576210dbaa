"""What ingest keeps of its sources in MongoDB (database ``ingest``).

``sources``
    ``{_id: name, version, at, body, former, deleted, published}``: the sources as they were last
    changed; ``body``, and ``former`` of what is told of a deleted one, is ``model.Source`` as
    JSON, in binary. Write keys are hashed in it and secrets sealed.
``activity``
    ``{_id: source/hour/run, source, hour, last_seen, accepted, ...}``: the counts of one hour
    and one run of a process (``activity.Hour``); 90 days.
``sightings``
    ``{_id, source, at, body}``: events of watched sources (``sighting.Sighting``); 10 minutes.
``watches``
    ``{_id: source, until}``: the sources that somebody looks at.
"""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta

import msgspec

from services.ingest.shelf import Definitions
from services.ingest.sources.activity import Hour
from services.ingest.sources.model import Source
from services.ingest.sources.sighting import Sighting
from services.runtime.mongo import Database, Document, ReplaceOne

KEPT = timedelta(days=90)
_SEEN = timedelta(minutes=10)
_encode = msgspec.json.Encoder().encode
_decode_sighting = msgspec.json.Decoder(Sighting).decode


async def prepare(database: Database) -> None:
    """Create the indexes."""
    await database["activity"].create_index(
        [("hour", 1)], expireAfterSeconds=int(KEPT.total_seconds())
    )
    await database["activity"].create_index([("source", 1), ("hour", 1)])
    await database["sightings"].create_index(
        [("at", 1)], expireAfterSeconds=int(_SEEN.total_seconds())
    )
    await database["sightings"].create_index([("source", 1), ("_id", 1)])
    await database["watches"].create_index([("until", 1)], expireAfterSeconds=0)


class Sources(Definitions[Source]):
    """The stored sources."""

    def __init__(self, database: Database) -> None:
        super().__init__(database["sources"], Source)


class Counts:
    """The stored counts. ``run`` names this run of this process."""

    def __init__(self, database: Database, run: str) -> None:
        self._activity = database["activity"]
        self._run = run

    async def save(self, hours: Collection[Hour]) -> None:
        """Store these hours as they are now; again does not count twice."""
        writes = []
        for hour in hours:
            key = f"{hour.source}/{hour.hour:%Y-%m-%dT%H}/{self._run}"
            writes.append(ReplaceOne({"_id": key}, _counted(hour), upsert=True))
        await self._activity.bulk_write(writes, ordered=False)

    async def since(self, source: str, start: datetime, *, minutes: bool = True) -> list[Hour]:
        """A source's hours from that of ``start`` on, of all processes; without ``minutes``."""
        first = start.replace(minute=0, second=0, microsecond=0)
        query, shown = {"source": source, "hour": {"$gte": first}}, {"minutes": 0}
        found = self._activity.find(query, None if minutes else shown).sort("hour", 1)
        return [_hour(document) async for document in found]

    async def all_since(self, start: datetime) -> dict[str, Hour]:
        """What every source sent from the hour of ``start`` on, without the codes."""
        first = start.replace(minute=0, second=0, microsecond=0)
        sums = ("accepted", "duplicates", "limited", "unavailable", "refused")
        group = {name: {"$sum": f"${name}"} for name in sums}
        pipeline: list[Document] = [
            {"$match": {"hour": {"$gte": first}}},
            {"$group": {"_id": "$source", "last_seen": {"$max": "$last_seen"}, **group}},
        ]
        found = self._activity.aggregate(pipeline)
        return {
            one["_id"]: Hour(
                source=one["_id"],
                hour=first,
                last_seen=one["last_seen"],
                accepted=one["accepted"],
                duplicates=one["duplicates"],
                limited=one["limited"],
                unavailable=one["unavailable"],
                rejected={"": one["refused"]},
            )
            async for one in found
        }

    async def last_seen(self, source: str) -> datetime | None:
        """When it last sent anything, in the time for which counts are kept."""
        latest = self._activity.find({"source": source}).sort("hour", -1).limit(20)
        return max([document["last_seen"] async for document in latest], default=None)


class Sightings:
    """The stored sightings, and which sources are watched."""

    def __init__(self, database: Database) -> None:
        self._sightings = database["sightings"]
        self._watches = database["watches"]

    async def save(self, sightings: Collection[Sighting]) -> None:
        """Store what was seen."""
        writes = [
            ReplaceOne(
                {"_id": one.id},
                {"source": one.source, "at": one.at, "body": _encode(one)},
                upsert=True,
            )
            for one in sightings
        ]
        await self._sightings.bulk_write(writes, ordered=False)

    async def latest(self, source: str, limit: int, after: str = "") -> list[Sighting]:
        """The latest of a source with ids above ``after``, the newest first."""
        query = {"source": source, "_id": {"$gt": after}}
        found = self._sightings.find(query).sort("_id", -1).limit(limit)
        return [_decode_sighting(document["body"]) async for document in found]

    async def watch(self, source: str, until: datetime) -> None:
        """Somebody looks at this source until then."""
        query, change = {"_id": source}, {"$max": {"until": until}}
        await self._watches.update_one(query, change, upsert=True)

    async def watched(self, at: datetime) -> Mapping[str, datetime]:
        """The sources that are watched at that instant, and until when."""
        found = self._watches.find({"until": {"$gt": at}})
        return {document["_id"]: document["until"] async for document in found}


def _counted(hour: Hour) -> Document:
    return {
        "source": hour.source,
        "hour": hour.hour,
        "last_seen": hour.last_seen,
        "accepted": hour.accepted,
        "duplicates": hour.duplicates,
        "limited": hour.limited,
        "unavailable": hour.unavailable,
        "refused": sum(hour.rejected.values()),
        # Lists, since a code may hold what MongoDB does not take in a field's name.
        "rejected": [[code, events] for code, events in hour.rejected.items()],
        "minutes": [[minute, *events] for minute, events in hour.minutes.items()],
    }


def _hour(document: Document) -> Hour:
    return Hour(
        source=document["source"],
        hour=document["hour"],
        last_seen=document["last_seen"],
        accepted=document["accepted"],
        duplicates=document["duplicates"],
        limited=document["limited"],
        unavailable=document["unavailable"],
        rejected=dict(document["rejected"]),
        minutes={minute: list(events) for minute, *events in document.get("minutes", ())},
    )

"""Two toy stages with the real mechanism, and broken ones, for the stage's own tests.

``relay`` copies ``events.clicks`` to ``profile.interactions``; ``counter`` adds one to a
document a key. Nothing in them forgives a doubled or a lost record, so the counts show
what the stage does. Run as ``python -m tests.faults.toy relay|counter [fault]``.
"""

import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from services.runtime import progress
from services.runtime.checkpoints import Advance, Checkpoints, stamp
from services.runtime.mongo import Database, UpdateOne, create_collection, transaction
from services.runtime.run import run_worker
from services.runtime.settings import Settings
from services.runtime.stage import Stage
from services.runtime.turn import Message, Record, Source, Turn
from services.runtime.worker import Blueprint, Parts, Wired, create_worker


def _say(turn: Turn, record: Record, topic: str) -> Message:
    return Message(
        topic=topic,
        key=(record.key or b"").decode(),
        value=record.value,
        type="regulars.toy.said.v1",
        id=f"{record.source.id}/{record.offset}",
        time=turn.now,
    )


class Toy:
    """The parts of a handler that neither toy needs."""

    async def committed(self, turn: Turn) -> None: ...

    async def assigned(self, sources: Sequence[Source]) -> None: ...

    def lost(self, sources: Sequence[Source] | None) -> None: ...


class Relay(Toy):
    """Says again what it hears; listens ahead of the turn."""

    async def handle(self, turn: Turn) -> None:
        for record in turn.records:
            word, record.ahead = record.ahead or self.ahead(record, turn.now), None
            if word == "poison":
                turn.reject(record, "poison", "the value is the word poison")
            else:
                turn.emit(record.source, _say(turn, record, "profile.interactions"))

    def ahead(self, record: Record, now: datetime) -> str:
        if record.value == b"crash":
            raise ValueError("a bug that one record triggers")
        return (record.value or b"").decode()


class CountKeys(Toy):
    """Counts records by key, and sets a timer that counts itself for keys named timer-*."""

    def __init__(self, database: Database) -> None:
        self._counts = database["counts"]

    async def handle(self, turn: Turn) -> None:
        counts = Counter((record.key or b"").decode() for record in turn.records)
        for record in turn.records:
            key = (record.key or b"").decode()
            if key.startswith("timer-"):
                turn.set_timer(record.source, key, turn.now + timedelta(seconds=0.2))
        late = dict[str, float]()
        for timer in turn.timers:
            counts["fired-" + timer.key] += 1
            late["fired-" + timer.key] = (datetime.now(UTC) - timer.due_at).total_seconds()
        writes = [
            UpdateOne(
                {"_id": key}, {"$inc": {"n": n}, "$set": {"late": late.get(key)}}, upsert=True
            )
            for key, n in counts.items()
        ]
        for record in turn.records[:1]:
            turn.emit(record.source, _say(turn, record, "profile.changes"))

        async def write() -> None:
            await self._counts.bulk_write(writes, ordered=False, session=turn.session)

        if writes:
            turn.write(write)


class NoEpoch(Stage):
    """Broken: commits, and publishes late, whatever the epoch says."""

    def __init__(self, *args: Any, checkpoints: Checkpoints, **options: Any) -> None:
        super().__init__(*args, checkpoints=checkpoints, **options)
        checkpoints.stamp = self._stamp

    async def _stamp(self, _sources: Iterable[Source]) -> int:
        return stamp()

    async def _commit(self, advances: Sequence[Advance], at: int) -> None:
        collection = self._checkpoints._collection
        for advance in advances:
            _, change = self._checkpoints._write(advance, at)
            await collection.update_one({"_id": advance.source.id}, change, session=self._session)


class NoOrigins(Stage):
    """Broken: does not drop what an earlier owner has published already."""

    def _fresh(self, records: Sequence[Record]) -> tuple[list[Record], dict[str, dict[str, int]]]:
        return list(records), progress.fresh(records)[1]


class OffsetFirst(Stage):
    """Broken: stores the offset before the state it stands for."""

    async def _decide(self, turn: Turn) -> None:
        await self._session.abort_transaction()
        async with transaction(self._session):
            offsets = dict[str, Advance]()
            for record in turn.records:
                source = record.source
                offsets[source.id] = Advance(
                    source, record.offset + 1, source.seq, source.origins, []
                )
            if offsets:
                await self._checkpoints.commit(self._session, list(offsets.values()), 0)
        self._failpoint.reached("offset_stored")
        self._session.start_transaction()
        await super()._decide(turn)


class NoLooking(Stage):
    """Broken: takes a commit that it has heard nothing of for one that failed."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._recovery._resynchronise = self._nothing

    async def _nothing(self) -> None: ...


FAULTS = {
    "": Stage,
    "no_epoch": NoEpoch,
    "no_origins": NoOrigins,
    "no_looking": NoLooking,
    "offset_first": OffsetFirst,
}


def blueprint(name: str) -> Blueprint:
    """The worker ``relay`` or ``counter``."""
    topics = ["events.clicks"] if name == "relay" else ["profile.interactions"]
    return Blueprint(
        name=name,
        database=f"toy_{name}",
        topics=topics,
        port=0,
        wire=_WIRING[name],
        rest_s=0.05 if name == "relay" else 0.0,  # one of the two in each way
    )


def _relay(parts: Parts) -> Wired:
    async def prepare() -> None: ...

    relay = Relay()
    return Wired(relay, prepare, ahead=relay.ahead)


def _counter(parts: Parts) -> Wired:
    async def prepare() -> None:
        await create_collection(parts.database, "counts")

    return Wired(CountKeys(parts.database), prepare)


_WIRING = {"relay": _relay, "counter": _counter}


if __name__ == "__main__":
    fault = sys.argv[2] if len(sys.argv) > 2 else ""
    settings = Settings()
    run_worker(create_worker(blueprint(sys.argv[1]), settings, FAULTS[fault]), settings)

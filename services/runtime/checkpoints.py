"""Checkpoints in MongoDB: the truth about how far each partition was handled.

``{_id: "<group>/<topic>/<partition>", epoch, offset, seq, origins, outbox, session}``. The
outbox holds the encoded records of the partition's last turn, so that the next owner can
publish them again.
"""

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

import msgspec

from services.runtime.mongo import (
    Client,
    Database,
    PyMongoError,
    Session,
    UpdateOne,
    create_collection,
)
from services.runtime.turn import Output, Source

_outbox_encoder = msgspec.msgpack.Encoder()
_outbox_decoder = msgspec.msgpack.Decoder(list[Output])
_origins_decoder = msgspec.json.Decoder(dict[str, int])


class Fenced(Exception):
    """A checkpoint is not as this worker left it: another one has taken the partition."""


class Advance(msgspec.Struct):
    """How one turn moves one source on."""

    source: Source
    offset: int
    seq: int
    origins: dict[str, int]
    outputs: list[Output]


class Taken(msgspec.Struct):
    """What ``Checkpoints.take`` found."""

    kept: set[str]
    """Ids that nobody else has owned since we last did: caches of these are still right."""
    outbox: list[Output]
    """The records of each last turn, to be published again."""


class Checkpoints:
    """The ``checkpoints`` collection of one service's database."""

    def __init__(self, client: Client, database: Database, session: Session) -> None:
        self._client = client
        self._database = database
        self._collection = database["checkpoints"]
        identity: Any = session.session_id  # mistyped in Motor: a property
        self._session_id = identity["id"]

    async def prepare(self) -> None:
        """Create the collection."""
        await create_collection(self._database, "checkpoints")

    async def take(self, sources: Sequence[Source]) -> Taken:
        """Make this worker the owner of ``sources`` and fill in their counters.

        First ends whatever transaction a former owner left open, because its locks would
        hold us up for as long as the server keeps it; then raises each epoch, after which
        a former owner that lives on cannot commit.
        """
        ids = [source.id for source in sources]
        await self._end_former_sessions(ids)
        documents = await asyncio.gather(*(self._raise_epoch(id_) for id_ in ids))
        taken = Taken(set(), [])
        for source, document in zip(sources, documents, strict=True):
            if source.epoch and document["epoch"] == source.epoch + 1:
                taken.kept.add(source.id)
            source.epoch = document["epoch"]
            source.offset = document.get("offset", 0)
            source.seq = document.get("seq", 0)
            source.origins = _origins_decoder.decode(document.get("origins", b"{}"))
            taken.outbox += _outbox_decoder.decode(document.get("outbox", b"\x90"))
        return taken

    async def commit(self, session: Session, advances: Iterable[Advance]) -> None:
        """Write the checkpoints within the turn's transaction; raises ``Fenced``."""
        writes = [self._write(advance) for advance in advances]
        result = await self._collection.bulk_write(writes, ordered=False, session=session)
        if result.matched_count != len(writes):
            raise Fenced

    async def epochs(self, ids: Sequence[str]) -> dict[str, int]:
        """The present epoch of each checkpoint."""
        cursor = self._collection.find({"_id": {"$in": list(ids)}}, {"epoch": 1})
        return {document["_id"]: document["epoch"] async for document in cursor}

    def _write(self, advance: Advance) -> UpdateOne:
        values: dict[str, Any] = {
            "offset": advance.offset,
            "seq": advance.seq,
            "origins": msgspec.json.encode(advance.origins),
            "outbox": _outbox_encoder.encode(advance.outputs),
        }
        source = advance.source
        return UpdateOne({"_id": source.id, "epoch": source.epoch}, {"$set": values})

    async def _raise_epoch(self, id_: str) -> dict[str, Any]:
        document = await self._collection.find_one_and_update(
            {"_id": id_},
            {"$inc": {"epoch": 1}, "$set": {"session": self._session_id}},
            upsert=True,
            return_document=True,
        )
        assert document is not None  # upserted
        return document

    async def _end_former_sessions(self, ids: Sequence[str]) -> None:
        cursor = self._collection.find({"_id": {"$in": list(ids)}}, {"session": 1})
        former = {document.get("session") async for document in cursor}
        former -= {None, self._session_id}
        if not former:
            return
        # If that is not allowed, the server ends them after transactionLifetimeLimitSeconds.
        with suppress(PyMongoError):
            await self._client.admin.command("killSessions", [{"id": id_} for id_ in former])

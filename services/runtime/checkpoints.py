"""Checkpoints in MongoDB: the truth about how far each partition was handled.

``{_id: "<group>/<topic>/<partition>", epoch, offset, seq, origins, outbox, at, session}``. The
outbox holds the encoded records of the partition's last turn (MessagePack, packed by zstd when
large), so that the next owner can publish them again. ``at`` is the stamp (milliseconds since
1970) that its records carry on their way to Kafka, or 0 when they have all arrived and no more
will follow: the broker refuses records whose stamp is too old, so an heir that waits as long is
never overtaken by what its predecessor had still to send.
"""

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import suppress
from time import time
from typing import Any

import msgspec
from cramjam import zstd

from services.runtime.commands import Change, update
from services.runtime.mongo import (
    Client,
    Database,
    PyMongoError,
    Session,
    create_collection,
)
from services.runtime.turn import Output, Source

_outbox_encoder = msgspec.msgpack.Encoder()
_outbox_decoder = msgspec.msgpack.Decoder(list[Output])
_origins_decoder = msgspec.json.Decoder(dict[str, int])
_PACKED_FROM = 10_000
_PACKED = b"\x28\xb5\x2f\xfd"
"""How a zstd frame begins (RFC 8878); no list in MessagePack does."""

_OUTBOX_BYTES = 12_000_000
"""Of one partition in one turn: a MongoDB document holds 16 MB."""


class Fenced(Exception):
    """A checkpoint is not as this worker left it: another one has taken the partition."""


class TooLarge(Exception):
    """The outbox of one partition would not fit into its checkpoint document."""


class Advance(msgspec.Struct):
    """How one turn moves one source on."""

    source: Source
    offset: int
    seq: int
    origins: dict[str, int]
    outputs: list[Output]
    outbox: bytes | None = None
    """``outputs`` as they are stored, once ``encode`` was called."""


class Taken(msgspec.Struct):
    """What ``Checkpoints.take`` found."""

    kept: set[str]
    """Ids that nobody else has owned since we last did: caches of these are still right."""
    outbox: list[Output]
    """The records of each last turn, to be published again."""
    at: int
    """The latest stamp under which a former owner may still be sending, or 0."""


def stamp() -> int:
    """Now, as records carry it: milliseconds since 1970."""
    return int(time() * 1000)


def encode(advances: Iterable[Advance]) -> None:
    """Encode the outboxes, which takes a while, before they are written.

    Large ones are packed: what they cost the database is by the byte, and events are alike.
    """
    for advance in advances:
        outbox = _outbox_encoder.encode(advance.outputs)
        packed = len(outbox) > _PACKED_FROM
        advance.outbox = bytes(zstd.compress(outbox, level=1)) if packed else outbox


def decode(outbox: bytes) -> list[Output]:
    """The records of an outbox as it is stored."""
    if outbox.startswith(_PACKED):
        outbox = bytes(zstd.decompress(outbox))
    return _outbox_decoder.decode(outbox)


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
        taken = Taken(set(), [], 0)
        for source, document in zip(sources, documents, strict=True):
            if source.epoch and document["epoch"] == source.epoch + 1:
                taken.kept.add(source.id)
            else:
                taken.at = max(taken.at, document.get("at", 0))
            source.epoch = document["epoch"]
            source.offset = document.get("offset", 0)
            source.seq = document.get("seq", 0)
            source.origins = _origins_decoder.decode(document.get("origins", b"{}"))
            taken.outbox += decode(document.get("outbox", b"\x90"))
        return taken

    async def commit(self, session: Session, advances: Iterable[Advance], at: int) -> None:
        """Write the checkpoints within the turn's transaction; raises ``Fenced``, ``TooLarge``.

        ``at`` is the stamp under which the outboxes will be published.
        """
        writes = [self._write(advance, at) for advance in advances]
        await self._write_all(writes, session)

    async def stamp(self, sources: Iterable[Source]) -> int:
        """A new stamp for records of ``sources``, if they are still ours; raises ``Fenced``."""
        at = stamp()
        await self._write_all([self._mark(source, at) for source in sources])
        return at

    async def release(self, sources: Iterable[Source]) -> None:
        """All records of ``sources`` have arrived: their next owner need not wait."""
        writes = [self._mark(source, 0) for source in sources]
        if writes:
            await update(self._collection, writes, None)

    async def epochs(self, ids: Sequence[str]) -> dict[str, int]:
        """The present epoch of each checkpoint."""
        cursor = self._collection.find({"_id": {"$in": list(ids)}}, {"epoch": 1})
        return {document["_id"]: document["epoch"] async for document in cursor}

    async def _write_all(self, writes: list[Change], session: Session | None = None) -> None:
        if writes and await update(self._collection, writes, session) != len(writes):
            raise Fenced

    def _mark(self, source: Source, at: int) -> Change:
        return {"_id": source.id, "epoch": source.epoch}, {"$set": {"at": at}}

    def _write(self, advance: Advance, at: int) -> Change:
        if advance.outbox is None:
            encode([advance])
        outbox = advance.outbox
        assert outbox is not None
        if len(outbox) > _OUTBOX_BYTES:
            raise TooLarge(f"outbox of {advance.source.id}")
        values: dict[str, Any] = {
            "offset": advance.offset,
            "seq": advance.seq,
            "origins": msgspec.json.encode(advance.origins),
            "outbox": outbox,
            "at": at,
        }
        source = advance.source
        return {"_id": source.id, "epoch": source.epoch}, {"$set": values}

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

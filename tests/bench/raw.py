"""The raw transaction loop: what a stage costs when nothing is decided.

The stage's turn, with its own checkpoints and publisher: read a batch; in one transaction insert
documents of the same number and size, and move each partition's checkpoint on with its outbox;
publish as many records of the same size, headers included. No rules, nothing looked up, nothing
decoded. What is written is text from the records that were read, as the stage's is: a database
packs one byte repeated far faster. ``outbox`` false leaves the outbox out: faster, but what was
not yet published when a worker dies would then be lost.
"""

import asyncio
import gc
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from msgspec import Struct, field
from pymongo import InsertOne, UpdateOne

from services.profile.build.store import ProfileStore
from services.profile.resolve.store import IdentityStore
from services.runtime import memory, threads
from services.runtime.checkpoints import Advance, Checkpoints, encode, stamp
from services.runtime.mongo import connect, transaction
from services.runtime.publish import Packed, Publisher, partition_of
from services.runtime.settings import Settings
from services.runtime.turn import Output, Source


class StageLimit(Struct):
    """Parameters of ``stage``."""

    kafka_url: str
    mongo_url: str
    database: str
    inputs: dict[str, int]
    """Real topic name -> partitions."""
    output: str
    output_partitions: int
    output_bytes: int
    """Of each record's value."""
    output_headers: list[tuple[str, str]]
    """Of each record: as the stage has them."""
    stored_bytes: int
    """Of the binary value of each document."""
    upsert: bool
    """One upsert and one record a key and batch (build), or one insert a record (resolve)."""
    beside: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Collection -> (an insert for every so many records, bytes)."""
    batch: int = 2_000
    outbox: bool = True
    """Whether it is stored."""


class Bare:
    """The raw transaction loop."""

    def __init__(self, given: StageLimit) -> None:
        self._given = given
        memory.keep()  # As a worker.
        threads.share()
        settings = Settings(kafka_url=given.kafka_url, mongo_url=given.mongo_url, namespace="")
        self._client = connect(settings)
        self._database = self._client[given.database]
        self._collection = self._database["profiles" if given.upsert else "interactions"]
        self._publisher = Publisher(settings, "raw")
        self._headers = [(name, value.encode()) for name, value in given.output_headers]
        self._now = datetime.now(UTC)
        self._count = 0

    async def run(self) -> None:
        """Until it is ended."""
        given = self._given
        await IdentityStore(self._database).prepare()  # the same indexes
        await ProfileStore(self._database).prepare()
        session = await self._client.start_session()
        checkpoints = Checkpoints(self._client, self._database, session)
        await checkpoints.prepare()
        sources = {
            TopicPartition(name, number): Source(f"raw/{name}/{number}", name, number)
            for name, count in given.inputs.items()
            for number in range(count)
        }
        await checkpoints.take(list(sources.values()))
        consumer = AIOKafkaConsumer(
            bootstrap_servers=given.kafka_url,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            fetch_max_wait_ms=10,  # or it would wait for partitions that are at their end
            max_partition_fetch_bytes=2_000_000,
        )
        await consumer.start()
        await self._publisher.start()
        consumer.assign(list(sources))
        gc.collect()
        gc.freeze()
        publishing = asyncio.ensure_future(asyncio.sleep(0))
        while True:
            batches = await consumer.getmany(timeout_ms=1_000, max_records=given.batch)
            batches = {sources[partition]: batch for partition, batch in batches.items() if batch}
            if not batches:
                continue
            async with transaction(session):
                records = [record for batch in batches.values() for record in batch]
                writing = asyncio.ensure_future(self._store(records, session))
                await asyncio.sleep(0)  # As the stage: it is on its way meanwhile.
                advances = [self._advance(source, batch) for source, batch in batches.items()]
                await writing
                await publishing
                at = stamp()
                packing = asyncio.ensure_future(self._pack(advances, at))
                await checkpoints.commit(session, advances, at)
            for advance in advances:
                advance.source.offset = advance.offset
            publishing = asyncio.ensure_future(self._post(packing))

    def _advance(self, source: Source, records: Sequence[Any]) -> Advance:
        outputs = self._outputs(records)
        offset = records[-1].offset + 1
        advance = Advance(source, offset, source.seq + len(outputs), {}, outputs)
        if self._given.outbox:
            encode([advance])
        else:
            advance.outbox = b""
        return advance

    async def _pack(self, advances: Sequence[Advance], at: int) -> Packed:
        outputs = [output for advance in advances for output in advance.outputs]
        return await self._publisher.pack(outputs, at)

    async def _post(self, packing: asyncio.Future[Packed]) -> None:
        await self._publisher.post(await packing)

    async def _store(self, records: Sequence[Any], session: Any) -> None:
        await (self._upserts if self._given.upsert else self._inserts)(records, session)

    async def _inserts(self, records: Sequence[Any], session: Any) -> None:
        """As resolve: every record becomes a document, some bring others with them."""
        beside: dict[str, list[InsertOne[dict[str, Any]]]] = defaultdict(list)
        documents = []
        for record in records:
            id_ = f"{record.topic[-6:]}-{record.partition}-{record.offset:08d}"
            person = record.key.decode()
            documents.append(
                {
                    "_id": id_,
                    "p": person,
                    "t": self._now,
                    "n": "Product Viewed",
                    "b": text_of(record.value, self._given.stored_bytes),
                }
            )
            self._count += 1
            for name, (every, size) in self._given.beside.items():
                if self._count % every == 0:
                    document = {"_id": id_, "p": person, "b": text_of(record.value, size)}
                    beside[name].append(InsertOne(document))
        for name, writes in beside.items():
            await self._database[name].bulk_write(writes, ordered=False, session=session)
        await self._collection.insert_many(documents, ordered=False, session=session)

    async def _upserts(self, records: Sequence[Any], session: Any) -> None:
        """As build: every person of the batch is written once."""
        people = {record.key: record for record in records}
        writes = [
            UpdateOne(
                {"_id": key.decode()},
                {
                    "$set": {
                        "p": record.partition,
                        "v": record.offset,
                        "f": "0123456789abcdef",
                        "s": datetime.fromtimestamp(record.timestamp / 1000, UTC),
                        "b": text_of(record.value, self._given.stored_bytes),
                    }
                },
                upsert=True,
            )
            for key, record in people.items()
        ]
        await self._collection.bulk_write(writes, ordered=False, session=session)

    def _outputs(self, records: Sequence[Any]) -> list[Output]:
        given = self._given
        if given.upsert:
            records = list({record.key: record for record in records}.values())
        return [
            Output(
                given.output,
                partition_of(record.key, given.output_partitions),
                record.key,
                text_of(record.value, given.output_bytes),
                self._headers,
            )
            for record in records
        ]


def text_of(value: bytes, size: int) -> bytes:
    """``size`` bytes, of ``value`` as often as it takes."""
    return (value * (size // len(value) + 1))[:size]

"""The raw transaction loop: what a stage costs when nothing is decided.

Read a batch, insert documents of the same number and size in one transaction with one
checkpoint, publish as many records of the same size, headers included; no rules, no reads, no
stored outbox. What is written is text from the records that were read, as the stage's is: a
database packs one byte repeated far faster.
"""

import asyncio
import gc
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from motor.motor_asyncio import AsyncIOMotorClient
from msgspec import Struct, field
from pymongo import InsertOne, UpdateOne
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from services.profile.build.store import ProfileStore
from services.profile.resolve.store import IdentityStore
from services.runtime import memory, threads
from services.runtime.publish import partition_of

Outputs = dict[int, list[tuple[bytes, bytes, list[tuple[str, bytes]]]]]


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


class Bare:
    """The raw transaction loop."""

    def __init__(self, given: StageLimit) -> None:
        self._given = given
        memory.keep()  # As a worker.
        threads.share()
        client: AsyncIOMotorClient[dict[str, Any]] = AsyncIOMotorClient(given.mongo_url)
        self._client = client
        self._database = client[given.database]
        self._collection = self._database["profiles" if given.upsert else "interactions"]
        self._headers = [(name, value.encode()) for name, value in given.output_headers]
        self._now = datetime.now(UTC)
        self._count = 0

    async def run(self) -> None:
        given = self._given
        await IdentityStore(self._database).prepare()  # the same indexes
        await ProfileStore(self._database).prepare()
        await self._database["checkpoints"].insert_one({"_id": "offset", "offset": 0})
        consumer = AIOKafkaConsumer(
            bootstrap_servers=given.kafka_url,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            fetch_max_wait_ms=10,  # or it would wait for partitions that are at their end
            max_partition_fetch_bytes=2_000_000,
        )
        producer = AIOKafkaProducer(
            bootstrap_servers=given.kafka_url,
            acks="all",
            enable_idempotence=True,
            max_batch_size=900_000,
            max_request_size=12_000_000,
        )
        await consumer.start()
        await producer.start()
        consumer.assign([TopicPartition(n, p) for n, c in given.inputs.items() for p in range(c)])
        session = await self._client.start_session()
        gc.collect()
        gc.freeze()
        publishing = asyncio.ensure_future(asyncio.sleep(0))
        while True:
            batches = await consumer.getmany(timeout_ms=1_000, max_records=given.batch)
            records = [record for batch in batches.values() for record in batch]
            if not records:
                continue
            async with session.start_transaction(
                ReadConcern("snapshot"), WriteConcern("majority", j=True)
            ):
                outputs = await self._store(records, session)
                await publishing
                await self._database["checkpoints"].update_one(
                    {"_id": "offset"}, {"$inc": {"offset": len(records)}}, session=session
                )
            publishing = asyncio.ensure_future(self._publish(producer, outputs))

    async def _store(self, records: Sequence[Any], session: Any) -> Outputs:
        return await (self._upserts if self._given.upsert else self._inserts)(records, session)

    async def _inserts(self, records: Sequence[Any], session: Any) -> Outputs:
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
        return self._outputs(records)

    async def _upserts(self, records: Sequence[Any], session: Any) -> Outputs:
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
        return self._outputs(people.values())

    def _outputs(self, records: Any) -> Outputs:
        outputs: Outputs = defaultdict(list)
        for record in records:
            partition = partition_of(record.key, self._given.output_partitions)
            value = text_of(record.value, self._given.output_bytes)
            outputs[partition].append((record.key, value, self._headers))
        return outputs

    async def _publish(self, producer: Any, outputs: Outputs) -> None:
        acks = [
            publish(producer, self._given.output, partition, records)
            for partition, records in outputs.items()
        ]
        await asyncio.gather(*acks)


def text_of(value: bytes, size: int) -> bytes:
    """``size`` bytes, of ``value`` as often as it takes."""
    return (value * (size // len(value) + 1))[:size]


async def publish(
    producer: Any, topic: str, partition: int, records: Sequence[tuple[bytes, bytes, Any]]
) -> None:
    """Send records of one partition in whole batches; returns when all are acknowledged."""
    batch = producer.create_batch()
    for key, value, headers in records:
        if batch.append(timestamp=None, key=key, value=value, headers=headers) is None:
            await (await producer.send_batch(batch, topic, partition=partition))
            batch = producer.create_batch()
            batch.append(timestamp=None, key=key, value=value, headers=headers)
    await (await producer.send_batch(batch, topic, partition=partition))

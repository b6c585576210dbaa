"""What a stage has stored and published, as parameters of the raw loop that does the same."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import bson
from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas.topics import BY_NAME, INTERACTIONS, PROFILE_CHANGES
from tests.bench.raw import StageLimit
from tests.bench.world import Namespace

Headers = list[tuple[str, str]]

_BARE = {"_id": "x" * 20, "p": "x" * 17, "b": b""}
"""A document of the raw loop's without its text."""
_BESIDE_BYTES = len(bson.encode(_BARE))
_INTERACTION_BYTES = len(bson.encode(_BARE | {"t": datetime.now(UTC), "n": "Product Viewed"}))


async def like_resolve(
    space: Namespace, other: Namespace, topics: Sequence[str], events: int
) -> StageLimit:
    """The documents that resolve stored for these events, by number and size."""
    database = space.client[space.settings.database("profile")]
    beside = {}
    for name in ("identifiers", "people"):
        count, size = await _documents(database, name)
        every = max(1, round(events / max(1, count)))
        beside[name] = (every, max(0, size - _BESIDE_BYTES))
    _, size = await _documents(database, "interactions")
    output = await _record(space, INTERACTIONS.name)
    stored = size - _INTERACTION_BYTES
    return _limit(space, other, topics, INTERACTIONS.name, output, False, stored, beside)


async def like_build(space: Namespace, other: Namespace) -> StageLimit:
    """The documents that build upserted, weighted by how often each was written."""
    database = space.client[space.settings.database("profile")]
    sums = {"bytes": {"$sum": {"$multiply": ["$n", "$v"]}}, "writes": {"$sum": "$v"}}
    weigh: list[dict[str, Any]] = [
        {"$project": {"v": 1, "n": {"$binarySize": "$b"}}},
        {"$group": {"_id": None, **sums}},
    ]
    [found] = await database["profiles"].aggregate(weigh).to_list(None)
    output = await _record(space, PROFILE_CHANGES.name)
    stored = int(found["bytes"] / max(1, found["writes"]))
    topics = (INTERACTIONS.name,)
    return _limit(space, other, topics, PROFILE_CHANGES.name, output, True, stored, {})


def _limit(
    space: Namespace,
    other: Namespace,
    topics: Sequence[str],
    topic: str,
    output: tuple[int, Headers],
    upsert: bool,
    stored: int,
    beside: dict[str, tuple[int, int]],
) -> StageLimit:
    return StageLimit(
        kafka_url=space.settings.kafka_url,
        mongo_url=space.settings.mongo_url,
        database=other.settings.database("profile"),
        inputs={space.settings.topic(name): BY_NAME[name].partitions for name in topics},
        output=other.settings.topic(topic),
        output_partitions=BY_NAME[topic].partitions,
        output_bytes=output[0],
        output_headers=output[1],
        stored_bytes=stored,
        upsert=upsert,
        beside=beside,
    )


async def _documents(database: Any, collection: str) -> tuple[int, int]:
    """(How many, bytes of each on average.)"""
    stats = await database.command("collStats", collection)
    return int(stats["count"]), int(stats.get("avgObjSize", 0))


async def _record(space: Namespace, topic: str) -> tuple[int, Headers]:
    """The mean size of a record's value, of the last ones in each partition; one's headers."""
    partitions = [
        TopicPartition(space.settings.topic(topic), number)
        for number in range(BY_NAME[topic].partitions)
    ]
    consumer = AIOKafkaConsumer(bootstrap_servers=space.settings.kafka_url)
    await consumer.start()
    try:
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        for partition, end in ends.items():
            consumer.seek(partition, max(0, end - 300))
        records: list[Any] = []
        while batches := await consumer.getmany(timeout_ms=1_000):
            records += [record for batch in batches.values() for record in batch]
        size = sum(len(record.value or b"") for record in records) // max(1, len(records))
        return size, [(name, value.decode()) for name, value in records[-1].headers]
    finally:
        await consumer.stop()

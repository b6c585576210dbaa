"""What a stage has stored and published, as parameters of the raw loop that does the same."""

from collections.abc import Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas.topics import BY_NAME, INTERACTIONS, PROFILE_CHANGES
from tests.bench.raw import StageLimit
from tests.bench.world import Namespace


async def like_resolve(
    space: Namespace, other: Namespace, topics: Sequence[str], events: int
) -> StageLimit:
    """The documents that resolve stored for these events, by number and size."""
    database = space.client[space.settings.database("profile")]
    beside = {}
    for name in ("identifiers", "people"):
        count, size = await _documents(database, name)
        beside[name] = (max(1, events // max(1, count)), size)
    _, size = await _documents(database, "interactions")
    output = await _record_bytes(space, INTERACTIONS.name)
    return _limit(space, other, topics, INTERACTIONS.name, output, False, size - 110, beside)


async def like_build(space: Namespace, other: Namespace) -> StageLimit:
    """The documents that build upserted, weighted by how often each was written."""
    database = space.client[space.settings.database("profile")]
    sums = {"bytes": {"$sum": {"$multiply": ["$n", "$v"]}}, "writes": {"$sum": "$v"}}
    weigh: list[dict[str, Any]] = [
        {"$project": {"v": 1, "n": {"$binarySize": "$b"}}},
        {"$group": {"_id": None, **sums}},
    ]
    [found] = await database["profiles"].aggregate(weigh).to_list(None)
    output = await _record_bytes(space, PROFILE_CHANGES.name)
    stored = int(found["bytes"] / max(1, found["writes"]))
    topics = (INTERACTIONS.name,)
    return _limit(space, other, topics, PROFILE_CHANGES.name, output, True, stored, {})


def _limit(
    space: Namespace,
    other: Namespace,
    topics: Sequence[str],
    output: str,
    output_bytes: int,
    upsert: bool,
    stored: int,
    beside: dict[str, tuple[int, int]],
) -> StageLimit:
    return StageLimit(
        kafka_url=space.settings.kafka_url,
        mongo_url=space.settings.mongo_url,
        database=other.settings.database("profile"),
        inputs={space.settings.topic(name): BY_NAME[name].partitions for name in topics},
        output=other.settings.topic(output),
        output_partitions=BY_NAME[output].partitions,
        output_bytes=output_bytes,
        stored_bytes=stored,
        upsert=upsert,
        beside=beside,
    )


async def _documents(database: Any, collection: str) -> tuple[int, int]:
    """(How many, bytes of each on average.)"""
    stats = await database.command("collStats", collection)
    return int(stats["count"]), int(stats.get("avgObjSize", 0))


async def _record_bytes(space: Namespace, topic: str) -> int:
    """The mean size of a record's value, of the last ones in each partition."""
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
        sizes: list[int] = []
        while batches := await consumer.getmany(timeout_ms=1_000):
            sizes += [len(r.value or b"") for batch in batches.values() for r in batch]
        return sum(sizes) // max(1, len(sizes))
    finally:
        await consumer.stop()

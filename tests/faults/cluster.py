"""A namespace of topics and databases, the workers in it, and what they made of the input."""

import asyncio
import os
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from motor.motor_asyncio import AsyncIOMotorClient

from deploy.local.processes import Process
from schemas.topics import BY_NAME
from services.runtime.checkpoints import decode
from services.runtime.settings import Settings
from services.runtime.topics import create_topics
from services.runtime.worker import app_id

Stages = dict[str, tuple[str, Sequence[str]]]
"""By name: the stage's database, and the topics it reads."""

TOYS = [sys.executable, "-m", "tests.faults.toy"]
_origins = msgspec.json.Decoder(dict[str, int])
QUIET_SECONDS = 60.0


class Cluster:
    """Runs worker processes against real servers; ends them all with ``close``."""

    def __init__(
        self, stack: Any, namespace: str, logs: Path, publish_within_s: float = 1.0
    ) -> None:
        self.settings = Settings(
            kafka_url=stack.kafka_url,
            mongo_url=stack.mongo_url,
            namespace=namespace,
            publish_within_s=publish_within_s,
        )
        self.client: AsyncIOMotorClient[dict[str, Any]] = AsyncIOMotorClient(stack.mongo_url)
        self.stack = stack
        self.logs = logs
        self._processes: list[Process] = []

    async def create_topics(self, workers: Sequence[str]) -> None:
        """All topics, and what Faust needs for ``workers``."""
        await create_topics(self.settings, [app_id(self.settings, name) for name in workers])

    def database(self, name: str) -> Any:
        """A database of this namespace."""
        return self.client[self.settings.database(name)]

    def start(self, argv: Sequence[str], worker_id: str = "1", **env: str) -> Process:
        """Start a worker; ``env`` are REGULARS_* settings in lower case."""
        settings = {
            "kafka_url": self.settings.kafka_url,
            "mongo_url": self.settings.mongo_url,
            "namespace": self.settings.namespace,
            "worker_id": worker_id,
            "log_format": "text",
            "session_timeout_ms": "2000",
            "publish_within_s": "1",
            **env,
        }
        variables = {f"REGULARS_{name.upper()}": value for name, value in settings.items()}
        name = f"{'-'.join(argv[-2:]).replace('/', '_')}-{worker_id}-{len(self._processes)}"
        process = Process(name, argv, variables, self.logs / f"{name}.log")
        process.start()
        self._processes.append(process)
        return process

    def toy(self, name: str, fault: str = "", worker_id: str = "1", **env: str) -> Process:
        """Start a toy stage, possibly a broken one."""
        return self.start([*TOYS, name, fault] if fault else [*TOYS, name], worker_id, **env)

    async def close(self) -> None:
        """Kill what runs, drop the databases."""
        for process in self._processes:
            process.kill()
        for name in await self.client.list_database_names():
            if name.startswith(self.settings.database("")):
                await self.client.drop_database(name)
        self.client.close()

    # -- input ---------------------------------------------------------------------------

    async def produce(self, topic: str, records: Iterable[tuple[str, bytes]]) -> Counter[str]:
        """Send (key, value) pairs, all acknowledged; returns how many of each key."""
        producer = AIOKafkaProducer(
            bootstrap_servers=self.settings.kafka_url, acks="all", linger_ms=5
        )
        sent = Counter[str]()
        await producer.start()
        try:
            acks = []
            for key, value in records:
                name = self.settings.topic(topic)
                acks.append(await producer.send(name, value, key=key.encode()))
                sent[key] += 1
            await asyncio.gather(*acks)
        finally:
            await producer.stop()
        return sent

    async def remove_all(self, topic: str) -> None:
        """Delete what lies on a topic now, as its retention would."""
        async with self._reader(topic) as reader:
            ends = await reader.ends()
        name = self.settings.topic(topic)
        admin = AIOKafkaAdminClient(bootstrap_servers=self.settings.kafka_url)
        await admin.start()
        try:
            await admin.delete_records(
                {
                    TopicPartition(name, partition): RecordsToDelete(before_offset=end)
                    for partition, end in ends.items()
                }
            )
        finally:
            await admin.close()

    # -- outcome -------------------------------------------------------------------------

    async def quiet(self, stages: Stages, *, outboxes: bool = True) -> None:
        """Wait until each stage (name: (database, topics)) has handled every record.

        That is: no lag, nothing in an outbox that its reader has not seen, and no checkpoint
        that moved while we looked. Broken stages forget what they have seen: for them,
        without ``outboxes``.

        Fails with the lag of each after a minute: something stands still, or is lost.
        """
        lag: dict[str, int] = {}
        async with asyncio.timeout(QUIET_SECONDS):
            try:
                while True:
                    before = await self._checkpoints(stages)
                    lag = {name: await self._lag(name, *stage) for name, stage in stages.items()}
                    if outboxes:
                        lag["unread"] = self._unread(stages, before)
                    if not any(lag.values()) and before == await self._checkpoints(stages):
                        return
                    await asyncio.sleep(0.05)
            except asyncio.CancelledError:
                print(f"lag: {lag}")
                raise

    async def records(self, topic: str) -> list[Any]:
        """Everything on a topic, once what the stages have stored to publish is there."""
        stored = await self._stored(topic)
        async with asyncio.timeout(QUIET_SECONDS), self._reader(topic) as reader:
            while True:
                records = await reader.all()
                if stored <= {_number(record.headers) for record in records}:
                    return records

    async def _stored(self, topic: str) -> set[tuple[bytes, bytes]]:
        """Origin and seq of the records for ``topic`` in any outbox of this namespace."""
        stored = set[tuple[bytes, bytes]]()
        for name in await self.client.list_database_names():
            if name.startswith(self.settings.database("")):
                async for item in self.client[name]["checkpoints"].find({}):
                    outputs = decode(item.get("outbox", b"\x90"))
                    stored |= {_number(o.headers) for o in outputs if o.topic == topic}
        return stored

    async def _lag(self, stage: str, database: str, topics: Sequence[str]) -> int:
        group = self.settings.namespace + stage
        handled = {
            item["_id"]: item.get("offset", 0)
            async for item in self.database(database)["checkpoints"].find({})
        }
        total = 0
        for topic in topics:
            async with self._reader(topic) as reader:
                for partition, end in (await reader.ends()).items():
                    total += end - handled.get(f"{group}/{topic}/{partition}", 0)
        return total

    async def _checkpoints(self, stages: Stages) -> dict[str, dict[str, Any]]:
        documents: dict[str, dict[str, Any]] = {}
        for database in {database for database, _ in stages.values()}:
            async for item in self.database(database)["checkpoints"].find({}):
                documents[item["_id"]] = item
        return documents

    def _unread(self, stages: Stages, documents: dict[str, dict[str, Any]]) -> int:
        """Records in the outboxes of ``stages`` that no reader among them has seen."""
        readers = {
            topic: self.settings.namespace + name
            for name, (_, topics) in stages.items()
            for topic in topics
        }
        seen = {id_: _origins.decode(item.get("origins", b"{}")) for id_, item in documents.items()}
        total = 0
        for item in documents.values():
            for output in decode(item.get("outbox", b"\x90")):
                headers = dict(output.headers)
                if output.topic in readers and "origin" in headers:
                    reader = f"{readers[output.topic]}/{output.topic}/{output.partition}"
                    last = seen.get(reader, {}).get(headers["origin"].decode(), 0)
                    total += last < int(headers["seq"])
        return total

    def _reader(self, topic: str) -> "_Reader":
        return _Reader(self.settings, topic)


def _number(headers: Sequence[tuple[str, bytes]]) -> tuple[bytes, bytes]:
    """A record's origin and seq; dead letters have where they were read instead."""
    facts = dict(headers)
    if "origin" in facts:
        return facts["origin"], facts["seq"]
    place = [facts.get(f"dl_{name}", b"") for name in ("topic", "partition", "offset")]
    return b"", b"/".join(place)


class _Reader:
    """A consumer of one whole topic, outside any group."""

    def __init__(self, settings: Settings, topic: str) -> None:
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=settings.kafka_url, group_id=None, auto_offset_reset="earliest"
        )
        self._partitions = [
            TopicPartition(settings.topic(topic), n) for n in range(BY_NAME[topic].partitions)
        ]

    async def __aenter__(self) -> "_Reader":
        await self._consumer.start()
        self._consumer.assign(self._partitions)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._consumer.stop()

    async def ends(self) -> dict[int, int]:
        ends = await self._consumer.end_offsets(self._partitions)
        return {partition.partition: offset for partition, offset in ends.items()}

    async def all(self) -> list[Any]:
        ends = await self._consumer.end_offsets(self._partitions)
        records: list[Any] = []
        await self._consumer.seek_to_beginning(*self._partitions)
        for partition, end in ends.items():
            while await self._consumer.position(partition) < end:
                batches = await self._consumer.getmany(partition, timeout_ms=500)
                records += batches.get(partition, [])
        return records


def unique_namespace() -> str:
    """A namespace no other test uses."""
    return f"t{os.urandom(4).hex()}."

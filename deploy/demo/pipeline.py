"""How far every stage has come, judged by what counts: stored checkpoints, topics' ends."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from time import time
from types import TracebackType
from typing import Any, Self

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from schemas.topics import FLOW, Topic
from services import processes
from services.runtime.mongo import PyMongoError, connect
from services.runtime.settings import Settings

STAGES = tuple(spec.name for spec in processes.WORKERS)
_POLL_S = 0.25
_origins = msgspec.json.Decoder(dict[str, int])


@dataclass(frozen=True)
class Look:
    """The pipeline at one moment."""

    lags: Mapping[str, int]
    """Records that wait, by stage."""
    due: int
    """Timers that wait: a sweep over all profiles goes from timer to timer."""
    unread: int
    """Checkpoints whose last output no reader has taken yet: it may not be published."""
    ends: Mapping[TopicPartition, int]

    @property
    def still(self) -> bool:
        """Nothing waits anywhere, as far as one look can tell."""
        return not (any(self.lags.values()) or self.due or self.unread)


class Pipeline:
    """Looks at Kafka and at the services' databases; an async context manager."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client = connect(settings)
        self._consumer: Any = None

    async def __aenter__(self) -> Self:
        self._consumer = AIOKafkaConsumer(bootstrap_servers=self._settings.kafka_url)
        await self._consumer.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._consumer.stop()
        self._client.close()

    async def look(self) -> Look:
        """Ends before checkpoints, so that what is handled cannot seem to be more than all."""
        partitions = [
            TopicPartition(self._settings.topic(topic.name), number)
            for topic in FLOW
            for number in range(topic.partitions)
        ]
        ends = await self._consumer.end_offsets(partitions)
        handled: dict[str, int] = {}
        written: dict[str, int] = {}
        read: dict[str, int] = {}
        due = 0
        for database in sorted({stage.partition("-")[0] for stage in STAGES}):
            found = self._client[self._settings.database(database)]
            fields = {"offset": 1, "seq": 1, "origins": 1}
            async for item in found["checkpoints"].find({}, fields):
                handled[item["_id"]] = item.get("offset", 0)
                written[item["_id"]] = item.get("seq", 0)
                for origin, seq in _origins.decode(item.get("origins") or b"{}").items():
                    read[origin] = max(seq, read.get(origin, 0))
            due += await found["timers"].count_documents({"due": {"$lte": int(time() * 1000)}})
        lags = dict.fromkeys(STAGES, 0)
        for stage, topic, number in _read_by():
            end = ends[TopicPartition(self._settings.topic(topic.name), number)]
            id_ = f"{self._settings.namespace}{stage}/{topic.name}/{number}"
            lags[stage] += max(0, end - handled.get(id_, 0))
        unread = sum(seq > read.get(id_, 0) for id_, seq in written.items())
        return Look(lags, due, unread, ends)

    async def quiet(self, show: Callable[[Look], None] = lambda look: None) -> None:
        """Returns once nothing waits and nothing has moved between two looks."""
        before: Look | None = None
        async for look in self.looks(_POLL_S):
            show(look)
            if look.still and look == before:
                return
            before = look

    async def looks(self, seconds: float) -> AsyncIterator[Look]:
        """A look now and then, without end. A server that is away is waited for."""
        while True:
            with suppress(KafkaError, PyMongoError):
                yield await self.look()
            await asyncio.sleep(seconds)


def _read_by() -> Iterator[tuple[str, Topic, int]]:
    for topic in FLOW:
        for reader in topic.readers:
            if reader in STAGES:
                for number in range(topic.partitions):
                    yield reader, topic, number

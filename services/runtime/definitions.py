"""``control.definitions`` as every worker sees it: whole, and before its first batch.

The topic is small and compacted, so each process reads it from its start, outside any
group, and then follows it.
"""

import asyncio
from collections.abc import Iterable
from typing import Any

import msgspec
import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from faust import Service

from schemas.messages import Definition
from schemas.topics import DEFINITIONS
from services.runtime.backoff import Backoff
from services.runtime.offsets import Offsets
from services.runtime.settings import Settings

log = structlog.get_logger()
_decoder = msgspec.json.Decoder(Definition)


class Definitions(Service):
    """The definitions of ``kinds`` that are in force. Complete once started."""

    abstract = False

    def __init__(self, settings: Settings, kinds: Iterable[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._settings = settings
        self._kinds = frozenset(kinds)
        self._partition = TopicPartition(settings.topic(DEFINITIONS.name), 0)
        self._consumer: AIOKafkaConsumer | None = None
        self._moved = asyncio.Event()
        self.current: dict[tuple[str, str], Definition] = {}
        """By (kind, name)."""
        self.revision = 0
        """Rises with every change of ``current`` in this process."""

    async def on_start(self) -> None:
        """Read everything there is; raises ``KafkaError`` when no broker answers."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._settings.kafka_url,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=5_000,  # one partition: what comes is answered at once
            consumer_timeout_ms=1_000,
        )
        try:
            await consumer.start()
            end = (await consumer.end_offsets([self._partition]))[self._partition]
            consumer.assign([self._partition])  # later: the answer would wait behind a fetch
            await consumer.seek_to_beginning(self._partition)
            while await consumer.position(self._partition) < end:
                await self._read(consumer)
        except BaseException:
            await consumer.stop()
            raise
        self._consumer = consumer

    async def caught_up(self, offsets: Offsets) -> None:
        """Return once everything that was published before the call is in ``current``.

        Raises ``KafkaError`` when no broker answers.
        """
        if self._consumer is None:
            return
        end = (await offsets.end([self._partition]))[self._partition]
        while await self._consumer.position(self._partition) < end:
            await self._moved.wait()

    async def changed(self, since: int) -> None:
        """Return once ``revision`` is another one than ``since``."""
        while self.revision == since:
            await self._moved.wait()

    async def on_stop(self) -> None:
        if self._consumer is not None:
            await self._consumer.stop()

    @Service.task
    async def _follow(self) -> None:
        backoff = Backoff()
        while not self.should_stop:
            assert self._consumer is not None
            try:
                await self._read(self._consumer)
                backoff.reset()
            except KafkaError as error:
                log.warning("definitions not read", error=type(error).__name__)
                await self.sleep(backoff.next())

    async def _read(self, consumer: AIOKafkaConsumer) -> None:
        batches = await consumer.getmany(timeout_ms=5_000)
        for record in batches.get(self._partition, ()):
            self._apply(record.key, record.value)
        self._moved.set()
        self._moved.clear()

    def _apply(self, key: bytes | None, value: bytes | None) -> None:
        kind, _, name = (key or b"").decode("utf-8", "replace").partition("/")
        if kind not in self._kinds:
            return
        if value is None:
            if self.current.pop((kind, name), None) is not None:
                self.revision += 1
            return
        try:
            definition = _decoder.decode(value)
        except msgspec.MsgspecError as error:
            log.error("definition does not fit", kind=kind, error=type(error).__name__)
            return
        known = self.current.get((kind, name))
        if known is None or known.version < definition.version:
            self.current[kind, name] = definition
            self.revision += 1

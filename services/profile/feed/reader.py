"""What lanes that have fallen behind read of Kafka, by themselves.

Kafka is their backlog: however long an endpoint is away, no more than a few deliveries of it
are stored. The same way a subscription is moved to another point in time.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from faust import Service

from schemas.validation import Fault
from services.profile.feed import rules
from services.profile.feed.model import Caught, LaneState, Subscription, Told
from services.profile.feed.rules import Arrived
from services.runtime import metrics
from services.runtime.backoff import Backoff
from services.runtime.settings import Settings

log = structlog.get_logger()

_AT_ONCE = 100
"""Events for one lane in one piece."""
_LOOKED_THROUGH = 5_000
"""Records for one lane in one piece, whether it wants them or not."""
_WAIT_MS = 1_000
_AGAIN_SECONDS = 5.0
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_Piece = tuple[int, int]
"""(moves, position) of a lane: what it asked for."""


class Reader(Service):
    """Reads on for one lane after another, and gives the stage what it finds."""

    abstract = False

    def __init__(
        self,
        settings: Settings,
        *,
        behind: Callable[[], Sequence[LaneState]],
        directory: Callable[[], Mapping[str, Subscription]],
        complete: Callable[[str, Any], None],
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._settings = settings
        self._behind = behind
        self._directory = directory
        self._complete = complete
        self._room = asyncio.Event()
        self._asked: dict[tuple[str, str], tuple[_Piece, float]] = {}
        self._consumer: AIOKafkaConsumer | None = None

    def look(self) -> None:
        """Some lane may have room."""
        metrics.WEBHOOKS_BEHIND.set(len(self._behind()))
        self._room.set()

    async def on_stop(self) -> None:
        await self._close()

    @Service.task
    async def _read_on(self) -> None:
        backoff = Backoff()
        while not self.should_stop:
            waiting = [state for state in self._behind() if self._is_new(state)]
            if not waiting:
                await self._rest()
                continue
            for state in waiting:
                try:
                    await self._serve(state)
                    backoff.reset()
                except KafkaError as error:
                    log.warning("lane not read", error=type(error).__name__)
                    await self._close()
                    await self.sleep(backoff.next())

    async def _rest(self) -> None:
        self._room.clear()
        try:
            await asyncio.wait_for(self._room.wait(), _AGAIN_SECONDS)
        except TimeoutError:
            if not self._behind():
                await self._close()  # nobody is behind: hold no connection

    def _is_new(self, state: LaneState) -> bool:
        """Whether this was not given to the stage a moment ago."""
        asked = self._asked.get((state.subscription, state.source))
        piece = (state.moves, state.position)
        return asked is None or asked[0] != piece or monotonic() - asked[1] > _AGAIN_SECONDS

    async def _serve(self, state: LaneState) -> None:
        subscription = self._directory().get(state.subscription)
        if subscription is None:
            return
        piece = (state.moves, state.position)
        caught = await self._read(subscription, state.source, piece)
        self._asked[state.subscription, state.source] = piece, monotonic()
        self._complete(state.source, caught)

    async def _read(self, subscription: Subscription, source: str, piece: _Piece) -> Caught:
        """The next events for the subscription in a partition."""
        moves, start = piece
        _, topic, number = source.rsplit("/", 2)
        partition = TopicPartition(self._settings.topic(topic), int(number))
        consumer = await self._at(partition)
        position = start if start >= 0 else await _offset_of(consumer, partition, subscription)
        consumer.seek(partition, position)
        end = (await consumer.end_offsets([partition]))[partition]
        told: list[Told] = []
        looked = 0
        while position < end and len(told) < _AT_ONCE and looked < _LOOKED_THROUGH:
            batch = await consumer.getmany(partition, timeout_ms=_WAIT_MS, max_records=_AT_ONCE)
            records = batch.get(partition, [])
            if not records:
                # The broker is slow, or retention has taken the rest: never skip by a guess.
                position = max(position, await consumer.position(partition))
                break
            looked += len(records)
            for record in records:
                position = record.offset + 1
                said = rules.read(_arrived(topic, record))
                if not isinstance(said, Fault) and rules.wants(subscription, said):
                    told.append(said)
        return Caught(
            subscription=subscription.id, moves=moves, start=start, end=position, told=told
        )

    async def _at(self, partition: TopicPartition) -> AIOKafkaConsumer:
        if self._consumer is None:
            consumer = AIOKafkaConsumer(
                bootstrap_servers=self._settings.kafka_url,
                group_id=None,
                enable_auto_commit=False,
                auto_offset_reset="earliest",  # where retention has taken the position
                fetch_max_wait_ms=200,
                max_partition_fetch_bytes=2_000_000,
            )
            try:
                await consumer.start()
            except BaseException:
                await consumer.stop()
                raise
            self._consumer = consumer
        self._consumer.assign([partition])
        return self._consumer

    async def _close(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await consumer.stop()


async def _offset_of(
    consumer: AIOKafkaConsumer, partition: TopicPartition, subscription: Subscription
) -> int:
    """The first record from the point in time that the subscription was moved to."""
    since = subscription.since or subscription.created_at
    stamp = (since - _EPOCH) // timedelta(milliseconds=1)
    found = (await consumer.offsets_for_times({partition: stamp}))[partition]
    if found is not None:
        return int(found.offset)
    return int((await consumer.end_offsets([partition]))[partition])


def _arrived(topic: str, record: Any) -> Arrived:
    return Arrived(
        topic=topic,
        partition=record.partition,
        offset=record.offset,
        key=record.key,
        value=record.value,
        headers=dict(record.headers),
        stamp=record.timestamp,
    )

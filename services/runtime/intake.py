"""The consumer's side of a stage: which partitions are ours, and their records.

The group tells what is assigned; a partition is *owned* only once its checkpoint was
taken, its outbox published again and the consumer told where to go on. Whatever the
consumer handed out before that is thrown away.
"""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError

from services.runtime import metrics
from services.runtime.checkpoints import Checkpoints
from services.runtime.publish import Publisher
from services.runtime.turn import Record, Source

_DECIDING_SECONDS = 0.5


@dataclass(frozen=True)
class Claim:
    """What changed hands: partitions that are new to us, and those we had and lost."""

    gained: list[Source]
    lost: list[Source]


class Intake(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is untyped here
    """The owned partitions of one stage. ``topics`` maps real topic names to logical ones."""

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        topics: Mapping[str, str],
        *,
        group: str,
        checkpoints: Checkpoints,
        publisher: Publisher,
    ) -> None:
        self._consumer = consumer
        self._topics = topics
        self._group = group
        self._checkpoints = checkpoints
        self._publisher = publisher
        self._assigned: frozenset[TopicPartition] | None = None  # None while rebalancing
        self._known = asyncio.Event()
        self._told = 0  # how often the group has spoken
        self._claimed = 0  # up to which of these we have acted
        self._held: dict[TopicPartition, Source] = {}  # as last claimed, even when revoked
        self._stale = set[str]()  # what others may have owned since we did
        self._pulling: asyncio.Task[None] | None = None
        self._pulled = deque[Record]()
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()
        self.between_turns = asyncio.Lock()
        """Held by the stage while it handles a turn: a rebalance waits for its end."""
        self.owned: dict[str, Source] = {}
        """The owned partitions by source id."""

    # -- what the group says (aiokafka's listener) ---------------------------------------

    async def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:
        """Let the turn in hand finish, so that its work is not wasted; then own nothing."""
        try:
            async with asyncio.timeout(2):
                async with self.between_turns:
                    pass
        except TimeoutError:
            pass  # The epoch decides, as after a crash.
        self._assigned = None
        self._known.clear()
        self._told += 1

    async def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        """Note it; the stage's loop claims, where trouble can be retried."""
        self._assigned = frozenset(assigned)
        self._told += 1
        self._known.set()

    # -- ownership -----------------------------------------------------------------------

    @property
    def joined(self) -> bool:
        """Whether the group has ever assigned us anything, if only nothing."""
        return self._told > 0

    @property
    def changed(self) -> bool:
        """Whether ``claim`` has something to do."""
        return self._told != self._claimed

    def forget(self, lost: Sequence[str]) -> None:
        """Other workers were found to own these: stop touching them."""
        for id_ in lost:
            self.owned.pop(id_, None)
        gone = set(lost)
        self._held = {tp: s for tp, s in self._held.items() if s.id not in gone}
        self._pulled = deque(record for record in self._pulled if record.source.id not in gone)

    def held(self, source_id: str) -> Source | None:
        """An owned partition, also while it is being claimed again after a rebalance."""
        for source in self._held.values():
            if source.id == source_id:
                return source
        return None

    def again(self) -> None:
        """Claim everything anew, as if it were new to us: memory and store may differ."""
        self._stale |= {source.id for source in self._held.values()}
        self._told += 1

    async def claim(self) -> Claim:
        """Take the checkpoints of what is assigned, publish their outboxes again, seek.

        While the group is still deciding it waits a moment and changes nothing. May raise
        (servers away, or yet another rebalance); then nothing is owned and it must be
        called again.
        """
        self.owned = {}
        await self.stop()
        try:
            async with asyncio.timeout(_DECIDING_SECONDS):
                await self._known.wait()
        except TimeoutError:
            return Claim([], [])
        told, assigned = self._told, self._assigned or frozenset()
        sources = {tp: self._held.get(tp) or self._source(tp) for tp in assigned}
        if sources:
            taken = await self._checkpoints.take(list(sources.values()))
            self._stale |= {s.id for s in sources.values()} - taken.kept
            await self._publisher.publish(taken.outbox)
            metrics.STAGE_REPLAYS.labels(self._group).inc(len(taken.outbox))
        for partition, source in sources.items():
            self._consumer.seek(partition, source.offset)
        if told != self._told:
            raise IllegalStateError("the group was rebalanced meanwhile")
        stale, self._stale = self._stale, set()
        gained = [source for source in sources.values() if source.id in stale]
        lost = [s for tp, s in self._held.items() if tp not in sources or s.id in stale]
        self._held = sources
        self._claimed = told
        self.owned = {source.id: source for source in sources.values()}
        metrics.STAGE_PARTITIONS.labels(self._group).set(len(self.owned))
        return Claim(gained, lost)

    # -- records -------------------------------------------------------------------------

    async def fetch(self, limit: int, seconds: float, wake: asyncio.Event) -> list[Record]:
        """Up to ``limit`` records; waits at most ``seconds``, and no longer than ``wake``."""
        told = self._told
        if self._pulling is None:
            self._pulling = asyncio.ensure_future(self._pull(limit))
        if not self._pulled:
            await self._something(seconds, wake)
        if self._pulling.done():
            pulling, self._pulling = self._pulling, None
            pulling.result()
        if told != self._told:
            return []
        records = [self._pulled.popleft() for _ in range(min(limit, len(self._pulled)))]
        self._room.set()
        return records

    async def stop(self) -> None:
        """Take no more records, and forget those that were not fetched."""
        pulling, self._pulling = self._pulling, None
        if pulling is not None:
            pulling.cancel()
            await asyncio.gather(pulling, return_exceptions=True)
        self._pulled.clear()

    async def tell_offsets(self) -> None:
        """Write the offsets to Kafka too: only lag monitors read them."""
        offsets = {
            TopicPartition(name, source.partition): source.offset
            for name, topic in self._topics.items()
            for source in self.owned.values()
            if source.topic == topic and source.offset
        }
        if offsets:
            # During a rebalance, or with Kafka away, it fails: the next one will do.
            with suppress(KafkaError, ValueError):
                await self._consumer.commit(offsets)

    def lag(self) -> int:
        """Records of the owned partitions that are not handled yet; sets the metric."""
        by_topic = dict.fromkeys(self._topics.values(), 0)
        present = self._consumer.assignment()
        for partition, source in self._held.items():
            if partition in present:
                end = self._consumer.highwater(partition) or 0
                by_topic[source.topic] += max(0, end - source.offset)
        for topic, records in by_topic.items():
            metrics.STAGE_LAG.labels(self._group, topic).set(records)
        return sum(by_topic.values())

    def _records(self, batches: Mapping[TopicPartition, Sequence[Any]]) -> list[Record]:
        records = []
        for partition, batch in batches.items():
            source = self._held.get(partition)
            if source is None or source.id not in self.owned:
                continue
            records += [
                Record(
                    source,
                    item.offset,
                    item.key,
                    item.value,
                    dict(item.headers),
                    item.timestamp or 0,
                )
                for item in batch
                if item.offset >= source.offset
            ]
        return records

    def _source(self, partition: TopicPartition) -> Source:
        topic = self._topics[partition.topic]
        id_ = f"{self._group}/{topic}/{partition.partition}"
        return Source(id_, topic, partition.partition)

    async def _pull(self, most: int) -> None:
        """Take records from the consumer as they come, also while a turn is handled.

        As long as it holds records that nobody has taken, the consumer asks the broker for no
        more of their partition, and then waits for the others' first: hundreds of
        milliseconds where little happens.
        """
        while True:
            batches = await self._consumer.getmany(timeout_ms=1_000, max_records=most)
            self._pulled += self._records(batches)
            if self._pulled:
                self._arrived.set()
            while len(self._pulled) >= most:
                self._room.clear()
                await self._room.wait()

    async def _something(self, seconds: float, wake: asyncio.Event) -> None:
        """Wait for records, for ``wake``, or for trouble in pulling."""
        assert self._pulling is not None
        self._arrived.clear()
        events = [asyncio.ensure_future(event.wait()) for event in (self._arrived, wake)]
        try:
            either = {self._pulling, *events}
            await asyncio.wait(either, timeout=seconds, return_when="FIRST_COMPLETED")
        finally:
            for event in events:
                event.cancel()

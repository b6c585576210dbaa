"""The consumer's side of a stage: which partitions are ours, and their records.

The group tells what is assigned; a partition is *owned* only once its checkpoint was
taken, its outbox published again and the consumer told where to go on. Whatever the
consumer handed out before that is thrown away.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError

from services.runtime import metrics
from services.runtime.ahead import Reading
from services.runtime.checkpoints import Checkpoints, stamp
from services.runtime.feed import Feed
from services.runtime.offsets import Offsets
from services.runtime.publish import Publisher
from services.runtime.trouble import Ahead
from services.runtime.turn import Record, Source

log = structlog.get_logger()

_DECIDING_SECONDS = 0.5
_SETTLING_SECONDS = 2.0
_LOOK_MS = 10_000
_CLOCKS_SECONDS = 0.25
"""By how much the clocks of workers and brokers may differ."""


@dataclass(frozen=True)
class Claim:
    """What changed hands: partitions that are new to us, and those we had and lost."""

    gained: list[Source]
    lost: list[Source]


def headers_of(said: Sequence[tuple[str, bytes | None]]) -> dict[str, bytes]:
    """A record's headers by name: of one name the last; null, which Kafka knows, is empty."""
    return {name: value or b"" for name, value in said}


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
        offsets: Offsets,
        publish_within_s: float,
        rest_s: float = 0.0,
        ahead: Reading | None = None,
    ) -> None:
        self._consumer = consumer
        self._topics = topics
        self._group = group
        self._checkpoints = checkpoints
        self._publisher = publisher
        self._offsets = offsets
        self._within_s = publish_within_s
        self._assigned: frozenset[TopicPartition] | None = None  # None while rebalancing
        self._known = asyncio.Event()
        self._told = 0  # how often the group has spoken
        self._claimed = 0  # up to which of these we have acted
        self._held: dict[TopicPartition, Source] = {}  # as last claimed, even when revoked
        self._stale = set[str]()  # what others may have owned since we did
        self._feed = Feed(self._take, self._hold, rest_s, ahead)
        self._offsets_told: dict[TopicPartition, int] = {}
        self.between_turns = asyncio.Lock()
        """Held by the stage while it handles a turn: a rebalance waits for its end."""
        self.published: Callable[[], Awaitable[None]] | None = None
        """Set by the stage: waits until the last turn's records have arrived."""
        self.owned: dict[str, Source] = {}
        """The owned partitions by source id."""

    # -- what the group says (aiokafka's listener) ---------------------------------------

    async def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:
        """Let the turn in hand finish, so that its work is not wasted; then own nothing."""
        # When it fails, epoch and stamp decide, as after a crash.
        with suppress(Exception):
            async with asyncio.timeout(_SETTLING_SECONDS), self.between_turns:
                if self.published is not None:
                    await self.published()
                await self.release()
                self._disown()  # with the lock in hand: no turn may begin before
                return
        self._disown()

    async def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        """Note it; the stage's loop claims, where trouble can be retried."""
        self._assigned = frozenset(assigned)
        self._told += 1
        self._known.set()

    def _disown(self) -> None:
        self._assigned = None
        self._known.clear()
        self._told += 1

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
        self._feed.forget(gone)

    def held(self, source_id: str) -> Source | None:
        """An owned partition, also while it is being claimed again after a rebalance."""
        for source in self._held.values():
            if source.id == source_id:
                return source
        return None

    async def release(self) -> None:
        """Tell the next owners that everything of ours has arrived, so they need not wait."""
        await self._checkpoints.release(list(self.owned.values()))

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
            await self._late_ones_refused(taken.at)
            if taken.outbox:
                at = await self._checkpoints.stamp(sources.values())
                await self._publisher.publish(taken.outbox, at)
            metrics.STAGE_REPLAYS.labels(self._group).inc(len(taken.outbox))
        await self._check_offsets(sources)
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

    async def _late_ones_refused(self, at: int) -> None:
        """Wait until the broker takes nothing any more that was stamped ``at``."""
        left = (at - stamp()) / 1000 + self._within_s + _CLOCKS_SECONDS
        if at and left > 0:
            await asyncio.sleep(min(left, self._within_s + _CLOCKS_SECONDS))

    async def _check_offsets(self, sources: Mapping[TopicPartition, Source]) -> None:
        """Say what retention took before we read it; raise ``Ahead`` for a topic made anew."""
        if not sources:
            return
        first = await self._offsets.first(sources)
        end = await self._offsets.end(sources)
        for partition, source in sources.items():
            if source.offset > end[partition]:
                raise Ahead(f"{source.id} is at {source.offset} of {end[partition]} records")
            lost = first[partition] - source.offset
            if source.offset and lost > 0:
                metrics.STAGE_LOST.labels(self._group, source.topic).inc(lost)
                log.error("records removed before they were read", source=source.id, records=lost)
                source.offset = first[partition]

    # -- records -------------------------------------------------------------------------

    async def fetch(self, limit: int, seconds: float, wake: asyncio.Event) -> list[Record]:
        """Up to ``limit`` records; waits at most ``seconds``, and no longer than ``wake``."""
        told = self._told
        records = await self._feed.fetch(limit, seconds, wake)
        return records if told == self._told else []

    async def stop(self) -> None:
        """Take no more records, and forget those that were not fetched."""
        await self._feed.stop()

    async def tell_offsets(self) -> None:
        """Write the offsets to Kafka too, if they have moved: only lag monitors read them."""
        offsets = {
            TopicPartition(name, source.partition): source.offset
            for name, topic in self._topics.items()
            for source in self.owned.values()
            if source.topic == topic and source.offset
        }
        if offsets and offsets != self._offsets_told:
            # During a rebalance, or with Kafka away, it fails: the next one will do.
            with suppress(KafkaError, ValueError):
                await self._consumer.commit(offsets)
                self._offsets_told = offsets

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

    async def _take(self) -> list[Record]:
        """The next records of owned partitions, once there are any."""
        batches: Mapping[TopicPartition, Sequence[Any]] = await self._consumer.getmany(
            timeout_ms=_LOOK_MS
        )
        records: list[Record] = []
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
                    headers_of(item.headers),
                    item.timestamp or 0,
                )
                for item in batch
                if item.offset >= source.offset
            ]
        return records

    @contextmanager
    def _hold(self) -> Iterator[None]:
        """Meanwhile the consumer asks the broker for nothing."""
        self._consumer.pause(*self._consumer.assignment())
        try:
            yield
        finally:
            self._consumer.resume(*self._consumer.paused())

    def _source(self, partition: TopicPartition) -> Source:
        topic = self._topics[partition.topic]
        id_ = f"{self._group}/{topic}/{partition.partition}"
        return Source(id_, topic, partition.partition)

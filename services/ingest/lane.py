"""What waits for one partition of one topic, and whom to tell when Kafka has it."""

import asyncio
from collections import deque

from aiokafka.producer.message_accumulator import BatchBuilder
from msgspec import Struct

from services.ingest.handler import Unavailable
from services.ingest.model import Accepted

_OVERHEAD = 600
"""What a waiting event costs beside its value, roughly."""


class Delivery:
    """One request's events under way; ``done`` when the last is acknowledged or any is not."""

    def __init__(self, events: int) -> None:
        self._left = events
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def acknowledged(self) -> None:
        """One event of it is stored."""
        self._left -= 1
        if not self._left and not self.done.done():
            self.done.set_result(None)

    def failed(self, why: str) -> None:
        """It is not known that all events are stored: ``done`` raises ``Unavailable``."""
        if not self.done.done():
            self.done.set_exception(Unavailable(why))
            self.done.exception()  # Several lanes may fail for one request: asked for or not.


class Item(Struct):
    """One event as a record."""

    key: bytes
    event: Accepted
    source: bytes
    delivery: Delivery


class Lane:
    """One partition of one topic. At most one batch is under way: ``sending``."""

    def __init__(self, topic: str, partition: int) -> None:
        self.topic = topic
        self.partition = partition
        self.waiting: deque[Item] = deque()
        self.sending: asyncio.Task[None] | None = None
        self.sent_at: float | None = None
        """When the batch under way was sent (monotonic seconds)."""

    def fill(self, batch: BatchBuilder, items: list[Item]) -> int:
        """Move what waits into ``batch`` and ``items`` until it is full.

        Returns how much less waits now (``size_of``): what was given up is dropped.
        """
        size = 0
        while self.waiting:
            item = self.waiting[0]
            if not item.delivery.done.done():  # A request that gave up is sent again whole.
                event = item.event
                headers = _headers(event, item.key, item.source)
                if (
                    batch.append(timestamp=None, key=item.key, value=event.value, headers=headers)
                    is None
                ):
                    break
                items.append(item)
            size += size_of(item.event)
            self.waiting.popleft()
        return size

    def give_up(self, why: str) -> int:
        """Fail all that waits; returns how much that was (``size_of``)."""
        size = sum(size_of(item.event) for item in self.waiting)
        for item in self.waiting:
            item.delivery.failed(why)
        self.waiting.clear()
        return size


def size_of(event: Accepted) -> int:
    """Bytes of memory that an event takes while it waits."""
    return len(event.value) + _OVERHEAD


def _headers(event: Accepted, key: bytes, source: bytes) -> list[tuple[str, bytes]]:
    """CloudEvents 1.0 in binary mode (Kafka protocol binding), and the event's name."""
    return [
        ("ce_specversion", b"1.0"),
        ("ce_id", event.message_id.encode()),
        ("ce_source", source),
        ("ce_type", event.type.encode()),
        ("ce_time", event.at.isoformat().replace("+00:00", "Z").encode()),
        ("ce_subject", key),
        ("content-type", b"application/json"),
        ("event", event.name.encode()),
    ]

"""Records ahead of the turn: what the feed takes, and when it holds the consumer."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from services.runtime.feed import Feed
from services.runtime.turn import Record, Source

SOURCE = Source("group/topic/0", "topic", 0)
NOBODY = asyncio.Event


def record(offset: int, size: int = 1) -> Record:
    return Record(SOURCE, offset, b"key", b"x" * size, {}, 0)


class Consumer:
    """Gives what it was told to, one list a call, and writes down what happens to it."""

    def __init__(self, *gives: Sequence[Record]) -> None:
        self._gives = list(gives)
        self.journal: list[str] = []
        self.given = asyncio.Event()

    async def take(self) -> Sequence[Record]:
        self.journal.append("take")
        if not self._gives:
            self.given.set()
            await asyncio.Event().wait()
        return self._gives.pop(0)

    @contextmanager
    def held(self) -> Iterator[None]:
        self.journal.append("hold")
        try:
            yield
        finally:
            self.journal.append("go on")


async def test_everything_is_taken_at_once_while_there_is_room() -> None:
    consumer = Consumer([record(0)], [record(1), record(2)])
    feed = Feed(consumer.take, consumer.held, rest_s=0.0)

    first = await feed.fetch(1, 10.0, NOBODY())
    await consumer.given.wait()
    rest = await feed.fetch(10, 10.0, NOBODY())
    await feed.stop()

    assert [it.offset for it in first + rest] == [0, 1, 2]
    assert consumer.journal == ["take", "take", "take"]


async def rested(*gives: Sequence[Record]) -> list[str]:
    """What happens to the consumer while a feed that rests takes the records 0 and 1 from it."""
    consumer = Consumer(*gives)
    feed = Feed(consumer.take, consumer.held, rest_s=0.001)
    first = await feed.fetch(10, 10.0, NOBODY())
    await consumer.given.wait()
    second = await feed.fetch(10, 10.0, NOBODY())
    await feed.stop()
    assert [it.offset for it in first + second] == [0, 1]
    return consumer.journal


async def test_a_feed_that_rests_holds_the_consumer_each_time_something_came() -> None:
    journal = await rested([record(0)], [], [record(1)])
    assert journal == ["take", "hold", "go on", "take", "take", "hold", "go on", "take"]


async def test_a_feed_rests_not_while_the_broker_has_more_than_an_answer_carries() -> None:
    journal = await rested([record(0, 600_000)], [record(1)])
    assert journal == ["take", "take", "hold", "go on", "take"]


async def test_with_too_much_waiting_the_consumer_is_held_until_there_is_room() -> None:
    consumer = Consumer([record(0, 1_500_000), record(1, 1_500_000)], [record(2)])
    feed = Feed(consumer.take, consumer.held, rest_s=0.0)

    first = await feed.fetch(1, 10.0, NOBODY())
    assert consumer.journal == ["take", "hold"]

    await consumer.given.wait()
    rest = await feed.fetch(10, 10.0, NOBODY())
    await feed.stop()

    assert [it.offset for it in first + rest] == [0, 1, 2]
    assert consumer.journal == ["take", "hold", "go on", "take", "take"]


async def test_a_feed_that_is_stopped_lets_the_consumer_go() -> None:
    consumer = Consumer([record(0)])
    feed = Feed(consumer.take, consumer.held, rest_s=3_600.0)

    await feed.fetch(10, 10.0, NOBODY())
    await feed.stop()

    assert consumer.journal == ["take", "hold", "go on"]


async def test_what_waits_is_read_and_what_was_fetched_is_not() -> None:
    records = [record(0), record(1)]
    consumer = Consumer(records)
    feed = Feed(consumer.take, consumer.held, 0.0, lambda it, now: f"read {it.offset}")

    first = await feed.fetch(1, 10.0, NOBODY())
    while records[1].ahead is None:
        await asyncio.sleep(0)
    second = await feed.fetch(1, 10.0, NOBODY())
    await feed.stop()

    assert [(it.offset, it.ahead) for it in second] == [(1, "read 1")]
    assert [it.offset for it in first] == [0]

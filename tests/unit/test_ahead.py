"""Records read ahead of their turn: all of them, in their order, and no trouble on the way."""

import asyncio
from datetime import datetime
from typing import Any

from services.runtime.ahead import read_ahead
from services.runtime.turn import Record, Source

SOURCE = Source("group/topic/0", "topic", 0)


def record(value: bytes) -> Record:
    return Record(SOURCE, 0, b"key", value, {}, 0)


async def test_each_record_holds_what_was_read_of_it() -> None:
    records = [record(b"one"), record(b"two")]
    await read_ahead(records, lambda it, now: (it.value, now.tzinfo is not None))
    assert [it.ahead for it in records] == [(b"one", True), (b"two", True)]


async def test_what_cannot_be_read_is_left_for_its_turn() -> None:
    def read(it: Record, now: datetime) -> Any:
        if it.value == b"bad":
            raise ValueError
        return it.value

    records = [record(b"one"), record(b"bad"), record(b"two")]
    await read_ahead(records, read)
    assert [it.ahead for it in records] == [b"one", None, b"two"]


async def test_a_turn_in_hand_need_not_wait_until_all_are_read() -> None:
    read: list[bytes | None] = []
    records = [record(b"%d" % number) for number in range(500)]
    reading = asyncio.ensure_future(read_ahead(records, lambda it, now: read.append(it.value)))
    await asyncio.sleep(0)
    at_once = len(read)
    await reading
    assert 0 < at_once < 500
    assert read == [b"%d" % number for number in range(500)]

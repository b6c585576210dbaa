"""Records read ahead of their turn: those that wait, in their order, and no trouble on the way."""

import asyncio
from datetime import datetime
from typing import Any

from services.runtime.ahead import ReadAhead
from services.runtime.intake import headers_of
from services.runtime.turn import Record, Source

SOURCE = Source("group/topic/0", "topic", 0)


def record(value: bytes) -> Record:
    return Record(SOURCE, 0, b"key", value, {}, 0)


async def read_all(ahead: ReadAhead) -> None:
    """Let everything happen that needs nothing from outside."""
    while ahead.reading:
        await asyncio.sleep(0)


async def test_each_record_holds_what_was_read_of_it() -> None:
    records = [record(b"one"), record(b"two")]
    ahead = ReadAhead(lambda it, now: (it.value, now.tzinfo is not None))
    ahead.came(records[:1])
    ahead.came(records[1:])
    await read_all(ahead)
    assert [it.ahead for it in records] == [(b"one", True), (b"two", True)]


async def test_what_comes_after_all_was_read_is_read_too() -> None:
    records = [record(b"one"), record(b"two")]
    ahead = ReadAhead(lambda it, now: it.value)
    for one in records:
        ahead.came([one])
        await read_all(ahead)
    assert [it.ahead for it in records] == [b"one", b"two"]


async def test_what_cannot_be_read_is_left_for_its_turn() -> None:
    def read(it: Record, now: datetime) -> Any:
        if it.value == b"bad":
            raise ValueError
        return it.value

    records = [record(b"one"), record(b"bad"), record(b"two")]
    ahead = ReadAhead(read)
    ahead.came(records)
    await read_all(ahead)
    assert [it.ahead for it in records] == [b"one", None, b"two"]


async def test_a_turn_in_hand_need_not_wait_until_all_are_read() -> None:
    read: list[bytes | None] = []
    ahead = ReadAhead(lambda it, now: read.append(it.value))
    ahead.came([record(b"%d" % number) for number in range(500)])
    await asyncio.sleep(0)
    at_once = len(read)
    await read_all(ahead)
    assert 0 < at_once < 500
    assert read == [b"%d" % number for number in range(500)]


async def test_what_has_its_turn_is_not_read_any_more() -> None:
    read: list[bytes | None] = []
    ahead = ReadAhead(lambda it, now: read.append(it.value))
    ahead.came([record(b"%d" % number) for number in range(500)])
    await asyncio.sleep(0)
    at_once = len(read)
    ahead.left(10)
    await read_all(ahead)
    assert read == [b"%d" % number for number in (*range(at_once), *range(490, 500))]


def test_a_header_that_is_null_is_empty_and_of_one_name_the_last_counts():
    said = (("origin", b"a"), ("seq", None), ("origin", b"b"), ("ce_id", b"m1"))
    assert headers_of(said) == {"origin": b"b", "seq": b"", "ce_id": b"m1"}

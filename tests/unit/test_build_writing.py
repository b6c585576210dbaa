"""A turn's rows on their way to the store while the turn goes on."""

import asyncio

import pytest

from services.profile.build.changes import Row, row_of
from services.profile.build.kept import Kept
from services.profile.build.writing import SLICE, Writing


class Server:
    """Takes one write at a time, when it is told to."""

    def __init__(self) -> None:
        self.written: list[list[str]] = []
        self.busy = False
        self.go_on = asyncio.Event()
        self.error: Exception | None = None

    async def save(self, rows: list[Row]) -> None:
        assert not self.busy
        self.busy = True
        try:
            await self.go_on.wait()
        finally:
            self.busy = False
        if self.error is not None:
            raise self.error
        self.written.append([row.profile_id for row in rows])


def rows(first: int, count: int) -> list[Row]:
    return [row_of(f"p{n}", 0, Kept(), (b"", None)) for n in range(first, first + count)]


async def test_a_slice_is_written_while_the_next_is_made_and_the_rest_at_the_end():
    server = Server()
    writing = Writing(server.save)
    few = rows(0, SLICE - 1)
    await writing.begin(few)
    assert (len(few), server.busy) == (SLICE - 1, False)
    enough = rows(0, SLICE)
    await writing.begin(enough)
    assert (enough, server.busy, server.written) == ([], True, [])
    server.go_on.set()
    await writing.begin(rows(SLICE, SLICE))
    await writing.end(rows(2 * SLICE, 1))
    assert [(ids[0], len(ids)) for ids in server.written] == [
        ("p0", SLICE),
        (f"p{SLICE}", SLICE),
        (f"p{2 * SLICE}", 1),
    ]


async def test_a_slice_that_fails_fails_the_turn():
    server = Server()
    server.error = ValueError("no")
    server.go_on.set()
    writing = Writing(server.save)
    await writing.begin(rows(0, SLICE))
    with pytest.raises(ValueError, match="no"):
        await writing.end([])


async def test_a_turn_that_fails_leaves_no_write_behind():
    server = Server()
    server.error = ValueError("no")
    writing = Writing(server.save)
    await writing.begin(rows(0, SLICE))
    asyncio.get_running_loop().call_soon(server.go_on.set)
    await writing.abandon()
    assert (server.busy, server.written) == (False, [])

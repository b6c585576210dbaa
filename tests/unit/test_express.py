"""Hot routes straight from the socket: the same answers, whatever comes and however."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from deploy.local.ports import free_port
from services.runtime import express
from services.runtime.express import Server
from services.runtime.hot import Asked, Hot, Part, Reply, read

LINES = {b"POST /hot HTTP/1.1": "/hot"}
READS = re.compile(rb"GET (/seen/[a-z%0-9]+) HTTP/1\.1")
SEEN = b"GET /seen/a%20b HTTP/1.1\r\nHost: x\r\n"
HEAD = b"POST /hot HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
PLAIN = HEAD + b"\r\nhello"


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers what uvicorn has read: the method and the body."""
    if scope["type"] == "lifespan":
        for done in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{done}.complete"})
        return
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    said = b"app %s %s" % (scope["method"].encode(), body[:20])
    headers = [(b"content-length", str(len(said)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": said})


async def echo(asked: Asked) -> Reply | None:
    await asyncio.sleep(0)
    if asked.authorization == "strange":
        return None
    return Reply(202, [(b"x-key", asked.authorization.encode())], b"hot " + asked.body)


HOT = Hot(frozenset({"/hot"}), 100_000, echo, rb"/seen/[a-z]+")


class Client:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def write(self, text: bytes) -> None:
        self.writer.write(text)

    async def answer(self) -> tuple[int, bytes]:
        """(status, body)."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        return int(head.split()[1]), await self.reader.readexactly(length)


@asynccontextmanager
async def serving(answer: Any = echo) -> AsyncIterator[tuple[Server, int]]:
    port = free_port()
    server = Server(app, "127.0.0.1", port, hot=HOT._replace(answer=answer))
    running = asyncio.create_task(server.serve())
    try:
        yield server, port
    finally:
        server.stop()
        await running


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[Client]:
    while True:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            break
        except ConnectionError:
            await asyncio.sleep(0)
    try:
        yield Client(reader, writer)
    finally:
        writer.close()


@pytest.mark.parametrize(
    "odd",
    [
        b"GET /hot HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello",
        b"POST /hot HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello",
        b"POST /hot?a=b HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello",
        b"POST /cold HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello",
        b"POST /hot HTTP/1.1\r\n\r\n",
        b"POST /hot HTTP/1.1\r\nContent-Length: +5\r\n\r\nhello",
        b"POST /hot HTTP/1.1\r\nContent-Length: 101\r\n\r\n",
        b"POST /hot HTTP/1.1\r\nContent-Length : 5\r\n\r\nhello",
        HEAD + b"Content-Length: 5\r\n\r\nhello",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nhello",
        HEAD + b"Connection: close\r\n\r\nhello",
        HEAD + b"Expect: 100-continue\r\n\r\n",
        HEAD + b"A: b\r\n folded\r\n\r\nhello",
        HEAD + b"A: b\nC: d\r\n\r\nhello",
        HEAD + b"A: \0\r\n\r\nhello",
        HEAD,
        b"GET /seen/A HTTP/1.1\r\n\r\n",
        b"GET /seen/a?b=c HTTP/1.1\r\n\r\n",
        b"GET /seen/a HTTP/1.0\r\n\r\n",
        b"HEAD /seen/a HTTP/1.1\r\n\r\n",
        b"GET /seen/a HTTP/1.1",
        SEEN + b"Content-Length: 1\r\n\r\na",
        SEEN + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        SEEN,
        b"",
    ],
)
def test_what_is_not_plainly_a_hot_request_is_none(odd: bytes) -> None:
    assert read(odd, LINES, 100, READS) is None


def test_a_hot_read_is_its_path_as_it_was_written() -> None:
    for length in (b"", b"Content-Length: 0\r\n"):
        text = SEEN + length + b"Authorization: Bearer x\r\n\r\n"
        part = Part(Asked("/seen/a%20b", "Bearer x", "", b""), b"GET")
        assert read(text + b"GET", LINES, 100, READS) == part
    assert read(SEEN + b"\r\n", LINES, 100) is None


def test_a_hot_request_is_read_with_what_follows_it() -> None:
    more = b"Authorization:  Basic eA== \r\nContent-Encoding: gzip\r\nConnection: Keep-Alive\r\n"
    more += b"ORIGIN: null\r\n"
    text = HEAD + more + b"\r\nhello"
    assert read(text + b"POST", LINES, 5) == Part(
        Asked("/hot", "Basic eA==", "gzip", b"hello", "null"), b"POST"
    )
    for cut in range(len(text) - 5, len(text)):
        assert read(text[:cut], LINES, 5) == Part(None, text[:cut])


async def test_requests_are_answered_in_their_order_in_whatever_pieces_they_come() -> None:
    async with serving() as (_, port), connected(port) as client:
        client.write(PLAIN)
        assert await client.answer() == (202, b"hot hello")
        client.write(PLAIN + PLAIN.replace(b"hello", b"again") + PLAIN[:-2])
        assert [await client.answer() for _ in range(2)] == [
            (202, b"hot hello"), (202, b"hot again")]  # fmt: skip
        client.write(PLAIN[-2:])
        assert await client.answer() == (202, b"hot hello")


async def test_what_is_odd_is_answered_by_the_app_and_so_is_all_that_follows() -> None:
    chunked = b"POST /hot HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    async with serving() as (_, port), connected(port) as client:
        client.write(PLAIN)
        assert await client.answer() == (202, b"hot hello")
        client.write(PLAIN + chunked + PLAIN)
        assert [await client.answer() for _ in range(3)] == [
            (202, b"hot hello"), (200, b"app POST hello"), (200, b"app POST hello")]  # fmt: skip


async def test_what_proves_not_to_be_hot_is_answered_by_the_app_and_so_is_all_that_follows() -> (
    None
):
    read = b"GET /seen/a HTTP/1.1\r\n\r\n"
    strange = PLAIN.replace(b"Host: x", b"Authorization: strange")
    async with serving() as (_, port), connected(port) as client:
        client.write(read + strange + read)
        assert [await client.answer() for _ in range(3)] == [
            (202, b"hot "), (200, b"app POST hello"), (200, b"app GET ")]  # fmt: skip


async def test_what_is_no_http_is_refused_and_a_head_has_an_end() -> None:
    async with serving() as (_, port):
        for text in (HEAD + b"A: b\r\n folded\0\r\n\r\nhello",
                     b"GET / HTTP/1.1\r\nA: " + b"b" * 200_000):  # fmt: skip
            async with connected(port) as client:
                client.write(text)
                assert (await client.answer())[0] == 400
                assert await client.reader.read() == b""


async def test_a_server_that_is_told_to_end_answers_first() -> None:
    asked, may = asyncio.Event(), asyncio.Event()

    async def slowly(said: Asked) -> Reply | None:
        asked.set()
        await may.wait()
        return await echo(said)

    async with serving(slowly) as (server, port), connected(port) as client:
        client.write(PLAIN)
        await asked.wait()
        server.stop()
        asyncio.get_running_loop().call_later(0.3, may.set)  # after it has begun to end
        assert await client.answer() == (202, b"hot hello")
        assert await client.reader.read() == b""


async def test_a_connection_on_which_nothing_comes_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(express, "IDLE_S", 0.05)
    async with serving() as (_, port), connected(port) as client:
        client.write(PLAIN + PLAIN[:-1])
        assert await client.answer() == (202, b"hot hello")
        assert await client.reader.read() == b""


async def test_who_hangs_up_before_the_answer_harms_nobody() -> None:
    async with serving() as (_, port):
        async with connected(port) as client:
            client.write(PLAIN)
        async with connected(port) as client:
            client.write(PLAIN)
            assert await client.answer() == (202, b"hot hello")


async def test_more_connections_than_may_be_are_told_to_come_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(express, "MOST", 1)
    async with serving() as (_, port), connected(port) as client:
        client.write(PLAIN)
        assert await client.answer() == (202, b"hot hello")
        async with connected(port) as other:
            assert await other.answer() == (503, b"")
            assert await other.reader.read() == b""
        client.write(PLAIN)
        assert await client.answer() == (202, b"hot hello")


async def test_an_app_that_cannot_start_ends_its_server() -> None:
    async def broken(_scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no key"})

    server = Server(broken, "127.0.0.1", free_port(), hot=Hot(frozenset(), 0, echo))
    await server.serve()
    assert not server.interrupt_signal

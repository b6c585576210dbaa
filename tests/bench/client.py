"""A lean HTTP/1.1 client, so that the load generator takes little from what it measures."""

import asyncio
from base64 import b64encode
from collections.abc import Sequence
from time import perf_counter, time

_LENGTH = b"content-length:"


class Refused(Exception):
    """An answer that is not a success."""


def request(path: str, body: bytes, key: str = "") -> bytes:
    """A whole POST request; ``key`` is a write key."""
    head = [
        f"POST {path} HTTP/1.1",
        "Host: 127.0.0.1",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    ]
    if key:
        head.append(f"Authorization: Basic {b64encode(f'{key}:'.encode()).decode()}")
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


def reading(path: str, token: str) -> bytes:
    """A whole GET request of somebody with a bearer token."""
    head = [f"GET {path} HTTP/1.1", "Host: 127.0.0.1", f"Authorization: Bearer {token}"]
    return "\r\n".join(head).encode() + b"\r\n\r\n"


class Connection(asyncio.Protocol):
    """One kept connection: one request at a time."""

    def __init__(self) -> None:
        self._received = b""
        self._answer: asyncio.Future[None] | None = None
        self._transport: asyncio.Transport | None = None

    @classmethod
    async def open(cls, port: int) -> "Connection":
        """Connect to 127.0.0.1."""
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(cls, "127.0.0.1", port)
        return connection

    async def post(self, text: bytes) -> None:
        """Send a request; returns when it is answered with 200, raises ``Refused`` otherwise."""
        assert self._transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(text)
        await self._answer

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")
        self._transport = transport  # type: ignore[assignment]

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(Refused("the connection was closed"))

    def data_received(self, data: bytes) -> None:
        received = self._received = self._received + data
        head, found, body = received.partition(b"\r\n\r\n")
        if not found:
            return
        lowered = head.lower()
        start = lowered.find(_LENGTH)
        if start < 0:
            complete = body.endswith(b"0\r\n\r\n")  # chunked
        else:
            length = lowered[start + len(_LENGTH) :].partition(b"\r\n")[0]
            complete = len(body) >= int(length)
        if not complete or self._answer is None:
            return
        self._received = b""
        answer, self._answer = self._answer, None
        if head.startswith(b"HTTP/1.1 200"):
            answer.set_result(None)
        else:
            answer.set_exception(Refused(received[:300].decode("utf-8", "replace")))


class Pool:
    """Connections that share requests; a context manager."""

    def __init__(self, port: int, size: int) -> None:
        self._port = port
        self._size = size
        self._connections: list[Connection] = []
        self.late: list[float] = []
        """By how much this process itself sent each later than it was meant, in ``delays``."""

    async def __aenter__(self) -> "Pool":
        opening = (Connection.open(self._port) for _ in range(self._size))
        self._connections = list(await asyncio.gather(*opening))
        return self

    async def __aexit__(self, *_: object) -> None:
        for connection in self._connections:
            connection.close()

    async def flood(self, requests: Sequence[bytes], seconds: float) -> int:
        """As fast as answers come, over and over; how many were answered in the time."""
        end = asyncio.get_running_loop().time() + seconds
        done = 0

        async def drive(connection: Connection, mine: Sequence[bytes]) -> None:
            nonlocal done
            loop = asyncio.get_running_loop()
            while True:
                for text in mine:
                    await connection.post(text)
                    if loop.time() >= end:
                        return
                    done += 1

        await asyncio.gather(
            *(drive(c, requests[n :: self._size]) for n, c in enumerate(self._connections))
        )
        return done

    async def delays(self, requests: Sequence[bytes], rate: float, seconds: float) -> list[float]:
        """Open-loop, ``rate`` requests a second; how long each took from when it was meant.

        One that finds no free connection waits for it, and its time runs meanwhile; so it does
        while this process itself is late.
        """
        queue: asyncio.Queue[tuple[float, bytes] | None] = asyncio.Queue()
        delays: list[float] = []

        # Not the loop's time: it stands still within a round, and has milliseconds only.
        async def drive(connection: Connection) -> None:
            while (due := await queue.get()) is not None:
                await connection.post(due[1])
                delays.append(perf_counter() - due[0])

        driving = [asyncio.ensure_future(drive(c)) for c in self._connections]
        begun = perf_counter()
        for number in range(int(rate * seconds)):
            at = begun + number / rate
            wait = at - perf_counter()
            if wait > 0:
                await asyncio.sleep(wait)
            self.late.append(perf_counter() - at)
            queue.put_nowait((at, requests[number % len(requests)]))
        for _ in driving:
            queue.put_nowait(None)
        await asyncio.gather(*driving)
        return delays

    async def pace(self, requests: Sequence[bytes], period: float) -> list[float]:
        """Open-loop: the nth at n * ``period`` seconds, whatever the answers do.

        Returns the instants (Unix time) at which each was meant to be sent. One that finds
        no free connection waits for it, and its time runs meanwhile.
        """
        loop = asyncio.get_running_loop()
        queue: asyncio.Queue[bytes | None] = asyncio.Queue()

        async def drive(connection: Connection) -> None:
            while (text := await queue.get()) is not None:
                await connection.post(text)

        driving = [asyncio.ensure_future(drive(c)) for c in self._connections]
        begun, wall = loop.time(), time()
        intended: list[float] = []
        for number, text in enumerate(requests):
            wait = begun + number * period - loop.time()
            if wait > 0:
                await asyncio.sleep(wait)
            intended.append(wall + number * period)
            queue.put_nowait(text)
        for _ in driving:
            queue.put_nowait(None)
        await asyncio.gather(*driving)
        return intended

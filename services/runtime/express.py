"""Serving hot routes straight from the socket, and everything else by uvicorn.

A hot request is one plain POST or GET: a known address, a length, nothing unusual in its head.
What is not goes, from its first byte on, to uvicorn, which this protocol extends, and its
connection stays there. Measured, a bare answer: 6 us this way, 27 by uvicorn and ASGI, 37 by
Granian, of which much is the way between its thread and ours.
"""

import asyncio
import re
import socket
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from http import HTTPStatus
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from services.runtime.hot import Asked, Hot, Reply, read

IDLE_S = 60.0
"""After so long without a whole request a connection is closed."""
MOST = 4_096
"""Connections of one process: each may hold a whole body."""
_FULL = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 2\r\nContent-Length: 0\r\n\r\n"
_LONGEST_HEAD = 64 * 1024
_LONGEST_WAITING = 64 * 1024
_STOP_S = 30
Lines = tuple[Mapping[bytes, str], re.Pattern[bytes] | None]
"""Request lines of what is posted, with their paths; and those of what is read."""
_STATUS = {int(one): b"HTTP/1.1 %d %s\r\n" % (one, one.phrase.encode()) for one in HTTPStatus}


class Express(HttpToolsProtocol):
    """One connection."""

    def __init__(self, hot: Hot, lines: Lines, **given: Any) -> None:
        super().__init__(**given)
        self._hot = hot
        self._posts, self._reads = lines
        self._given = False
        """Whether uvicorn has it."""
        self._busy = self._leaving = False
        self._waiting = b""
        self._head: int | None = None
        """Bytes of a head that uvicorn has yet to read to its end."""
        self._since = self.loop.time()
        self._watch: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]
        if len(self.connections) > MOST:
            self.transport.write(_FULL)
            self.transport.close()
        self._watch = self.loop.call_later(IDLE_S, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._watch is not None:
            self._watch.cancel()

    def data_received(self, data: bytes) -> None:
        if self._given:
            self._give(data)
        elif self._busy:
            self._waiting += data
            if len(self._waiting) > _LONGEST_WAITING:
                self.flow.pause_reading()
        else:
            self._take(self._waiting + data if self._waiting else data)

    def shutdown(self) -> None:
        """Hang up, once what was asked is answered."""
        if self._busy:
            self._leaving = True
        else:
            super().shutdown()

    def _take(self, data: bytes) -> None:
        part = read(data, self._posts, self._hot.longest, self._reads)
        if part is None:
            self._given, self._waiting = True, b""
            self._give(data)
            return
        self._waiting = part.rest
        if part.asked is not None:
            self._busy = True
            text = data[: len(data) - len(part.rest)]
            task = self.loop.create_task(self._answer(part.asked, text))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    async def _answer(self, asked: Asked, text: bytes) -> None:
        reply = await self._hot.answer(asked)
        if reply is None:
            self._pass_on(text)
            return
        if self.flow.write_paused:
            await self.flow.drain()
        self._busy = False
        self._since = self.loop.time()
        if self.transport.is_closing():
            return
        self.transport.write(self._written(reply))
        self.flow.resume_reading()
        if self._leaving:
            self.transport.close()
        elif self._waiting:
            self._take(self._waiting)

    def _pass_on(self, text: bytes) -> None:
        """What was not hot after all, with what came after it."""
        self._busy, self._given = False, True
        text, self._waiting = text + self._waiting, b""
        self.flow.resume_reading()
        if not self.transport.is_closing():
            self._give(text)
            if self._leaving:
                super().shutdown()

    def _written(self, reply: Reply) -> bytes:
        fields = (*self.server_state.default_headers, *reply.headers)
        parts = [b"%s: %s\r\n" % field for field in fields if field[0] != b"content-length"]
        length = b"content-length: %d\r\n\r\n" % len(reply.body)
        return b"".join((_STATUS[reply.status], *parts, length, reply.body))

    def _give(self, data: bytes) -> None:
        """To uvicorn, which has no limit of its own for heads."""
        if self._head is not None:
            self._head += len(data)
            if self._head > _LONGEST_HEAD:
                self.send_400_response("The head of the request is too long.")
                return
        super().data_received(data)

    def on_message_begin(self) -> None:
        self._head = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._head = None
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        self._since = self.loop.time()
        super().on_response_complete()

    def _look(self) -> None:
        """Is anybody there? Looked at seldom, so that a request pays nothing for it."""
        answering = self._busy or (self.cycle is not None and not self.cycle.response_complete)
        quiet = 0.0 if answering else self.loop.time() - self._since
        if quiet >= IDLE_S:
            self.transport.close()
        else:
            self._watch = self.loop.call_later(IDLE_S - quiet, self._look)


class _Uvicorn(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._told = asyncio.Event()

    def stop(self) -> None:
        self.should_exit = True
        self._told.set()

    async def main_loop(self) -> None:
        """A look a second, for the date of answers; uvicorn's ten are to see that it should end."""
        while not await self.on_tick(0):
            with suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await self._told.wait()

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Signals are the caller's."""
        yield


class Server:
    """Serves ``app`` on an address that several processes may share, its hot routes first."""

    def __init__(self, app: ASGIApp, host: str, port: int, *, hot: Hot) -> None:
        posts = {f"POST {path} HTTP/1.1".encode(): path for path in hot.paths}
        reads = None if hot.reads is None else re.compile(rb"GET (%s) HTTP/1\.1" % hot.reads)
        lines = (posts, reads)

        def connection(**given: Any) -> Express:
            return Express(hot, lines, **given)

        config = uvicorn.Config(
            app,
            http=connection,  # type: ignore[arg-type]
            loop="none",
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            backlog=1024,
            timeout_keep_alive=int(IDLE_S),
            timeout_graceful_shutdown=_STOP_S,
        )
        self._server = _Uvicorn(config)
        self._address = (host, port)
        self.interrupt_signal = False
        """Whether it was told to end."""

    async def serve(self) -> None:
        """Serve until ``stop``; returns at once when the app cannot start."""
        family = socket.AF_INET6 if ":" in self._address[0] else socket.AF_INET
        with socket.socket(family) as listening:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            listening.bind(self._address)
            with suppress(SystemExit):  # it has said why
                await self._server.serve([listening])

    def stop(self) -> None:
        """Answer what has been asked, then end."""
        self.interrupt_signal = True
        self._server.stop()

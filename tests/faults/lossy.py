"""A way to MongoDB on which answers get lost: what was asked is done, and nobody hears of it."""

import asyncio
from contextlib import suppress

_BYTES = 65_536
_COMMIT = b"commitTransaction"


class Lossy:
    """Passes connections on; drops one instead of answering, for as many commits as it is told."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._server: asyncio.Server | None = None
        self._passing = set[asyncio.Task[None]]()
        self.left = 0
        """Answers to commits that are yet to be lost."""

    async def __aenter__(self) -> "Lossy":
        self._server = await asyncio.start_server(self._pass, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._passing:
            task.cancel()
        await asyncio.gather(*self._passing, return_exceptions=True)

    @property
    def url(self) -> str:
        """Of MongoDB this way; a client must not look for the replica set's own address."""
        assert self._server is not None
        return (
            f"mongodb://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/?directConnection=true"
        )

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._passing.add(task)
        there, out = await asyncio.open_connection("127.0.0.1", self._port)
        lost = asyncio.Event()

        async def ask() -> None:
            while data := await reader.read(_BYTES):
                if _COMMIT in data and self.left:
                    self.left -= 1
                    lost.set()
                out.write(data)
                await out.drain()

        async def answer() -> None:
            while (data := await there.read(_BYTES)) and not lost.is_set():
                writer.write(data)
                await writer.drain()

        both = [asyncio.ensure_future(ask()), asyncio.ensure_future(answer())]
        try:
            with suppress(OSError):
                await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in both:
                each.cancel()
            await asyncio.gather(*both, return_exceptions=True)
            for end in (out, writer):
                end.close()
            self._passing.discard(task)

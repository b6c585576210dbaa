"""Every API as it runs, on real servers and real sockets: in this process, on a loop of its own."""

import asyncio
import threading
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from importlib import import_module
from typing import Any

import httpx
from fastapi import FastAPI
from granian.constants import Interfaces
from granian.server.embed import Server

from deploy.local.ports import free_port
from services.runtime.settings import Settings

PATIENCE_S = 60


@contextmanager
def served(settings: Mapping[str, Settings]) -> Iterator[dict[str, str]]:
    """The address of each service's API, ready to answer, while the block lasts."""
    with asyncio.Runner() as runner:
        house = House()
        started = threading.Event()
        urls = dict[str, str]()
        serving = threading.Thread(target=lambda: runner.run(house.serve(settings, urls, started)))
        serving.start()
        try:
            started.wait(len(settings) * PATIENCE_S)
            assert urls.keys() == settings.keys()
            yield urls
        finally:
            house.leave()
            serving.join(PATIENCE_S)


class House:
    """The servers on their loop."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._leaving = asyncio.Event()

    def leave(self) -> None:
        """Have all of them end."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._leaving.set)

    async def serve(
        self, settings: Mapping[str, Settings], urls: dict[str, str], started: threading.Event
    ) -> None:
        """Serve until told to leave."""
        self._loop = asyncio.get_running_loop()
        try:
            async with AsyncExitStack() as ending:
                for service, given in settings.items():
                    urls[service] = await _serve(service, given, ending)
                started.set()
                await self._leaving.wait()
        finally:
            started.set()


async def _serve(service: str, settings: Settings, ending: AsyncExitStack) -> str:
    app: FastAPI = import_module(f"services.{service}.api").create_app(settings)
    port = free_port()
    server = Server(
        getattr(app.state, "front", app),  # what an app has put before itself
        address="127.0.0.1",
        port=port,
        interface=Interfaces.ASGI,
        websockets=False,
        log_enabled=False,
    )
    serving = asyncio.create_task(server.serve())

    async def end() -> None:
        app.state.stopping.set()
        server.stop()
        await serving

    ending.push_async_callback(end)
    url = f"http://127.0.0.1:{port}"
    async with httpx.AsyncClient(trust_env=False) as client, asyncio.timeout(PATIENCE_S):
        while not serving.done() and not await _is_ready(client, url):
            await asyncio.sleep(0.02)
    assert not serving.done(), f"{service} did not start"
    return url


async def _is_ready(client: httpx.AsyncClient, url: str) -> bool:
    try:
        return (await client.get(f"{url}/health/ready")).is_success
    except httpx.TransportError:
        return False


def settings_of(service: str, **given: Any) -> Settings:
    """The settings of a service's API."""
    module = import_module(f"services.{service}.settings")
    (kind,) = (
        found
        for name, found in vars(module).items()
        if name.endswith("Settings") and found.__module__ == module.__name__
    )
    made: Settings = kind(**given)
    return made

"""Ingest in this process, with a list in Kafka's place."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx
import msgspec

from services.ingest.api import create_app
from services.ingest.handler import Unavailable
from services.ingest.model import Accepted
from services.ingest.settings import IngestSettings
from services.runtime.keys import digest

KEY = "a-write-key"
SOURCE = "web"


class Shelf:
    """Takes events until told that it cannot."""

    def __init__(self) -> None:
        self.events: list[Accepted] = []
        self.trouble: str | None = None

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def unready(self) -> str | None:
        return self.trouble

    async def deliver(self, events: Sequence[Accepted], source: str) -> None:
        assert source == SOURCE
        if self.trouble is not None:
            raise Unavailable(self.trouble)
        self.events.extend(events)

    @property
    def values(self) -> list[dict[str, Any]]:
        return [msgspec.json.decode(event.value) for event in self.events]


def settings(**given: Any) -> IngestSettings:
    return IngestSettings(write_keys={digest(KEY): SOURCE}, **given)


@asynccontextmanager
async def client_of(shelf: Shelf, key: str | None = KEY) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(create_app(settings(), shelf), raise_app_exceptions=True)
    auth = None if key is None else httpx.BasicAuth(key, "")
    async with httpx.AsyncClient(
        transport=transport, base_url="http://ingest", auth=auth
    ) as client:
        yield client

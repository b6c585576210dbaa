"""Ingest in this process, with a list in Kafka's place."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
import msgspec
from fastapi import FastAPI

from schemas.messages import Definition
from services.ingest.api import create_app
from services.ingest.handler import Unavailable
from services.ingest.model import Accepted, Origin, Rejection
from services.ingest.settings import IngestSettings
from services.ingest.sources.model import Source
from services.runtime.keys import digest

KEY = "a-write-key"
SOURCE = "web"


class Published:
    """Definitions as they would be read from Kafka."""

    def __init__(self) -> None:
        self.current: dict[tuple[str, str], Definition] = {}
        self.revision = 0

    def put(self, source: Source) -> None:
        self.revision += 1
        self.current["source", source.name] = Definition(
            kind="source",
            name=source.name,
            version=self.revision,
            updated_at=datetime(2026, 1, 1, tzinfo=UTC),
            body=msgspec.to_builtins(source),
        )

    def put_plan(self, name: str, body: dict[str, Any]) -> None:
        self.revision += 1
        self.current["tracking_plan", name] = Definition(
            kind="tracking_plan",
            name=name,
            version=self.revision,
            updated_at=datetime(2026, 1, 1, tzinfo=UTC),
            body=body,
        )

    def drop(self, name: str) -> None:
        self.revision += 1
        del self.current["source", name]


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


class Kept:
    """Refused events, each with what was said of it."""

    def __init__(self) -> None:
        self.refused: list[tuple[bytes, Rejection, Origin]] = []

    async def stop(self) -> None: ...

    async def record(
        self, texts: Sequence[bytes], rejections: Sequence[Rejection], origin: Origin
    ) -> None:
        self.refused += [(texts[one.index], one, origin) for one in rejections]


def settings(**given: Any) -> IngestSettings:
    return IngestSettings(write_keys={digest(KEY): SOURCE}, **given)


@asynccontextmanager
async def client_of(
    shelf: Shelf,
    key: str | None = KEY,
    published: Published | None = None,
    kept: Kept | None = None,
) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(settings(), shelf, published or Published(), kept or Kept())
    async with client_for(app) as client:
        client.auth = None if key is None else httpx.BasicAuth(key, "")
        yield client


@asynccontextmanager
async def client_for(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client of such an app, without a key."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=True)
    async with httpx.AsyncClient(transport=transport, base_url="http://ingest") as client:
        yield client

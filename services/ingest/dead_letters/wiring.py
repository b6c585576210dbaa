"""The API's side of dead letters, while ingest runs. Events are taken without it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from services.ingest.dead_letters.desk import Desk
from services.ingest.dead_letters.means import Means
from services.ingest.dead_letters.routes import router
from services.ingest.dead_letters.store import Letters
from services.ingest.settings import IngestSettings
from services.ingest.sources.model import Source
from services.ingest.sources.office import Office
from services.runtime.mongo import connect

__all__ = ["opened", "router"]


@asynccontextmanager
async def opened(app: FastAPI, settings: IngestSettings, office: Office) -> AsyncIterator[None]:
    """Lend the routes what they need; connects when it is first asked, closes at the end."""

    def source(name: str) -> Source:
        # A source that is gone had no rules of its own that could still hold.
        return office.directory.by_name(name) or Source(name=name)

    client = connect(settings)
    try:
        letters = Letters(client[settings.database("ingest")])
        app.state.dead_letters = Means(letters, Desk(letters, source, office.clock, office.plans))
        yield
    finally:
        client.close()

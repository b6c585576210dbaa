"""The API's side of dead letters, while ingest runs. Events are taken without it."""

from fastapi import FastAPI

from services.ingest.dead_letters.desk import Desk
from services.ingest.dead_letters.means import Means
from services.ingest.dead_letters.routes import router
from services.ingest.dead_letters.store import Letters
from services.ingest.sources.model import Source
from services.ingest.sources.office import Office
from services.runtime.mongo import Database

__all__ = ["lend", "router"]


def lend(app: FastAPI, database: Database, office: Office) -> None:
    """Give the routes what they need."""

    def source(name: str) -> Source:
        # A source that is gone had no rules of its own that could still hold.
        return office.directory.by_name(name) or Source(name=name)

    letters = Letters(database)
    app.state.dead_letters = Means(letters, Desk(letters, source, office.clock, office.plans))

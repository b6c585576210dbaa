"""The admin's side of tracking plans, while ingest runs. Events are judged without it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

import structlog
from fastapi import FastAPI

from services.ingest.plans.directory import KIND
from services.ingest.plans.model import Plan
from services.ingest.plans.store import Shelf, Violations, prepare
from services.ingest.plans.tally import Tallies
from services.ingest.register import Register
from services.ingest.settings import IngestSettings
from services.ingest.sources.directory import Directory
from services.ingest.sources.office import Office
from services.runtime.backoff import Backoff
from services.runtime.mongo import Database, PyMongoError
from services.runtime.publish import Publisher

log = structlog.get_logger()

_PAUSE_SECONDS = 1.0
_LAST_WRITE_SECONDS = 3.0


@dataclass
class Desk:
    """What the routes of plans work with."""

    shelf: Shelf
    register: Register[Plan]
    violations: Violations
    directory: Directory
    clock: Callable[[], datetime]


@asynccontextmanager
async def opened(
    app: FastAPI, settings: IngestSettings, database: Database, office: Office
) -> AsyncIterator[None]:
    """Lend the routes what they need, publish plans, and store what is counted."""
    publisher = Publisher(settings, "ingest-plans")
    shelf, violations = Shelf(database), Violations(database, office.run)
    register = Register(KIND, shelf, publisher, office.clock)
    app.state.plans = Desk(shelf, register, violations, office.directory, office.clock)
    work = []
    if office.following:
        work = [
            asyncio.create_task(one)
            for one in (
                _prepare(database),
                register.keep_telling(),
                _keep_writing(office.violations, violations),
            )
        ]
    try:
        yield
    finally:
        for task in work:
            task.cancel()
        await asyncio.gather(*work, return_exceptions=True)
        await publisher.stop()


async def _prepare(database: Database) -> None:
    backoff = Backoff()
    while True:
        try:
            await prepare(database)
            return
        except PyMongoError as error:
            log.warning("indexes not created yet", error=type(error).__name__)
            await asyncio.sleep(backoff.next())


async def _keep_writing(tallies: Tallies, violations: Violations) -> None:
    """Store what was counted, about once a second. Runs until cancelled, and stores the rest."""
    try:
        while True:
            await asyncio.sleep(_PAUSE_SECONDS)
            await _write(tallies, violations)
    finally:
        try:
            async with asyncio.timeout(_LAST_WRITE_SECONDS):
                await _write(tallies, violations)
        except TimeoutError:
            log.warning("latest violations not stored")


async def _write(tallies: Tallies, violations: Violations) -> None:
    days = tallies.changed()
    if not days:
        return
    try:
        await violations.save(days)
    except BaseException as error:
        tallies.give_back(days)
        if not isinstance(error, PyMongoError):
            raise
        log.warning("violations not stored yet", error=type(error).__name__)

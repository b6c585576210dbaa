"""Everything about sources that one ingest process holds, and its life.

Taking events needs only the ``directory``, which follows Kafka. MongoDB stands behind the
admin API and what it shows: while it is away, events are taken as ever.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from time import monotonic
from typing import Annotated, Any
from uuid import uuid4

import structlog
from aiokafka.errors import KafkaError
from fastapi import Depends, Request

from schemas.validation import Fault
from services.ingest.plans.directory import KIND as PLAN
from services.ingest.plans.directory import Plans
from services.ingest.plans.tally import Tallies
from services.ingest.settings import IngestSettings
from services.ingest.sources import store
from services.ingest.sources.activity import Activity
from services.ingest.sources.audience import Audience
from services.ingest.sources.directory import KIND, DefinitionsView, Directory
from services.ingest.sources.lens import Lens
from services.ingest.sources.model import Source
from services.ingest.sources.register import Register
from services.ingest.sources.scribe import Scribe
from services.ingest.sources.seals import Seals
from services.ingest.sources.turnstile import Turnstile
from services.runtime.backoff import Backoff
from services.runtime.definitions import Definitions
from services.runtime.http import Problem
from services.runtime.mongo import Database, PyMongoError
from services.runtime.publish import Publisher

log = structlog.get_logger()

CheckOptions = Callable[[str, Any], list[Fault]]
"""What is wrong with the options of a source of that kind."""


@dataclass
class Desk:
    """What the admin API works with."""

    sources: store.Sources
    register: Register
    counts: store.Counts
    sightings: store.Sightings
    scribe: Scribe


class Office:
    """The sources of this process. ``ValueError`` when a secret key of the settings is none."""

    def __init__(
        self,
        settings: IngestSettings,
        clock: Callable[[], datetime],
        definitions: DefinitionsView | None = None,
        check_options: CheckOptions = lambda _kind, _options: [],
    ) -> None:
        self._settings = settings
        self.following = definitions is None
        """Else a test holds the definitions, and there are no servers."""
        self.clock = clock
        self.seals = Seals([key.get_secret_value() for key in settings.secret_keys])
        self.directory = Directory(settings.write_keys, self.seals, clock, definitions)
        self.run = uuid4().hex[:12]
        something = asyncio.Event()
        activity, lens = Activity(something.set), Lens(self.run)
        self.scribe = Scribe(
            activity, lens, self.directory, something=something, clock=clock, now=monotonic
        )
        self.turnstile = Turnstile(activity, lens, monotonic)
        self.audience = Audience()
        self.check_options = check_options
        self.violations = Tallies(clock)
        self.plans = Plans(self.violations, definitions)
        self.desk: Desk | None = None

    def unready(self) -> str | None:
        """None once the sources are known; else why not."""
        return None if self.directory.complete else "The sources have not been read from Kafka."

    def refused(self, source: Source, code: str) -> None:
        """Count a request of ``source`` that was refused before it was read, as one."""
        self.turnstile.refused(source, code, self.clock())

    @asynccontextmanager
    async def open(self, database: Database) -> AsyncIterator[None]:
        """Follow the published sources, and serve the admin API, until it is left."""
        if not self.following:
            yield
            return
        async with AsyncExitStack() as stack:
            publisher = Publisher(self._settings, "ingest-sources")
            stack.push_async_callback(publisher.stop)
            sources = store.Sources(database)
            self.desk = desk = Desk(
                sources,
                Register(sources, publisher, self.clock),
                store.Counts(database, self.run),
                store.Sightings(database),
                self.scribe,
            )
            for work in (
                _prepare(database),
                desk.register.keep_telling(),
                desk.scribe.keep_writing(desk.counts, desk.sightings),
                desk.scribe.keep_looking(desk.sightings),
                self._follow(stack),
            ):
                stack.push_async_callback(_end, asyncio.create_task(work))
            yield

    async def _follow(self, stack: AsyncExitStack) -> None:
        backoff = Backoff()
        while not self.directory.complete:
            definitions = Definitions(self._settings, (KIND, PLAN))
            try:
                await definitions.start()
            except KafkaError as error:
                log.warning("sources not read", error=type(error).__name__)
                await asyncio.sleep(backoff.next())
                continue
            stack.push_async_callback(definitions.stop)
            self.plans.follow(definitions)
            self.directory.follow(definitions)


async def _prepare(database: Database) -> None:
    """Create what the collections need, as soon as MongoDB is there."""
    backoff = Backoff()
    while True:
        try:
            await store.prepare(database)
            return
        except PyMongoError as error:
            log.warning("indexes not created yet", error=type(error).__name__)
            await asyncio.sleep(backoff.next())


async def _end(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _office(request: Request) -> Office:
    office: Office = request.app.state.office
    return office


Means = Annotated[Office, Depends(_office)]
"""A route's parameter of this type is the API's ``Office``."""


def desk_of(office: Office) -> Desk:
    """What stands behind the admin API; 503 before it is there."""
    if office.desk is None:
        detail = "The process has not started yet."
        raise Problem(503, "Service Unavailable", detail, headers={"Retry-After": "1"})
    return office.desk

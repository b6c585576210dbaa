"""Everything about sources that one ingest process holds, and its life.

Taking events needs only the ``directory``, which follows Kafka. MongoDB stands behind the
admin API alone: while it is away, sources cannot be changed, and events are taken as ever.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from time import monotonic
from typing import Annotated
from uuid import uuid4

import structlog
from aiokafka.errors import KafkaError
from fastapi import Depends, Request

from services.ingest.settings import IngestSettings
from services.ingest.sources.activity import Activity
from services.ingest.sources.directory import KIND, DefinitionsView, Directory
from services.ingest.sources.lens import Lens
from services.ingest.sources.register import Register
from services.ingest.sources.seals import Seals
from services.ingest.sources.store import Sources
from services.ingest.sources.turnstile import Turnstile
from services.runtime.backoff import Backoff
from services.runtime.definitions import Definitions
from services.runtime.mongo import connect
from services.runtime.publish import Publisher

log = structlog.get_logger()


@dataclass
class Desk:
    """What the admin API works with."""

    sources: Sources
    register: Register


class Office:
    """The sources of this process. ``ValueError`` when a secret key of the settings is none."""

    def __init__(
        self,
        settings: IngestSettings,
        clock: Callable[[], datetime],
        definitions: DefinitionsView | None = None,
    ) -> None:
        self._settings = settings
        self._following = definitions is None
        self.clock = clock
        self.seals = Seals([key.get_secret_value() for key in settings.secret_keys])
        self.directory = Directory(settings.write_keys, self.seals, clock, definitions)
        self.activity = Activity()
        self.lens = Lens(run := uuid4().hex[:12])
        self._run = run
        self.turnstile = Turnstile(self.activity, self.lens, monotonic)
        self.desk: Desk | None = None

    def unready(self) -> str | None:
        """None once the sources are known; else why not."""
        return None if self.directory.complete else "The sources have not been read from Kafka."

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Follow the published sources, and serve the admin API, until it is left."""
        if not self._following:  # a test holds the definitions
            yield
            return
        async with AsyncExitStack() as stack:
            client = connect(self._settings)
            stack.callback(client.close)
            publisher = Publisher(self._settings, "ingest-sources")
            stack.push_async_callback(publisher.stop)
            sources = Sources(client[self._settings.database("ingest")])
            register = Register(sources, publisher, self.clock)
            self.desk = Desk(sources, register)
            for work in (register.keep_telling(), self._follow(stack)):
                stack.push_async_callback(_end, asyncio.create_task(work))
            yield

    async def _follow(self, stack: AsyncExitStack) -> None:
        backoff = Backoff()
        while not self.directory.complete:
            definitions = Definitions(self._settings, (KIND,))
            try:
                await definitions.start()
            except KafkaError as error:
                log.warning("sources not read", error=type(error).__name__)
                await asyncio.sleep(backoff.next())
                continue
            stack.push_async_callback(definitions.stop)
            self.directory.follow(definitions)


async def _end(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _office(request: Request) -> Office:
    office: Office = request.app.state.office
    return office


Means = Annotated[Office, Depends(_office)]
"""A route's parameter of this type is the API's ``Office``."""

"""The notifier's HTTP API: campaigns, the send ledger, unsubscribe links. Wiring only."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import structlog
from aiokafka.errors import KafkaError
from fastapi import FastAPI

from services.notifier.profiles import Profiles
from services.notifier.publications import Publications
from services.notifier.records import Records
from services.notifier.routes import campaigns, consent, messages, unsubscribe
from services.notifier.routes.office import Office
from services.notifier.settings import NotifierSettings, secret_of
from services.notifier.store import Ledger
from services.runtime.backoff import Backoff
from services.runtime.definitions import Definitions
from services.runtime.http import create_api
from services.runtime.mongo import Client, connect, silent
from services.runtime.publish import Publisher

log = structlog.get_logger()

_SUMMARY = "Campaigns, every message they led to or why not, and one-click unsubscribe."


def create_app(settings: NotifierSettings | None = None) -> FastAPI:
    """The API. Nothing is opened until it starts; then it demands a secret (``ValueError``)."""
    settings = settings or NotifierSettings()
    clients = list[Client]()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        secret = secret_of(settings)
        client = connect(settings)
        clients[:] = [client]
        database = client[settings.database("notifier")]
        records, publisher = Records(database), Publisher(settings, "notifier-api")
        office = app.state.office = Office(
            settings=settings,
            secret=secret,
            records=records,
            publications=Publications(records, publisher),
            profiles=Profiles(settings),
        )
        async with AsyncExitStack() as stack:
            stack.callback(client.close)
            stack.push_async_callback(publisher.stop)
            stack.push_async_callback(office.profiles.close)
            await Ledger(database).prepare()
            for work in (office.publications.keep_telling(), _follow(settings, office, stack)):
                task = asyncio.create_task(work)
                stack.push_async_callback(_end, task)
            yield

    async def ready() -> str | None:
        return await silent(clients[0])

    app = create_api(
        name="notifier", summary=_SUMMARY, settings=settings, lifespan=lifespan, ready=ready
    )
    for routes in (campaigns, messages, consent, unsubscribe):
        app.include_router(routes.router)
    return app


async def _follow(settings: NotifierSettings, office: Office, stack: AsyncExitStack) -> None:
    """Learn which segments exist; only the notes of campaigns need it, so it may come later."""
    backoff = Backoff()
    while office.segments is None:
        definitions = Definitions(settings, ("segment",))
        try:
            await definitions.start()
        except KafkaError as error:
            log.warning("definitions not read", error=type(error).__name__)
            await asyncio.sleep(backoff.next())
            continue
        stack.push_async_callback(definitions.stop)
        office.segments = definitions.current


async def _end(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

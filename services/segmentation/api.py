"""The HTTP API: definitions, members, and why somebody is one. Wiring and routes."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime

import structlog
from aiokafka.errors import KafkaError
from fastapi import FastAPI

from services.runtime.backoff import Backoff
from services.runtime.http import create_api
from services.runtime.mongo import Client, PyMongoError, connect, silent
from services.runtime.publish import Publisher
from services.segmentation import evaluation
from services.segmentation.definitions import Definitions
from services.segmentation.routes import Desk, router
from services.segmentation.settings import SegmentationSettings
from services.segmentation.store import Members, Segments

log = structlog.get_logger()

MAX_BODY = 200_000
_REPUBLISH_SECONDS = 30.0


def create_app(
    settings: SegmentationSettings | None = None,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> FastAPI:
    """The API; nothing is connected before it starts."""
    settings = settings or SegmentationSettings()
    configured = settings
    clients = list[Client]()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        client = connect(configured)
        clients[:] = [client]
        database = client[configured.database("segmentation")]
        publisher = Publisher(configured, "segmentation-api")
        catalogue = Segments(database)
        await catalogue.prepare()
        definitions = Definitions(catalogue, publisher, clock)
        app.state.desk = Desk(definitions, catalogue, Members(database), clock)
        republishing = asyncio.create_task(_republish(definitions))
        try:
            yield
        finally:
            republishing.cancel()
            with suppress(asyncio.CancelledError):
                await republishing
            await publisher.stop()
            client.close()

    async def ready() -> str | None:
        return await silent(clients[0])

    app = create_api(
        name="segmentation",
        summary="Who is in which segment, since when, and why.",
        settings=settings,
        lifespan=lifespan,
        ready=ready,
        max_body=MAX_BODY,
        roomy={"/v1/segments/evaluate": evaluation.MAX_BODY},
    )
    app.include_router(router)
    app.include_router(evaluation.router)
    return app


async def _republish(definitions: Definitions) -> None:
    """Publish what a crash, or a broker that was away, left unpublished."""
    backoff = Backoff()
    while True:
        try:
            count = await definitions.republish()
            if count:
                log.info("definitions published again", count=count)
            backoff.reset()
            await asyncio.sleep(_REPUBLISH_SECONDS)
        except (KafkaError, OSError, PyMongoError) as error:
            log.warning("definitions not published", error=type(error).__name__)
            await asyncio.sleep(backoff.next())

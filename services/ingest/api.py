"""The HTTP API of ingest, wired: ``Tracking`` before the app that has everything else."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Protocol
from uuid import uuid4

from fastapi import FastAPI
from starlette.types import ASGIApp

from services.ingest import documentation
from services.ingest.access import Access
from services.ingest.dead_letters import wiring as dead_letters
from services.ingest.handler import Ingest, Refusals, Sink
from services.ingest.hooks import preview, registry
from services.ingest.hooks import routes as hooks
from services.ingest.hooks.model import MAX_HOOK, MAX_MAIL
from services.ingest.plans import routes as plan_routes
from services.ingest.plans import wiring as plans
from services.ingest.producer import Producer
from services.ingest.refusals import Refusals as KafkaRefusals
from services.ingest.settings import IngestSettings
from services.ingest.sources import routes as sources
from services.ingest.sources.directory import DefinitionsView
from services.ingest.sources.office import Office
from services.ingest.till import routes as till
from services.ingest.tracking import Tracking
from services.runtime.express import Server
from services.runtime.http import create_api
from services.runtime.mongo import connect


class Outlet(Sink, Protocol):
    """A sink with a life of its own."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def unready(self) -> str | None:
        """None, or why events cannot be taken now."""


class Record(Refusals, Protocol):
    """Refusals with a life of its own."""

    async def stop(self) -> None: ...


def create_app(
    settings: IngestSettings | None = None,
    outlet: Outlet | None = None,
    definitions: DefinitionsView | None = None,
    refusals: Record | None = None,
) -> FastAPI:
    """The API of ingest. All but ``settings`` is Kafka unless a test gives another.

    ``ValueError`` when a key of the settings is none.
    """
    settings = settings or IngestSettings()
    outlet = outlet or Producer(settings)
    refusals = refusals or KafkaRefusals(settings)
    office = Office(settings, _now, definitions, registry.check_options)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await outlet.start()
        client = connect(settings)
        database = client[settings.database("ingest")]
        try:
            dead_letters.lend(app, database, office)
            async with office.open(database), plans.opened(app, settings, database, office):
                yield
        finally:
            await outlet.stop()
            await refusals.stop()
            client.close()

    async def unready() -> str | None:
        return office.unready() or await outlet.unready()

    app = create_api(
        name="ingest",
        summary="Accepts events over HTTP, and answers once Kafka has them.",
        settings=settings,
        lifespan=lifespan,
        ready=unready,
        max_body=MAX_HOOK,
        roomy={"/v1/hooks/": MAX_MAIL},
    )
    sources.install(app, office)
    ingest = Ingest(
        outlet,
        office.turnstile,
        _now,
        lambda: str(uuid4()),
        refusals=refusals,
        plans=office.plans,
    )
    app.include_router(dead_letters.router)
    app.include_router(plan_routes.router)
    doorman = hooks.Doorman(ingest, office)
    app.include_router(hooks.router(doorman))
    app.include_router(preview.router(doorman))
    access = Access(office.directory, office.refused)
    app.include_router(till.router(till.Cashier(ingest, access)))
    rest = app.build_middleware_stack

    def before(inner: ASGIApp) -> Tracking:
        return Tracking(inner, ingest, access, settings.ingest_origins)

    app.build_middleware_stack = lambda: before(rest())  # type: ignore[method-assign]
    front = before(app)  # spares a tracking call 8 us of FastAPI that it has no use for
    app.state.server = partial(Server, front, hot=front.hot)
    documentation.add(app)
    return app


def _now() -> datetime:
    return datetime.now(UTC)

"""The console as one app: the pages, their assets, logging in and out, and CSV files.

It keeps nothing but who is logged in, and asks the services' HTTP APIs for everything.
"""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles
from nicegui import ui
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.console import routes
from services.console.client import Connections
from services.console.register import register
from services.console.sessions import Sessions
from services.console.settings import ConsoleSettings
from services.runtime.http import create_api

_ASSETS = Path(__file__).parent / "assets"
# NiceGUI's scripts need inline and eval; nothing may come from or go to elsewhere.
_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; object-src 'none'; "
    "frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


def create_app(settings: ConsoleSettings | None = None) -> FastAPI:
    """The app. One a process: NiceGUI keeps its pages in a place of its own."""
    settings = settings or ConsoleSettings()
    connections = Connections(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with connections:
            yield

    app = create_api(
        name="console",
        summary="Pages for marketers, support and managers.",
        settings=settings,
        lifespan=lifespan,
    )
    desk = routes.Desk(settings, connections, Sessions(settings.console_session_hours))
    app.add_middleware(_Guarded)
    app.include_router(routes.create(desk))
    app.mount("/assets", StaticFiles(directory=_ASSETS))
    register(desk)
    # Addresses hold what people searched for: not for the log.
    for name in ("httpx", "nicegui"):
        logging.getLogger(name).setLevel(logging.ERROR)
    ui.run_with(
        app,
        title="Regulars",
        favicon=_ASSETS / "mark.svg",
        language="en-US",
        dark=None,
        tailwind=False,
        binding_refresh_interval=None,  # nothing is bound: no loop for it
        show_welcome_message=False,
    )
    return app


class _Guarded:
    """ASGI middleware: the headers that keep a page from talking to anybody else."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, guarded if scope["type"] == "http" else send)

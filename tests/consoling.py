"""For tests of the console: the four APIs as one small server that answers what it is told to."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import httpx
from fastapi import FastAPI, Request
from granian.constants import Interfaces
from granian.server.embed import Server
from nicegui import ui
from nicegui.functions.download import download
from nicegui.functions.navigate import Navigate
from nicegui.functions.notify import notify
from nicegui.testing import User
from nicegui.testing.general import nicegui_reset_globals, prepare_simulation
from nicegui.testing.user_interaction import UserInteraction
from starlette.responses import JSONResponse, Response

from deploy.local.ports import free_port
from services.console.api import create_app
from services.console.settings import ConsoleSettings

TOKEN = "the-token-of-the-test"


class Stub:
    """Answers ``answers[path]`` to those with the token, and remembers what it was asked.

    An answer is JSON, or a whole Response; a path without one is 404 with a problem.
    """

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self.asked: list[str] = []
        self.url = ""

    async def answer(self, request: Request) -> Response:
        path, query = request.scope["raw_path"].decode(), request.scope["query_string"].decode()
        self.asked.append(f"{path}?{query}" if query else path)
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return problem(401, "Unauthorized", "Send a known token.")
        answer = self.answers.get(request.url.path)
        if answer is None:
            return problem(404, "Not Found", f"Nothing at {request.url.path}.")
        return answer if isinstance(answer, Response) else JSONResponse(answer)

    @asynccontextmanager
    async def served(self) -> AsyncIterator["Stub"]:
        """On a free port, while the block lasts."""
        app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
        app.add_route("/{path:path}", self.answer)
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        server = Server(
            app,
            address="127.0.0.1",
            port=port,
            interface=Interfaces.ASGI,
            websockets=False,
            log_enabled=False,
        )
        serving = asyncio.create_task(server.serve())
        try:
            await self._answering(serving)
            yield self
        finally:
            server.stop()
            await serving

    async def _answering(self, serving: "asyncio.Task[None]") -> None:
        async with httpx.AsyncClient(trust_env=False) as client:
            while not serving.done():
                try:
                    await client.get(self.url)
                except httpx.TransportError:
                    await asyncio.sleep(0.02)
                else:
                    break
        self.asked.clear()


def problem(status: int, title: str, detail: str) -> Response:
    """An error as the services answer it."""
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    return JSONResponse(body, status, media_type="application/problem+json")


def settings(url: str, **other: Any) -> ConsoleSettings:
    """A console that finds all four APIs at ``url``."""
    names = ("profile", "segmentation", "notifier", "reporting")
    urls = {f"console_{name}_url": url for name in names}
    return ConsoleSettings(**{**urls, "console_token": TOKEN, **other})


@asynccontextmanager
async def visiting(configured: ConsoleSettings) -> AsyncIterator[User]:
    """A visitor of a console of its own; ``http_client`` is the plain browser's side."""
    with _simulated():
        app = create_app(configured)
        # As NiceGUI's own fixture does, but around our app, which has routes beside the pages.
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(
                transport=httpx.ASGITransport(app), base_url="http://console"
            ) as client,
        ):
            yield User(client)


def do(user: User, event: str, tag: str, text: str) -> None:
    """An event at the one element with this tag that has the text, itself or within."""
    found = {one for one in elements(user, tag) if text in _texts(one)}
    assert len(found) == 1, f"{len(found)} elements <{tag}> with {text!r}"
    UserInteraction(user, found, text).trigger(event)


def elements(user: User, tag: str = "") -> list[ui.element]:
    """Those on the page, or those with a tag."""
    assert user.client is not None
    return [one for one in user.client.elements.values() if not tag or one.tag == tag]


def _texts(element: ui.element) -> set[str]:
    inside = [element, *element.descendants()]
    return {one.text for one in inside if hasattr(one, "text")}


@contextmanager
def _simulated() -> Iterator[None]:
    with nicegui_reset_globals():
        os.environ["NICEGUI_USER_SIMULATION"] = "true"
        try:
            prepare_simulation()
            yield
        finally:
            del os.environ["NICEGUI_USER_SIMULATION"]
            ui.navigate, ui.notify, ui.download = Navigate(), notify, download

"""For tests of the console: all APIs as one small server that answers what it is told to."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import httpx
import msgspec
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
SOURCE: dict[str, Any] = {
    "name": "web",
    "kind": "browser",
    "enabled": True,
    "version": 3,
    "updated_at": "2026-03-05T09:30:00Z",
    "published": True,
    "static": False,
    "default_currency": "EUR",
    "events_per_second": 50.0,
    "burst": 2500,
    "options": {"domain": "shop.example"},
    "keys": [
        {
            "id": "k-1",
            "hint": "x7Qm",
            "created_at": "2026-03-01T12:00:00Z",
            "expires_at": "2026-03-06T12:00:00Z",
        }
    ],
    "secrets": [
        {
            "name": "app_secret",
            "set_at": "2026-03-01T12:00:00Z",
            "previous_until": "2026-03-01T13:00:00Z",
        }
    ],
}
ACTIVITY: dict[str, Any] = {
    "source": "web",
    "since": "2026-03-05T00:00:00Z",
    "until": "2026-03-05T01:30:00Z",
    "accepted": 12345,
    "duplicates": 6,
    "limited": 77,
    "unavailable": 0,
    "rejected": [
        {"code": "unknown_currency", "events": 1002},
        {"code": "missing_event", "events": 3},
    ],
    "last_seen": "2026-03-05T09:30:00Z",
    "step_seconds": 3600,
    "series": [
        {"at": "2026-03-05T00:00:00Z", "accepted": 12000, "rejected": 1005},
        {"at": "2026-03-05T01:00:00Z", "accepted": 345, "rejected": 0},
    ],
}
SOURCES: dict[str, Any] = {
    "/v1/sources": {
        "items": [
            SOURCE
            | {
                "last_day": {
                    "accepted": 12345,
                    "duplicates": 6,
                    "rejected": 1005,
                    "limited": 77,
                    "last_seen": "2026-03-05T09:30:00Z",
                }
            }
        ],
        "next": None,
    },
    "/v1/sources/web": SOURCE,
    "/v1/sources/web/activity": ACTIVITY,
    "/v1/sources/web/recent": {"items": [], "next": None},
}
"""What ingest answers of its only source, by path."""

SUBSCRIPTION: dict[str, Any] = {
    "id": "sub_1",
    "url": "https://crm.example/hook",
    "types": ["regulars.profile.changed.v1"],
    "changed": ["traits.plan"],
    "segments": [],
    "description": "The CRM",
    "enabled": True,
    "state": "failing",
    "reason": "",
    "disabled_at": None,
    "created_at": "2026-03-01T12:00:00Z",
    "since": None,
    "waiting": 12,
    "last_success_at": "2026-03-05T09:30:00Z",
    "failing_since": "2026-03-05T09:31:00Z",
}
WEBHOOKS: dict[str, Any] = {
    "/v1/subscriptions": {"items": [SUBSCRIPTION], "next": None},
    "/v1/subscriptions/sub_1": SUBSCRIPTION,
    "/v1/subscriptions/sub_1/deliveries": {
        "items": [
            {
                "at": "2026-03-05T09:31:00Z",
                "webhook_id": "msg_1",
                "type": "regulars.profile.changed.v1",
                "profile_id": "p_ann",
                "attempt": 2,
                "outcome": "failed",
                "status": 500,
                "code": "http_500",
                "seconds": 0.021,
            }
        ],
        "next": None,
    },
}
"""What profile answers of its only subscription, by path."""


QUEUE = "/v1/identity/suggestions"
PAIR = f"{QUEUE}/p_a~p_b"


def candidate(profile_id: str, **traits: Any) -> dict[str, Any]:
    return {
        "profile_id": profile_id,
        "identifiers": [{"type": "user_id", "value": profile_id.replace("p_", "u-")}],
        "traits": traits,
        "interactions": 412,
        "orders": 3,
        "first_seen": None,
        "last_seen": "2026-03-05T09:30:00Z",
    }


SUGGESTION: dict[str, Any] = {
    "suggestion_id": "p_a~p_b",
    "people": [candidate("p_a", firstName="Ann", lastName="O'Neil"), candidate("p_b")],
    "evidence": [
        {
            "identifiers": [{"type": "email", "value": "ann@x.io"}],
            "kept": 1,
            "reason": "limit",
            "explanation": "Together they would have too many.",
            "at": "2026-03-01T12:00:00Z",
            "message_id": "m-7",
            "source": "till",
        }
    ],
    "found_at": None,
    "score": 14.25,
    "likely": True,
    "compared": [
        {"field": "email", "level": "same", "bits": 15.9, "values": ["ann@x.io", "ann@x.io"]},
        {"field": "family", "level": "close", "bits": 4.2, "values": ["oneil", "oneill"]},
        {"field": "phone", "level": "different", "bits": -1.7, "values": ["5550100", "5550199"]},
    ],
}
SUGGESTIONS: dict[str, Any] = {QUEUE: {"items": [SUGGESTION], "next": None}, PAIR: SUGGESTION}
"""What profile answers of its only suggestion, by path."""


class Stub:
    """Answers ``answers[path]`` to those with the token, and remembers what it was asked.

    An answer is JSON, or a whole Response; a path without one is 404 with a problem. Changes
    are answered from ``outcomes["PUT /path"]`` and remembered in ``changes``.
    """

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self.outcomes: dict[str, Any] = {}
        self.asked: list[str] = []
        self.changes: list[tuple[str, Any]] = []
        self.posted: list[tuple[str, bytes]] = []
        self.url = ""

    async def answer(self, request: Request) -> Response:
        path, query = request.scope["raw_path"].decode(), request.scope["query_string"].decode()
        if request.method == "POST":
            self.posted.append((path, await request.body()))
        else:
            self.asked.append(f"{path}?{query}" if query else path)
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return problem(401, "Unauthorized", "Send a known token.")
        answer = self.answers.get(request.url.path)
        if request.method != "GET":
            call = f"{request.method} {request.url.path}"
            body = await request.body()
            self.changes.append((call, msgspec.json.decode(body) if body else None))
            answer = self.outcomes.get(call)
        if answer is None:
            return problem(404, "Not Found", f"Nothing at {request.url.path}.")
        return answer if isinstance(answer, Response) else JSONResponse(answer)

    @asynccontextmanager
    async def served(self) -> AsyncIterator["Stub"]:
        """On a free port, while the block lasts."""
        app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
        methods = ["GET", "PUT", "POST", "PATCH", "DELETE"]
        app.add_route("/{path:path}", self.answer, methods)
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
            await self._answering(serving, port)
            yield self
        finally:
            server.stop()
            await serving

    async def _answering(self, serving: "asyncio.Task[None]", port: int) -> None:
        while not serving.done():
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.01)
            else:
                writer.close()
                await writer.wait_closed()
                break


def problem(status: int, title: str, detail: str) -> Response:
    """An error as the services answer it."""
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    return JSONResponse(body, status, media_type="application/problem+json")


def settings(url: str, **other: Any) -> ConsoleSettings:
    """A console that finds all APIs at ``url``."""
    names = ("ingest", "profile", "segmentation", "notifier", "reporting")
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


def do(user: User, event: str, tag: str, text: str, args: Any = None) -> None:
    """An event at the one element with this tag that has the text, itself or within."""
    found = {one for one in elements(user, tag) if text in _texts(one)}
    assert len(found) == 1, f"{len(found)} elements <{tag}> with {text!r}"
    UserInteraction(user, found, text).trigger(event, args)


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

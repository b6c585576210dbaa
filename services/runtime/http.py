"""The frame of every HTTP API: health, metrics, documentation, roles, pages, problems.

A service's ``api.py`` calls ``create_api`` and adds its routes; what a client may rely on
everywhere (RFC 9457 errors, bearer tokens with roles, pages with cursors) comes from here.
"""

import asyncio
import base64
import binascii
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Annotated, Any, Generic, Literal, TypeVar

import msgspec
from fastapi import APIRouter, Depends, FastAPI, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from fastapi_offline import FastAPIOffline
from prometheus_client import CONTENT_TYPE_LATEST, Counter, Histogram
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.runtime import document, metrics, problem
from services.runtime.keys import Keyring
from services.runtime.problem import Problem, ProblemDocument
from services.runtime.settings import Settings

__all__ = [
    "Answered",
    "Frame",
    "Page",
    "Problem",
    "create_api",
    "decode_cursor",
    "encode_cursor",
    "require",
]

MAX_BODY = 2_000_000
VERSION = "0.1.0"

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]
Ready = Callable[[], Awaitable[str | None]]
Role = Literal["reader", "marketer", "support", "admin"]
T = TypeVar("T")


def create_api(
    *,
    name: str,
    summary: str,
    settings: Settings,
    lifespan: Lifespan | None,
    ready: Ready | None = None,
    max_body: int = MAX_BODY,
    roomy: Mapping[str, int] | None = None,
) -> FastAPI:
    """An API with everything that all of them share.

    ``ready`` answers None, or in one line why not; ``max_body`` bounds a request's body in
    bytes (413 above), and ``roomy`` those of the paths that begin so. ``/docs`` carries its
    own assets and works without a network. Who streams an answer ends it when
    ``app.state.stopping`` is set.
    """
    app = FastAPIOffline(
        redoc_url=None,
        title=f"Regulars {name}",
        summary=summary,
        version=VERSION,
        lifespan=lifespan,
    )
    app.state.settings = settings
    app.state.stopping = asyncio.Event()
    app.state.tokens = Keyring(settings.tokens)
    problem.install(app)
    app.add_middleware(Frame, service=name, max_body=max_body, roomy=roomy)
    app.include_router(_operations(ready))
    app.openapi = lambda: document.of(app)  # type: ignore[method-assign]
    return app


_bearer = HTTPBearer(auto_error=False, description="A token of `REGULARS_TOKENS`.")


def require(*roles: Role) -> Any:
    """A dependency: the caller's role, which must be one of ``roles``.

    An admin may do everything, and what a reader may do, everyone with a token may.
    401 without a known token, 403 with one whose role does not suffice.
    """

    async def check(
        request: Request,
        credentials: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)],
    ) -> str:
        role = request.app.state.tokens.find(credentials.credentials) if credentials else None
        if role is None:
            challenge = 'Bearer error="invalid_token"' if credentials else "Bearer"
            detail = "Send a known token: Authorization: Bearer <token>."
            headers = {"WWW-Authenticate": challenge}
            raise Problem(401, "Unauthorized", detail, headers=headers)
        if role not in roles and role != "admin" and "reader" not in roles:
            raise Problem(403, "Forbidden", f"This needs the role {' or '.join(roles)}.")
        return str(role)

    return Depends(check)


class Page(BaseModel, Generic[T]):
    """A part of a list. ``next`` asks for what follows; null at the end."""

    items: list[T]
    next: str | None = None


def encode_cursor(position: Any) -> str:
    """An opaque cursor for where a page ended; anything that msgspec writes as JSON."""
    return base64.urlsafe_b64encode(msgspec.json.encode(position)).decode().rstrip("=")


def decode_cursor(cursor: str, of: Any = Any) -> Any:
    """What ``encode_cursor`` was given, checked to be an ``of``; 400 when it is not ours."""
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True)
        return msgspec.json.decode(text, type=of)
    except (ValueError, binascii.Error, RecursionError):
        raise Problem(400, "Bad cursor", "Use `next` of an earlier page, unchanged.") from None


class Status(BaseModel):
    status: str


def _operations(ready: Ready | None) -> APIRouter:
    router = APIRouter(tags=["operations"])

    @router.get("/health/live", summary="Is the process alive?")
    async def live() -> Status:
        return Status(status="live")

    unready: dict[int | str, dict[str, Any]] = {
        503: {"description": "Not ready, and why", "model": ProblemDocument}
    }

    @router.get("/health/ready", summary="Can it do its work?", responses=unready)
    async def is_ready() -> Status:
        reason = await ready() if ready else None
        if reason is not None:
            raise Problem(503, "Not ready", reason)
        return Status(status="ready")

    @router.get("/metrics", summary="For Prometheus", response_class=_Metrics)
    async def show_metrics() -> Response:
        return _Metrics(metrics.exposition())

    return router


class _Metrics(Response):
    media_type = CONTENT_TYPE_LATEST


class Frame:
    """Around every request: bounds its body, counts and times it, and catches bugs.

    ASGI middleware; a service may also wrap hot routes in it that bypass the rest.
    """

    def __init__(
        self, app: ASGIApp, service: str, max_body: int, roomy: Mapping[str, int] | None = None
    ) -> None:
        self._app = app
        self._service = service
        self._max_body = max_body
        self._roomy = tuple((roomy or {}).items())
        self._answered = Answered(service)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 0
        started = time.perf_counter()
        received = 0
        max_body = self._limit(scope["path"])

        async def observe(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        async def bounded() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > max_body:
                raise HTTPException(413, f"A body has at most {max_body:,} bytes here.")
            return message

        try:
            await self._app(scope, bounded, observe)
        except Exception as error:  # the last line: a bug becomes a 500
            if status:
                raise
            await problem.response_to(error, scope["path"])(scope, receive, observe)
        finally:
            self._count(scope, status, time.perf_counter() - started)

    def _limit(self, path: str) -> int:
        for prefix, limit in self._roomy:
            if path.startswith(prefix):
                return limit
        return self._max_body

    def _count(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "") or "unmatched"
        self._answered.count(route, status, seconds)


class Answered:
    """What an API has answered, by route and status, and how long that took: for Prometheus."""

    def __init__(self, service: str) -> None:
        self._service = service
        self._observers: dict[tuple[str, int], tuple[Counter, Histogram]] = {}

    def count(self, route: str, status: int, seconds: float) -> None:
        """One answer; ``route`` is a template, never a path."""
        observers = self._observers.get((route, status))
        if observers is None:
            observers = (
                metrics.HTTP_REQUESTS.labels(self._service, route, str(status)),
                metrics.HTTP_SECONDS.labels(self._service, route),
            )
            self._observers[route, status] = observers
        observers[0].inc()
        observers[1].observe(seconds)

"""The HTTP API of ingest: Segment's tracking calls.

These are the hot routes of the system, so they are plain Starlette routes on bytes and
msgspec; ``documentation`` describes them in the OpenAPI document.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Protocol, get_args
from uuid import uuid4

import msgspec
from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response

from schemas.validation import Fault
from services.ingest import documentation
from services.ingest.access import Access
from services.ingest.handler import Ingest, Sink, Unavailable
from services.ingest.model import MAX_BODY, Answer, Call, Shared
from services.ingest.opening import open_batch, shared_of, unpack, write_key_of
from services.ingest.producer import Producer
from services.ingest.settings import IngestSettings
from services.runtime import metrics
from services.runtime.http import Problem, create_api
from services.runtime.keys import Keyring

CALLS: tuple[str, ...] = get_args(Call)
RETRY_AFTER = 2
"""Seconds that a client should wait after a 503."""

_TOO_LARGE = frozenset({"body_too_large", "batch_too_long"})


class Outlet(Sink, Protocol):
    """A sink with a life of its own."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def unready(self) -> str | None:
        """None, or why events cannot be taken now."""


def create_app(settings: IngestSettings | None = None, outlet: Outlet | None = None) -> FastAPI:
    """The API of ingest; ``outlet`` is Kafka unless a test gives another."""
    settings = settings or IngestSettings()
    outlet = outlet or Producer(settings)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        await outlet.start()
        try:
            yield
        finally:
            await outlet.stop()

    app = create_api(
        name="ingest",
        summary="Accepts events over HTTP, and answers once Kafka has them.",
        settings=settings,
        lifespan=lifespan,
        ready=outlet.unready,
        max_body=MAX_BODY,
    )
    app.add_middleware(
        CORSMiddleware,
        allow_origins=settings.ingest_origins,
        allow_methods=["POST"],
        allow_headers=["Authorization", "Content-Type", "Content-Encoding"],
        max_age=86_400,
    )
    routes = _Routes(
        Ingest(outlet, lambda: datetime.now(UTC), lambda: str(uuid4())),
        Access(Keyring(settings.write_keys)),
    )
    for call in CALLS:
        handle: Callable[[Request], Awaitable[Response]] = partial(routes.single, call)
        app.router.add_route(f"/v1/{call}", handle, methods=["POST"])
    for name in ("batch", "import"):
        app.router.add_route(f"/v1/{name}", routes.batch, methods=["POST"])
    documentation.add(app)
    return app


class _Routes:
    def __init__(self, ingest: Ingest, access: Access) -> None:
        self._ingest = ingest
        self._access = access

    async def single(self, call: str, request: Request) -> Response:
        source = self._access.by_header(request.headers.get("authorization"))
        body = await _read(request)
        if source is None:
            source = self._access.by_key(write_key_of(body))
        answer = await self._take([body], call, Shared(), source)
        if answer.rejected:
            fault = answer.rejected[0]
            raise _problem(Fault(fault.code, fault.detail), fault.message_id)
        return _respond(answer)

    async def batch(self, request: Request) -> Response:
        source = self._access.by_header(request.headers.get("authorization"))
        envelope = open_batch(await _read(request))
        if isinstance(envelope, Fault):
            raise _problem(envelope)
        if source is None:
            source = self._access.by_key(envelope.write_key)
        shared = shared_of(envelope)
        if isinstance(shared, Fault):
            raise _problem(shared)
        texts = [bytes(text) for text in envelope.batch]
        return _respond(await self._take(texts, None, shared, source))

    async def _take(
        self, texts: list[bytes], call: str | None, shared: Shared, source: str
    ) -> Answer:
        metrics.INGEST_BATCH.observe(len(texts))
        try:
            # A client that hangs up must not leave half of its batch behind.
            answer = await asyncio.shield(self._ingest.take(texts, call, shared, source))
        except Unavailable as error:
            metrics.INGEST_EVENTS.labels("unavailable").inc(len(texts))
            raise Problem(
                503,
                "Service Unavailable",
                f"{error} Send the same again: messageId keeps it from counting twice.",
                headers={"Retry-After": str(RETRY_AFTER)},
                extra={"code": "broker_unavailable"},
            ) from None
        metrics.INGEST_EVENTS.labels("accepted").inc(answer.accepted)
        if answer.duplicates:
            metrics.INGEST_EVENTS.labels("duplicate").inc(answer.duplicates)
        for rejection in answer.rejected:
            metrics.INGEST_EVENTS.labels("rejected").inc()
            metrics.INGEST_REJECTED.labels(rejection.code).inc()
        return answer


async def _read(request: Request) -> bytes:
    """The body, unpacked; the frame has bounded what may come in."""
    body = await request.body()
    encoding = request.headers.get("content-encoding")
    unpacked = unpack(body, encoding) if encoding else body
    if isinstance(unpacked, Fault):
        raise _problem(unpacked)
    return unpacked


def _respond(answer: Answer) -> Response:
    return Response(_encode(answer), media_type="application/json")


def _problem(fault: Fault, message_id: str | None = None) -> Problem:
    extra = {"code": fault.code} | ({"messageId": message_id} if message_id else {})
    if fault.code in _TOO_LARGE:
        return Problem(413, "Content Too Large", fault.detail, extra=extra)
    if fault.code == "bad_encoding":
        return Problem(415, "Unsupported Media Type", fault.detail, extra=extra)
    return Problem(400, "Bad Request", fault.detail, extra=extra)


_encode = msgspec.json.Encoder().encode

"""The HTTP API of ingest: Segment's tracking calls.

These are the hot routes of the system, so ``Tracking`` answers them straight from ASGI and
leaves everything else (documentation, health, preflights, errors) to the API that it wraps;
``documentation`` describes them in the OpenAPI document. Measured: a single event costs a
third of what it costs through the framework's middleware and routing.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol, get_args
from urllib.parse import parse_qs
from uuid import uuid4

import msgspec
from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from schemas.validation import Fault
from services.ingest import documentation
from services.ingest.access import Access
from services.ingest.handler import Ingest, Limited, Sink, Unavailable
from services.ingest.hooks import routes
from services.ingest.hooks.model import MAX_HOOK
from services.ingest.model import MAX_BODY, Answer, Call, Shared
from services.ingest.opening import open_batch, shared_of, unpack, write_key_of
from services.ingest.producer import Producer
from services.ingest.settings import IngestSettings
from services.ingest.sources.directory import DefinitionsView
from services.ingest.sources.model import Source
from services.ingest.sources.office import Office
from services.ingest.sources.turnstile import too_many
from services.runtime import metrics
from services.runtime.http import Frame, Problem, create_api

CALLS: tuple[str, ...] = get_args(Call)
IMPORT = "/v1/import"
"""A batch like another, since Segment's SDKs for Ruby and Java send what happens now there;
with ``?history=true`` its events are marked as history."""
RETRY_AFTER = 2
"""Seconds that a client should wait after a 503."""

_TOO_LARGE = frozenset({"body_too_large", "batch_too_long"})


class Outlet(Sink, Protocol):
    """A sink with a life of its own."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def unready(self) -> str | None:
        """None, or why events cannot be taken now."""


def create_app(
    settings: IngestSettings | None = None,
    outlet: Outlet | None = None,
    definitions: DefinitionsView | None = None,
) -> FastAPI:
    """The API of ingest. ``outlet`` and ``definitions`` are Kafka unless a test gives others.

    ``ValueError`` when a key of the settings is none.
    """
    settings = settings or IngestSettings()
    outlet = outlet or Producer(settings)
    office = Office(settings, _now, definitions)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        await outlet.start()
        try:
            async with office.open():
                yield
        finally:
            await outlet.stop()

    async def unready() -> str | None:
        return office.unready() or await outlet.unready()

    app = create_api(
        name="ingest",
        summary="Accepts events over HTTP, and answers once Kafka has them.",
        settings=settings,
        lifespan=lifespan,
        ready=unready,
        max_body=MAX_HOOK,
    )
    app.add_middleware(
        CORSMiddleware,
        allow_origins=settings.ingest_origins,
        allow_methods=["POST"],
        allow_headers=["Authorization", "Content-Type", "Content-Encoding"],
        max_age=86_400,
    )
    app.state.office = office
    ingest = Ingest(outlet, office.turnstile, _now, lambda: str(uuid4()))
    app.include_router(routes.router(routes.Doorman(ingest, office)))
    access = Access(office.directory)
    app.add_middleware(
        Tracking, ingest=ingest, access=access, origins=frozenset(settings.ingest_origins)
    )
    documentation.add(app)
    return app


@dataclass(frozen=True, slots=True)
class _Route:
    path: str
    call: str | None
    """None: a batch."""


_ROUTES = {f"/v1/{call}": _Route(f"/v1/{call}", call) for call in CALLS} | {
    path: _Route(path, None) for path in ("/v1/batch", IMPORT)
}


class Tracking:
    """ASGI middleware that answers the tracking calls, and passes on the rest."""

    def __init__(
        self, app: ASGIApp, ingest: Ingest, access: Access, origins: frozenset[str]
    ) -> None:
        self._app = app
        self._hot = Frame(self._answer, "ingest", MAX_BODY)
        self._ingest = ingest
        self._access = access
        self._origins = origins
        self._accepted = metrics.INGEST_EVENTS.labels("accepted")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] != "OPTIONS":
            route = _ROUTES.get(scope["path"])
            if route is not None:
                scope["route"] = route
                await self._hot(scope, receive, send)
                return
        await self._app(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "POST":
            detail = "Events are sent by POST."
            raise Problem(405, "Method Not Allowed", detail, headers={"Allow": "POST"})
        authorization = encoding = origin = ""
        for name, value in scope["headers"]:
            if name == b"authorization":
                authorization = value.decode("latin-1")
            elif name == b"content-encoding":
                encoding = value.decode("latin-1")
            elif name == b"origin":
                origin = value.decode("latin-1")
        source = self._access.by_header(authorization)
        body = unpack(await _body(receive), encoding)
        if isinstance(body, Fault):
            raise _problem(body)
        call = scope["route"].call
        if call is None:
            answer = await self._batch(body, source, history=_is_history(scope))
        else:
            answer = await self._single(call, body, source)
        headers = [(b"content-type", b"application/json"), *self._allow(origin)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": _encode(answer)})

    def _allow(self, origin: str) -> list[tuple[bytes, bytes]]:
        """CORS: the header by which a browser lets the page see our answer."""
        if "*" in self._origins:
            return [(b"access-control-allow-origin", b"*")]
        if origin in self._origins:
            return [(b"access-control-allow-origin", origin.encode()), (b"vary", b"Origin")]
        return []

    async def _single(self, call: str, body: bytes, source: Source | None) -> Answer:
        if source is None:
            source = self._access.by_key(write_key_of(body))
        answer = await self._take([body], call, Shared(), source)
        if answer.rejected:
            fault = answer.rejected[0]
            raise _problem(Fault(fault.code, fault.detail), fault.message_id)
        return answer

    async def _batch(self, body: bytes, source: Source | None, *, history: bool) -> Answer:
        envelope = open_batch(body)
        if isinstance(envelope, Fault):
            raise _problem(envelope)
        if source is None:
            source = self._access.by_key(envelope.write_key)
        shared = shared_of(envelope)
        if isinstance(shared, Fault):
            raise _problem(shared)
        shared.history = history
        return await self._take([bytes(text) for text in envelope.batch], None, shared, source)

    async def _take(
        self, texts: list[bytes], call: str | None, shared: Shared, source: Source
    ) -> Answer:
        metrics.INGEST_BATCH.observe(len(texts))
        if source.kind == "history":
            shared.history = True
        try:
            answer = await self._ingest.take(texts, call, shared, source)
        except Limited as error:
            metrics.INGEST_EVENTS.labels("limited").inc(len(texts))
            raise too_many(error) from None
        except Unavailable as error:
            metrics.INGEST_EVENTS.labels("unavailable").inc(len(texts))
            raise Problem(
                503,
                "Service Unavailable",
                f"{error} Send the same again: messageId keeps it from counting twice.",
                headers={"Retry-After": str(RETRY_AFTER)},
                extra={"code": "broker_unavailable"},
            ) from None
        self._accepted.inc(answer.accepted)
        if answer.duplicates:
            metrics.INGEST_EVENTS.labels("duplicate").inc(answer.duplicates)
        for rejection in answer.rejected:
            metrics.INGEST_EVENTS.labels("rejected").inc()
            metrics.INGEST_REJECTED.labels(rejection.code).inc()
        return answer


def _now() -> datetime:
    return datetime.now(UTC)


def _is_history(scope: Scope) -> bool:
    """Whether the sender says that the events are history."""
    if scope["path"] != IMPORT or b"history" not in scope["query_string"]:
        return False
    said: str = parse_qs(scope["query_string"].decode("latin-1")).get("history", [""])[-1]
    if said not in ("true", "false"):
        raise _problem(Fault("bad_history", "history is true or false."))
    return said == "true"


async def _body(receive: Receive) -> bytes:
    """The whole body; the frame bounds it. A client that hangs up gets no further."""
    parts: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Problem(400, "Bad Request", "The request was cut off.")
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


def _problem(fault: Fault, message_id: str | None = None) -> Problem:
    extra = {"code": fault.code} | ({"messageId": message_id} if message_id else {})
    if fault.code in _TOO_LARGE:
        return Problem(413, "Content Too Large", fault.detail, extra=extra)
    if fault.code == "bad_encoding":
        return Problem(415, "Unsupported Media Type", fault.detail, extra=extra)
    return Problem(400, "Bad Request", fault.detail, extra=extra)


_encode = msgspec.json.Encoder().encode

"""The tracking calls, straight from ASGI: the hot routes of the whole system.

Stands before everything else that the API has (documentation, health), which it leaves to
the app that it wraps. Measured: a single event costs a third of what it costs through the
framework's middleware and routing.
"""

import time
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import parse_qs

import msgspec
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from schemas.validation import Fault
from services.ingest.access import Access
from services.ingest.doors import nothing_taken
from services.ingest.handler import Ingest, Limited, Unavailable
from services.ingest.meter import Meter
from services.ingest.model import MAX_BODY, Answer, Shared
from services.ingest.opening import open_batch, shared_of, write_key_of
from services.ingest.packing import ENCODINGS, unpack
from services.ingest.pixel import GIF, event_text
from services.ingest.routes import IMPORT, ROUTES, Route
from services.ingest.sources.model import Source
from services.runtime import metrics
from services.runtime.hot import Asked, Hot, Reply
from services.runtime.problem import Problem, response_to

RETRY_AFTER = 2
"""Seconds that a client should wait after a 503."""

_TOO_LARGE = frozenset({"body_too_large", "batch_too_long"})
_JSON = [(b"content-type", b"application/json")]
_IMAGE = [(b"content-type", b"image/gif"), (b"cache-control", b"no-store")]
_encode = msgspec.json.Encoder().encode
Headers = list[tuple[bytes, bytes]]


class _Sent(NamedTuple):
    """What the headers of a request say to us."""

    authorization: str
    encoding: str


class Tracking:
    """ASGI middleware that answers the tracking calls, and passes on the rest."""

    def __init__(
        self, app: ASGIApp, ingest: Ingest, access: Access, origins: Sequence[str]
    ) -> None:
        self._app = app
        self._ingest = ingest
        self._access = access
        # A browser shows a page our answer, errors too, only with these headers.
        self._cors = CORSMiddleware(self._serve, origins, ("POST", "GET"), ("*",), max_age=86_400)
        self._meter = Meter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] not in ROUTES:
            await self._app(scope, receive, send)
        elif any(name == b"origin" for name, _ in scope["headers"]):
            await self._cors(scope, receive, send)
        else:
            await self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        route = ROUTES[scope["path"]]
        try:
            reply = await self._reply(route, scope, receive)
        except Exception as error:  # noqa: BLE001 - the last line: a bug becomes a 500
            reply = _refusal(error, route)
        body = b"" if scope["method"] == "HEAD" else reply.body
        self._meter.answered(route.path, reply.status, time.perf_counter() - started)
        await send(
            {"type": "http.response.start", "status": reply.status, "headers": reply.headers}
        )
        await send({"type": "http.response.body", "body": body})

    async def _reply(self, route: Route, scope: Scope, receive: Receive) -> Reply:
        if scope["method"] != route.method:
            return _other_method(route, scope["method"])
        sent = _read(scope["headers"])
        source = self._access.by_header(sent.authorization)
        if route.method == "GET":
            text = event_text(scope["query_string"])
            if isinstance(text, Fault):
                raise _problem(text)
            await self._single(route.call, text, source)
            return Reply(200, _IMAGE, GIF)
        body = unpack(await _body(receive), sent.encoding)
        if isinstance(body, Fault):
            raise _problem(body)
        if route.call is None:
            answer = await self._batch(body, source, history=_is_history(scope))
        else:
            answer = await self._single(route.call, body, source)
        return Reply(200, _JSON, _encode(answer))

    @property
    def hot(self) -> Hot:
        """What comes often, for ``express``: the same answers, without ASGI between."""
        paths = frozenset(path for path, route in ROUTES.items() if route.method == "POST")
        return Hot(paths, MAX_BODY, self._answer)

    async def _answer(self, asked: Asked) -> Reply:
        started = time.perf_counter()
        route = ROUTES[asked.path]
        try:
            source = self._access.by_header(asked.authorization)
            body = unpack(asked.body, asked.encoding) if asked.encoding else asked.body
            if isinstance(body, Fault):
                raise _problem(body)
            if route.call is None:
                answer = await self._batch(body, source, history=False)
            else:
                answer = await self._single(route.call, body, source)
            reply = Reply(200, _JSON, _encode(answer))
        except Exception as error:  # noqa: BLE001 - the last line: a bug becomes a 500
            reply = _refusal(error, route)
        if asked.origin:
            reply = reply._replace(headers=[*reply.headers, *self._shown_to(asked.origin)])
        self._meter.answered(route.path, reply.status, time.perf_counter() - started)
        return reply

    def _shown_to(self, origin: str) -> Headers:
        """What lets a page of ``origin`` read an answer, as the middleware says it."""
        vary = (b"vary", b"Origin")
        if not self._cors.is_allowed_origin(origin):
            return [vary]
        allowed = b"*" if self._cors.allow_all_origins else origin.encode("latin-1")
        return [(b"access-control-allow-origin", allowed), vary]

    async def _single(self, call: str | None, body: bytes, source: Source | None) -> Answer:
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
            if source is not None:
                await self._ingest.refuse(body, envelope, source, history=history)
            raise _problem(envelope)
        if source is None:
            source = self._access.by_key(envelope.write_key)
        shared = shared_of(envelope)
        if isinstance(shared, Fault):
            await self._ingest.refuse(body, shared, source, history=history)
            raise _problem(shared)
        shared.history = history
        return await self._take([bytes(text) for text in envelope.batch], None, shared, source)

    async def _take(
        self, texts: list[bytes], call: str | None, shared: Shared, source: Source
    ) -> Answer:
        self._meter.taken(len(texts))
        if source.kind == "history":
            shared.history = True
        try:
            answer = await self._ingest.take(texts, call, shared, source)
        except (Limited, Unavailable) as error:
            advice = "Send the same again: messageId keeps it from counting twice."
            raise nothing_taken(error, len(texts), advice, RETRY_AFTER) from None
        self._meter.accepted(answer.accepted)
        if answer.duplicates:
            metrics.INGEST_EVENTS.labels("duplicate").inc(answer.duplicates)
        for rejection in answer.rejected:
            metrics.INGEST_EVENTS.labels("rejected").inc()
            metrics.INGEST_REJECTED.labels(rejection.code).inc()
        return answer


def _read(headers: Headers) -> _Sent:
    authorization = encoding = ""
    for name, value in headers:
        if name == b"authorization":
            authorization = value.decode("latin-1")
        elif name == b"content-encoding":
            encoding = value.decode("latin-1")
    return _Sent(authorization, encoding)


def _is_history(scope: Scope) -> bool:
    """Whether the sender says that the events are history."""
    if scope["path"] != IMPORT or b"history" not in scope["query_string"]:
        return False
    said: str = parse_qs(scope["query_string"].decode("latin-1")).get("history", [""])[-1]
    if said not in ("true", "false"):
        raise _problem(Fault("bad_history", "history is true or false."))
    return said == "true"


async def _body(receive: Receive) -> bytes:
    """The whole body, as long as it may be."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Problem(400, "Bad Request", "The request was cut off.")
        part = message.get("body", b"")
        size += len(part)
        if size > MAX_BODY:
            detail = f"A body has at most {MAX_BODY:,} bytes."
            raise _problem(Fault("body_too_large", detail))
        if not message.get("more_body"):
            return b"".join((*parts, part)) if parts else part
        parts.append(part)


def _other_method(route: Route, method: str) -> Reply:
    if method == "HEAD" and route.method == "GET":
        return Reply(200, _IMAGE, b"")  # Looked at, not loaded: nothing has happened.
    allowed = "OPTIONS, GET, HEAD" if route.method == "GET" else "OPTIONS, POST"
    if method == "OPTIONS":
        return Reply(204, [(b"allow", allowed.encode())], b"")
    detail = f"Events are sent by {route.method} here."
    raise Problem(405, "Method Not Allowed", detail, headers={"Allow": allowed})


def _refusal(error: Exception, route: Route) -> Reply:
    if isinstance(error, Problem):
        # Segment's SDK for Python gives up on a 401 only if it finds `code` and `message`.
        error.extra = {"code": "refused", **error.extra, "message": error.detail}
    response = response_to(error, route.path)
    if route.method == "GET" and response.status_code != 405:
        # What asked is an <img>: the status tells, and no reader of a mail sees a broken image.
        headers = [pair for pair in response.raw_headers if not pair[0].startswith(b"content-")]
        return Reply(response.status_code, [*_IMAGE, *headers], GIF)
    return Reply(response.status_code, response.raw_headers, bytes(response.body))


def _problem(fault: Fault, message_id: str | None = None) -> Problem:
    extra = {"code": fault.code} | ({"messageId": message_id} if message_id else {})
    if fault.code in _TOO_LARGE:
        return Problem(413, "Content Too Large", fault.detail, extra=extra)
    if fault.code == "bad_encoding":
        accepted = {"Accept-Encoding": ENCODINGS}
        return Problem(415, "Unsupported Media Type", fault.detail, headers=accepted, extra=extra)
    return Problem(400, "Bad Request", fault.detail, extra=extra)

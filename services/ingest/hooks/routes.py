"""``/v1/hooks/{source}``: where providers post. Verified, translated, and taken like any event.

200 only when Kafka has everything; 503 otherwise, so that the provider sends it again.
"""

import asyncio
from collections.abc import Awaitable, Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from fastapi import APIRouter, Request
from pydantic import BaseModel
from starlette.responses import Response

from schemas.messages import PrivacyRequest
from schemas.payloads import PRIVACY_REQUESTED
from schemas.topics import PRIVACY_REQUESTS
from schemas.validation import Fault
from services.ingest.doors import count, nothing_taken, unavailable
from services.ingest.handler import Ingest, Limited, Unavailable
from services.ingest.hooks.arrival import body_of, delivery_of
from services.ingest.hooks.event import encode, fitted
from services.ingest.hooks.model import MAX_HOOK, Delivery, Hook, Reply, Translated, Verdict, most
from services.ingest.hooks.registry import BY_KIND
from services.ingest.model import Accepted, Answer, Shared
from services.ingest.sources.model import Source
from services.ingest.sources.office import Office
from services.runtime.http import Problem

_HEAVY = 256 * 1024
"""Bytes from which a delivery is read beside the loop, which others are waiting for."""
RETRY_AFTER = 10
"""Seconds; providers have schedules of their own and mostly do not read it."""
_ADVICE = "Send the same again: it will not count twice."


class Refusal(BaseModel):
    """An event that did not fit, and why."""

    index: int
    code: str
    detail: str
    messageId: str | None = None  # noqa: N815 - Segment's name


class Ignored(BaseModel):
    """What was left out on purpose, and why."""

    code: str
    detail: str


class Received(BaseModel):
    """What became of a delivery; all of it is stored but the rejected and the ignored."""

    success: bool = True
    accepted: int = 0
    duplicates: int = 0
    rejected: list[Refusal] = []
    ignored: list[Ignored] = []
    requests: int = 0
    """Privacy requests that were passed on."""


class Doorman:
    """Answers deliveries, whatever provider they come from."""

    def __init__(
        self,
        ingest: Ingest,
        office: Office,
        hooks: Mapping[str, Hook] = BY_KIND,
    ) -> None:
        self._ingest = ingest
        self._directory = office.directory
        self._office = office
        self._hooks = hooks
        self.clock = office.clock

    def find(self, name: str) -> tuple[Source, Hook]:
        """The source and its hook. 404 when there is none, 503 when that is not known yet."""
        source = self._directory.by_name(name)
        if source is None and not self._directory.complete:
            raise _unavailable("The sources are not known yet.", "sources_unknown")
        hook = None if source is None else self._hooks.get(source.kind)
        if source is None or hook is None:
            detail = "No source that takes webhooks has this name."
            raise Problem(404, "Not Found", detail, extra={"code": "unknown_source"})
        return source, hook

    async def receive(self, delivery: Delivery) -> Received | Reply:
        """Take a delivery in."""
        admitted = await self.admit(delivery)
        if isinstance(admitted, Reply):
            return admitted
        source, hook = admitted
        if len(delivery.body) > _HEAVY:
            translated = await asyncio.to_thread(hook.translate, delivery, source.options)
        else:
            translated = hook.translate(delivery, source.options)
        if isinstance(translated, Fault):
            await self._ingest.keep(delivery.body, translated, source)
            raise self._refused(source, 400, translated)
        return await self._take(translated, source)

    async def admit(self, delivery: Delivery) -> tuple[Source, Hook] | Reply:
        """Whose delivery it is, once it is verified; or the answer to a handshake."""
        source, hook = self.find(delivery.source)
        if not source.enabled:
            detail = "This source is disabled: nothing was taken."
            raise self._refused(source, 403, Fault("source_disabled", detail))
        if delivery.method not in hook.methods:
            allowed = {"Allow": ", ".join(sorted(hook.methods))}
            raise Problem(405, "Method Not Allowed", "Webhooks are posted.", headers=allowed)
        verdict = await self._verdict(hook, delivery, source)
        if isinstance(verdict, Reply):
            return verdict
        if verdict is not None:
            raise self._refused(source, 401, verdict)
        return source, hook

    async def _verdict(self, hook: Hook, delivery: Delivery, source: Source) -> Verdict:
        try:
            verdict = hook.verify(
                delivery, lambda name: self._directory.secrets(source, name), source.options
            )
            return await verdict if isinstance(verdict, Awaitable) else verdict
        except Unavailable as error:
            raise _unavailable(str(error), "not_verified") from None

    async def _take(self, translated: Translated, source: Source) -> Received:
        texts = [encode(fitted(event)) for event in translated.events]
        requests = [_record(request, source.name) for request in translated.requests]
        try:
            answer = await self._ingest.take(texts, None, Shared(), source, door="hook")
            await self._ingest.forward(requests, source)
        except (Limited, Unavailable) as error:
            raise nothing_taken(error, len(texts), _ADVICE, RETRY_AFTER) from None
        count(answer)
        return received(answer, translated)

    def _refused(self, source: Source, status: int, fault: Fault) -> Problem:
        """The problem that says why; the source's counts say it too."""
        self._office.refused(source, fault.code)
        return Problem(status, HTTPStatus(status).phrase, fault.detail, extra={"code": fault.code})


def received(answer: Answer, translated: Translated) -> Received:
    """The answer to a delivery that was taken."""
    return Received(
        accepted=answer.accepted,
        duplicates=answer.duplicates,
        rejected=[Refusal(**msgspec.to_builtins(one)) for one in answer.rejected],
        ignored=[Ignored(code=one.code, detail=one.detail) for one in translated.ignored],
        requests=len(translated.requests),
    )


def _record(request: PrivacyRequest, source: str) -> Accepted:
    request = msgspec.structs.replace(request, source=source)
    return Accepted(
        topic=PRIVACY_REQUESTS.name,
        key=request.subject_request_id,
        value=msgspec.json.encode(request),
        message_id=request.subject_request_id,
        at=request.submitted_time,
        name=request.subject_request_type,
        type=PRIVACY_REQUESTED,
    )


def _unavailable(detail: str, code: str) -> Problem:
    return unavailable(f"{detail} {_ADVICE}", code, RETRY_AFTER)


_BODY = {
    "requestBody": {
        "required": True,
        "description": "Whatever the provider posts, byte for byte as it was signed.",
        "content": {"*/*": {"schema": {}}},
    }
}
_ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"description": "Not readable as what the provider sends (`code` says how)"},
    401: {"description": "Signature wrong or too old, or the source has no secret"},
    403: {"description": "The source is disabled"},
    404: {"description": "No source of a provider has this name"},
    405: {"description": "A method that the provider does not use"},
    413: {"description": "More than 1 MB; of a mail, more than 25 MB"},
    415: {"description": "A compressed body"},
    429: {"description": "More than the source may send: again after Retry-After"},
    503: {"description": "Not stored, or not verifiable just now: send the same again"},
}


def router(doorman: Doorman) -> APIRouter:
    """The routes that providers call."""
    routes = APIRouter(prefix="/v1/hooks", tags=["webhooks"])

    async def answer(request: Request, source: str) -> Any:
        _, hook = doorman.find(source)
        delivery = delivery_of(request, source, doorman.clock())
        room = most(hook.kind)
        if room > MAX_HOOK:
            await doorman.admit(delivery)  # So much is read only of who has shown the token.
        body = await body_of(request, room)
        outcome = await doorman.receive(msgspec.structs.replace(delivery, body=body))
        if isinstance(outcome, Reply):
            return Response(outcome.body, media_type=outcome.media_type)
        return outcome

    @routes.post(
        "/{source}",
        summary="Take a provider's webhook",
        description=(
            "`source` is the name of a source of the provider's kind. Signed by the provider's "
            "own scheme with a secret of that source. The same delivery again counts once."
        ),
        responses=_ERRORS,
        openapi_extra=_BODY,
    )
    async def receive_webhook(request: Request, source: str) -> Received:
        return await answer(request, source)  # type: ignore[no-any-return]

    @routes.get(
        "/{source}",
        summary="Answer a provider's handshake",
        description="Some providers ask before they post, and want their own challenge back.",
        responses={status: _ERRORS[status] for status in (401, 403, 404, 405, 503)},
        response_class=Response,
    )
    async def answer_handshake(request: Request, source: str) -> Any:
        return await answer(request, source)

    return routes

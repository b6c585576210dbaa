"""``POST /v1/sources/{name}/hook/preview``: what a delivery would become, and nothing sent.

For whoever writes a mapping: no signature is needed, and options may be tried before they
are stored.
"""

from typing import Any
from uuid import uuid4

import msgspec
from fastapi import APIRouter
from pydantic import BaseModel, Field

from schemas.validation import Fault
from services.ingest.handler import receipt_of
from services.ingest.hooks.event import encode, fitted
from services.ingest.hooks.model import Delivery
from services.ingest.hooks.routes import Doorman, Ignored
from services.ingest.model import Accepted, Receipt, Shared
from services.ingest.rules import accept
from services.runtime.http import Problem, require
from services.runtime.problem import ProblemDocument


class Tried(BaseModel):
    """A delivery to try."""

    body: Any = Field(description="What the provider posts: JSON, or a text that is none.")
    headers: dict[str, str] = Field({}, examples=[{"X-Shopify-Topic": "orders/create"}])
    query: dict[str, str] = {}
    options: dict[str, Any] | None = Field(None, description="In place of the source's own.")


class Judged(BaseModel):
    """One event as it would be taken, or why it would be refused."""

    event: dict[str, Any]
    topic: str | None = None
    key: str | None = None
    code: str | None = None
    detail: str | None = None


class Preview(BaseModel):
    """What the delivery would become."""

    events: list[Judged]
    ignored: list[Ignored]
    requests: list[dict[str, Any]]


_ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"description": "The body cannot be read", "model": ProblemDocument},
    404: {"description": "No source of a provider has this name", "model": ProblemDocument},
    422: {"description": "The options do not fit (`errors` says where)", "model": ProblemDocument},
}


def router(doorman: Doorman) -> APIRouter:
    """The route, beside those of the sources."""
    routes = APIRouter(prefix="/v1/sources", tags=["sources"])

    @routes.post(
        "/{name}/hook/preview",
        summary="Show what a webhook would become",
        description="Translates as a delivery to `/v1/hooks/{name}` would be, and sends nothing.",
        responses=_ERRORS,
        dependencies=[require("support")],
    )
    async def preview_hook(name: str, tried: Tried) -> Preview:
        source, hook = doorman.find(name)
        options = source.options if tried.options is None else tried.options
        faults = [] if tried.options is None else hook.check(options)
        if faults:
            errors = [{"at": "body.options", "detail": f.detail, "code": f.code} for f in faults]
            detail = "The options do not fit."
            raise Problem(422, "Unprocessable Content", detail, extra={"errors": errors})
        at = doorman.clock()
        delivery = Delivery(
            source=name,
            method="POST",
            url=f"/v1/hooks/{name}",
            headers={header.lower(): value for header, value in tried.headers.items()},
            query=tried.query,
            body=_raw(tried.body),
            received_at=at,
        )
        translated = hook.translate(delivery, options)
        if isinstance(translated, Fault):
            raise Problem(400, "Bad Request", translated.detail, extra={"code": translated.code})
        receipt = receipt_of(source, at, lambda: str(uuid4()))
        return Preview(
            events=[_verdict(encode(fitted(one)), receipt) for one in translated.events],
            ignored=[Ignored(code=one.code, detail=one.detail) for one in translated.ignored],
            requests=[msgspec.to_builtins(one) for one in translated.requests],
        )

    return routes


def _raw(body: Any) -> bytes:
    """The bytes of the body; 400 for what no provider could have sent."""
    try:
        return body.encode() if isinstance(body, str) else msgspec.json.encode(body)
    except (UnicodeEncodeError, RecursionError, msgspec.MsgspecError):
        detail = "The body holds half a character, or is nested too deeply."
        raise Problem(400, "Bad Request", detail, extra={"code": "bad_json"}) from None


def _verdict(text: bytes, receipt: Receipt) -> Judged:
    outcome = accept(text, None, Shared(), receipt)
    if isinstance(outcome, Accepted):
        event = msgspec.json.decode(outcome.value)
        return Judged(event=event, topic=outcome.topic, key=outcome.key)
    fault, _ = outcome
    return Judged(event=msgspec.json.decode(text), code=fault.code, detail=fault.detail)

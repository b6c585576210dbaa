"""Errors of every HTTP API, as problem details (RFC 9457)."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException
from starlette.responses import Response

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER = "5"
"""Seconds after which a database that was away is worth asking again."""

log = structlog.get_logger()


class Problem(Exception):
    """An answer other than success. ``extra`` are further members of the document."""

    def __init__(
        self,
        status: int,
        title: str,
        detail: str = "",
        *,
        type: str = "about:blank",
        headers: Mapping[str, str] | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(title)
        self.status = status
        self.title = title
        self.detail = detail
        self.type = type
        self.headers = headers
        self.extra = extra or {}


class FieldError(BaseModel):
    """One thing that is wrong with a request."""

    at: str
    """Where: ``body.name``, ``query.limit``."""
    detail: str
    code: str


class ProblemDocument(BaseModel):
    """A problem as it is sent (RFC 9457)."""

    model_config = ConfigDict(
        extra="allow",
        title="Problem",
        json_schema_extra={
            "example": {
                "type": "about:blank",
                "title": "Not Found",
                "status": 404,
                "detail": "There is no profile with this id.",
                "instance": "/v1/profiles/p_123",
            }
        },
    )
    type: str = "about:blank"
    title: str
    status: int
    detail: str = ""
    instance: str
    errors: list[FieldError] | None = None


def respond(problem: Problem, instance: str) -> Response:
    """The response for ``problem``; ``instance`` is the path that was asked for."""
    document = {
        "type": problem.type,
        "title": problem.title,
        "status": problem.status,
        "detail": problem.detail,
        "instance": instance,
        **problem.extra,
    }
    return Response(
        msgspec.json.encode(document),
        status_code=problem.status,
        headers=dict(problem.headers or {}),
        media_type=MEDIA_TYPE,
    )


def response_to(error: Exception, instance: str) -> Response:
    """The response to whatever was raised; a bug is logged and answered without internals."""
    if isinstance(error, Problem):
        return respond(error, instance)
    if isinstance(error, HTTPException):
        title = HTTPStatus(error.status_code).phrase
        detail = error.detail if error.detail != title else ""
        return respond(Problem(error.status_code, title, detail, headers=error.headers), instance)
    if isinstance(error, RequestValidationError):
        errors = [
            # The offending input is left out: it may be personal data.
            {"at": ".".join(map(str, e["loc"])), "detail": e["msg"], "code": e["type"]}
            for e in error.errors()
        ]
        detail = f"{len(errors)} field(s) do not fit."
        problem = Problem(422, "Unprocessable Content", detail, extra={"errors": errors})
        return respond(problem, instance)
    if _storage_away(error):
        log.warning("storage unavailable", error=type(error).__name__)
        return respond(_storage_unavailable(), instance)
    log.error("request failed", exc_info=error)
    return respond(Problem(500, "Internal Server Error", "The cause is in the log."), instance)


def _storage_away(error: Exception) -> bool:
    # Only here: not every process has a database, and the driver is a large import.
    from services.runtime.mongo import away

    return away(error)


def _storage_unavailable() -> Problem:
    return Problem(
        503,
        "Service Unavailable",
        "The database does not answer. Try again in a few seconds.",
        headers={"Retry-After": RETRY_AFTER},
        extra={"code": "storage_unavailable"},
    )


def install(app: FastAPI) -> None:
    """Have ``app`` answer every error as a problem."""

    async def answer(request: Request, error: Exception) -> Response:
        return response_to(error, request.url.path)

    for kind in (Problem, HTTPException, RequestValidationError):
        app.add_exception_handler(kind, answer)

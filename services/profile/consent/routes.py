"""The consent routes of the profile API: the ledger, the answer, and what support writes down."""

from datetime import datetime
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Header, Path, Query, Request, Response

from services.profile.answers import Instant
from services.profile.consent.answers import (
    ChannelName,
    Permission,
    Purpose,
    Recorded,
    Statement,
    StatementBody,
)
from services.profile.consent.desk import Desk, Position
from services.runtime.http import Page, Problem, decode_cursor, encode_cursor, require

ProfileId = Annotated[str, Path(max_length=200, description="A profile id; a former one will do.")]
At = Annotated[Instant | None, Query(description="As it was valid then; missing: now.")]
AsOf = Annotated[Instant | None, Query(description="As it was known then; missing: now.")]
_PROOF_BYTES = 4_000

_encode = msgspec.json.Encoder(order="deterministic").encode


def routes() -> APIRouter:
    """Reading for every role, writing for support."""
    router = APIRouter(prefix="/v1/profiles/{profile_id}/consent", tags=["consent"])

    @router.get(
        "",
        summary="Every statement, newest first",
        response_model=Page[Statement],
        dependencies=[require("reader")],
    )
    async def list_statements(
        request: Request,
        profile_id: ProfileId,
        at: At = None,
        as_of: AsOf = None,
        limit: Annotated[int, Query(ge=1, le=200, description="Of messages, at most.")] = 50,
        cursor: Annotated[str | None, Query(max_length=2_000)] = None,
    ) -> Response:
        """What was said under former ids is part of it; one message may make several."""
        after = None if cursor is None else decode_cursor(cursor, Position)
        found, last = await _desk(request).ledger(profile_id, (at, as_of), limit, after)
        return _json({"items": found, "next": None if last is None else encode_cursor(last)})

    @router.get(
        "/{channel}",
        summary="May we message them now, and why?",
        response_model=Permission,
        dependencies=[require("reader")],
    )
    async def show_consent(
        request: Request,
        profile_id: ProfileId,
        channel: ChannelName,
        purpose: Annotated[Purpose, Query()] = "marketing",
        at: At = None,
        as_of: AsOf = None,
    ) -> Response:
        """Without a record the answer is no, and so it is where the record is not clear.

        `at` and `as_of` answer for the past: what held then, and what was known of it then.
        """
        about, when = (channel, purpose), (at, as_of)
        survivor, answer, statement = await _desk(request).permission(profile_id, about, when)
        return _json(
            {
                "profile_id": survivor,
                "channel": channel,
                "purpose": purpose,
                "allowed": answer.allowed,
                "state": answer.state,
                "since": answer.since,
                "reason": answer.reason,
                "statement": statement,
            }
        )

    @router.post(
        "",
        summary="Write down what somebody told us",
        status_code=202,
        response_model=Recorded,
        dependencies=[require("support")],
        responses=_REFUSED,
    )
    async def record_statement(
        request: Request,
        profile_id: ProfileId,
        body: StatementBody,
        idempotency_key: Annotated[
            str | None,
            Header(min_length=1, max_length=200, description="Repeating it has no further effect."),
        ] = None,
    ) -> Response:
        """It goes the way of every event, and is on the profile within a second."""
        _check_proof(body)
        survivor, event = await _desk(request).record(profile_id, body, idempotency_key)
        times: dict[str, datetime] = {"at": event.timestamp, "recorded_at": event.received_at}
        answer = {"statement_id": event.message_id, "profile_id": survivor, **times}
        return _json(answer, 202)

    return router


_REFUSED: dict[int | str, dict[str, Any]] = {
    409: {"description": "Nothing names this person in an event"},
    422: {"description": "It does not fit, or the Idempotency-Key was used for something else"},
    503: {"description": "Not acknowledged: send it again with the same Idempotency-Key"},
}


def _check_proof(body: StatementBody) -> None:
    if body.state == "granted" and not body.proof:
        detail = "A grant needs a `proof`: where it can be looked up that the person agreed."
        raise Problem(422, "Unprocessable Content", detail)
    if len(msgspec.json.encode(body.proof)) > _PROOF_BYTES:
        detail = f"A `proof` has at most {_PROOF_BYTES:,} bytes: send where it is kept."
        raise Problem(422, "Unprocessable Content", detail)


def _desk(request: Request) -> Desk:
    desk: Desk = request.app.state.consent
    return desk


def _json(answer: object, status: int = 200) -> Response:
    return Response(_encode(answer), status, media_type="application/json")

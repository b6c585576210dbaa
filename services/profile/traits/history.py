"""The routes to the past: every word on a trait, and a whole profile at an instant."""

from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Path, Query, Request, Response

from services.profile.render import profile
from services.profile.traits.past import MOST_FOLDED, Past, Position, TooMuch
from services.profile.traits.shapes import TraitWord
from services.runtime.http import Page, Problem, decode_cursor, encode_cursor, require

ProfileId = Annotated[str, Path(max_length=200, description="A profile id; a former one will do.")]
Name = Annotated[str, Path(min_length=1, max_length=200, description="A trait.")]

_encode = msgspec.json.Encoder(order="deterministic").encode


def routes() -> APIRouter:
    """For every role."""
    router = APIRouter(
        prefix="/v1/profiles/{profile_id}/traits",
        tags=["traits"],
        dependencies=[require("reader")],
    )

    @router.get(
        "/{name}/history",
        summary="Every word on a trait, newest first",
        response_model=Page[TraitWord],
    )
    async def list_words(
        request: Request,
        profile_id: ProfileId,
        name: Name,
        limit: Annotated[int, Query(ge=1, le=200, description="How many, at most.")] = 50,
        cursor: Annotated[
            str | None, Query(max_length=2_000, description="`next` of the page before.")
        ] = None,
    ) -> Response:
        """What was said under former ids is part of it. Words of one millisecond come in the
        order of their message ids, whenever they arrived; of one instant the last one holds.

        It is read from the timeline, 5,000 interactions for a page: a page may be short, or
        empty, and have a `next` all the same.
        """
        after = None if cursor is None else decode_cursor(cursor, Position)
        people = request.app.state.people
        past: Past = request.app.state.past
        who = await people.person(profile_id)
        _, kept = await people.profile(profile_id)
        found, last = await past.history((who, kept), name, limit, after)
        answer = {"items": found, "next": None if last is None else encode_cursor(last)}
        return Response(_encode(answer), media_type="application/json")

    return router


async def profile_at(request: Request, profile_id: str, at: datetime) -> dict[str, Any]:
    """A profile as ``answers.Profile`` declares it, at an instant; 404 before they were known."""
    people = request.app.state.people
    past: Past = request.app.state.past
    try:
        at = at.astimezone(UTC)
    except OverflowError:
        detail = "That instant is beyond the calendar."
        raise Problem(422, "Unprocessable Content", detail) from None
    who = await people.person(profile_id)
    try:
        kept = await past.profile(who, at)
    except TooMuch:
        detail = (
            f"Of more than {MOST_FOLDED} interactions no past profile is made. Ask for an "
            "earlier instant, or read the timeline."
        )
        raise Problem(422, "Unprocessable Content", detail) from None
    if not kept.state.interactions:
        raise Problem(404, "Not Found", "Nothing that happened until then is known of them.")
    return profile(who.profile_id, kept, people.policy) | {"as_of": at}

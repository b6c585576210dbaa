"""The identity routes of the profile API."""

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Path, Query, Request, Response

from schemas.messages import Identifier
from services.profile.build.rules.computed import Traits
from services.profile.identity import shapes
from services.profile.identity.desk import Asked, Desk
from services.profile.identity.forecast import Forecast
from services.profile.identity.preview import Told, tried
from services.profile.identity.preview import preview as preview_of
from services.profile.identity.ranking import Position
from services.profile.identity.render import decided, identity
from services.profile.identity.suggestions import Suggestions
from services.profile.resolve.model import Decision
from services.runtime.http import decode_cursor, encode_cursor, require

ProfileId = Annotated[str, Path(max_length=200, description="A profile id; a former one will do.")]

Preview = Annotated[
    bool, Query(description="Only tell what it would do: who would be who, and what moves.")
]
_DECIDED: dict[int | str, dict[str, Any]] = {
    202: {"description": "Published, and not applied yet: ask for the decision"},
    404: {"description": "No such profile, or no such former profile of this person"},
    409: {"description": "There is nothing to decide, or too many people are connected"},
    503: {"description": "Not acknowledged: nothing was decided, send it again"},
}

_NO_TRAITS = Traits({})
_encode = msgspec.json.Encoder(order="deterministic").encode


def routes() -> APIRouter:
    """Reading for every role, deciding for support."""
    router = APIRouter(prefix="/v1", tags=["identity"])

    @router.get(
        "/profiles/{profile_id}/identity",
        summary="Why this is one person, and nobody else",
        response_model=shapes.Identity,
        dependencies=[require("reader")],
    )
    async def show_identity(request: Request, profile_id: ProfileId) -> Response:
        """Each identifier with the message that brought it, each merge with its evidence, and
        what did not link."""
        desk: Desk = request.app.state.identity
        return _json(identity(*await desk.shown(profile_id)))

    @router.post(
        "/profiles/{profile_id}/unmerge",
        summary="Take somebody else off this person",
        response_model=shapes.Decided | shapes.Preview,
        responses=_DECIDED,
    )
    async def unmerge(
        request: Request,
        profile_id: ProfileId,
        body: shapes.UnmergeBody,
        role: Annotated[str, require("support")],
        preview: Preview = False,
    ) -> Response:
        """Both people are then as if they had never been one: traits, orders, consent,
        segments and reports. What had joined them does not join them again."""
        desk: Desk = request.app.state.identity
        person = await desk.person(profile_id)
        named = [Identifier(each.type, each.value) for each in body.identifiers]
        asked = Asked(body.actor or role, body.reason)
        decision = await desk.split(person, body.merge or named, asked)
        return await _decide(request, person.profile_id, decision, only_try=preview)

    @router.post(
        "/profiles/{profile_id}/merge",
        summary="Say that two profiles are one person",
        response_model=shapes.Decided | shapes.Preview,
        responses=_DECIDED,
    )
    async def merge(
        request: Request,
        profile_id: ProfileId,
        body: shapes.MergeBody,
        role: Annotated[str, require("support")],
        preview: Preview = False,
    ) -> Response:
        """Also where they have a user id each, and more identifiers than one person may
        have. An unmerge takes it back."""
        desk: Desk = request.app.state.identity
        person, other = await desk.person(profile_id), await desk.person(body.other)
        decision = await desk.join(person, other, Asked(body.actor or role, body.reason))
        return await _decide(request, person.profile_id, decision, only_try=preview)

    @router.get(
        "/identity/decisions/{decision_id}",
        summary="A decision, once it is applied",
        response_model=shapes.Decided,
        dependencies=[require("reader")],
    )
    async def show_decision(
        request: Request, decision_id: Annotated[str, Path(max_length=200)]
    ) -> Response:
        """Until then there is none: ask again."""
        desk: Desk = request.app.state.identity
        decision = await desk.decision(decision_id)
        return _json(decided(decision, await desk.people(decision)))

    @router.get(
        "/identity/suggestions",
        summary="Who may be one person, for somebody to decide",
        response_model=shapes.Suggestions,
        dependencies=[require("reader")],
    )
    async def list_suggestions(
        request: Request,
        limit: Annotated[int, Query(ge=1, le=200, description="How many, at most.")] = 50,
        cursor: Annotated[str | None, Query(max_length=2_000)] = None,
    ) -> Response:
        """The likeliest first, by what is known of them now. Each has a user id, and so they
        never become one by themselves."""
        after = None if cursor is None else decode_cursor(cursor, Position)
        suggestions: Suggestions = request.app.state.suggestions
        found, last, left_out = await suggestions.page(limit, after)
        following = None if last is None else encode_cursor(last)
        return _json({"items": found, "next": following, "left_out": left_out})

    @router.post(
        "/identity/suggestions",
        summary="Put pairs in the queue",
        dependencies=[require("support")],
    )
    async def put_suggestions(request: Request, body: shapes.PairsBody) -> shapes.Queued:
        """`regulars profile suggest --queue` puts whom it found there. Nobody is merged by it.

        Who is one person already, has no user id, or was kept apart from the other is left out.
        """
        suggestions: Suggestions = request.app.state.suggestions
        return shapes.Queued(queued=await suggestions.put(body.pairs, body.crowded))

    @router.get(
        "/identity/suggestions/{suggestion_id}",
        summary="One suggestion",
        response_model=shapes.Suggestion,
        dependencies=[require("reader")],
    )
    async def show_suggestion(
        request: Request, suggestion_id: Annotated[str, Path(max_length=400)]
    ) -> Response:
        """404 once it is decided."""
        suggestions: Suggestions = request.app.state.suggestions
        return _json(await suggestions.one(suggestion_id))

    @router.post(
        "/identity/suggestions/{suggestion_id}",
        summary="Accept or reject a suggestion",
        response_model=shapes.Decided | shapes.Preview,
        responses=_DECIDED,
    )
    async def decide_suggestion(
        request: Request,
        suggestion_id: Annotated[str, Path(max_length=400)],
        body: shapes.VerdictBody,
        role: Annotated[str, require("support")],
        preview: Preview = False,
    ) -> Response:
        """The decision is that of a merge, or of an unmerge, and can be taken back."""
        suggestions: Suggestions = request.app.state.suggestions
        asked = Asked(body.actor or role, body.reason)
        decision = await suggestions.decision(suggestion_id, body.verdict, asked)
        profile_id = suggestion_id.partition("~")[0]
        return await _decide(request, profile_id, decision, only_try=preview)

    return router


async def _decide(
    request: Request, profile_id: str, decision: Decision, *, only_try: bool
) -> Response:
    desk: Desk = request.app.state.identity
    component = await desk.tried(decision)
    if only_try:
        forecast: Forecast = request.app.state.forecast
        traits = await forecast.traits()
        policy = request.app.state.people.policy
        found = tried(component, _NO_TRAITS if traits is None else traits, policy)
        if traits is None:
            told = Told(None, "Kafka does not answer: which segments change is not known.")
        else:
            told = await forecast.segments(found, request.headers["Authorization"])
        return _json(preview_of(decision, found, told))
    applied = await desk.publish(profile_id, decision)
    people = await desk.people(decision)
    return _json(decided(decision, people, applied=applied), 200 if applied else 202)


def _json(answer: object, status: int = 200) -> Response:
    return Response(_encode(answer), status, media_type="application/json")

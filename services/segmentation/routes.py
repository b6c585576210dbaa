"""The routes of the API."""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

import msgspec
from aiokafka.errors import KafkaError
from fastapi import APIRouter, Depends, Path, Query, Request, Response

from services.runtime.http import Page, Problem, decode_cursor, encode_cursor, require
from services.segmentation import shapes
from services.segmentation.definitions import Busy, Definitions, Stored
from services.segmentation.model import UNFIT, Standing, instant, micros
from services.segmentation.render import segment as segment_shown
from services.segmentation.render import state_of
from services.segmentation.rules.compile import compile_segment, evaluate, reasons
from services.segmentation.rules.moment import Moment
from services.segmentation.store import Members, Segments

_KEY = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_SEND_SECONDS = 15.0
_decode = msgspec.json.Decoder(float_hook=Decimal).decode


@dataclass(frozen=True)
class Desk:
    """What the routes work with."""

    definitions: Definitions
    catalogue: Segments
    members: Members
    clock: Callable[[], datetime]


def _desk(request: Request) -> Desk:
    desk: Desk = request.app.state.desk
    return desk


Office = Annotated[Desk, Depends(_desk)]
Key = Annotated[str, Path(description="The segment's key", examples=["lapsing"])]
ProfileId = Annotated[str, Path(description="A person's profile id, present or former")]
Limit = Annotated[int, Query(ge=1, le=500)]
Cursor = Annotated[str | None, Query(description="`next` of the page before")]

router = APIRouter(prefix="/v1", tags=["segments"], dependencies=[require("reader")])


@router.put(
    "/segments/{key}",
    summary="Create or change a segment",
    response_model=shapes.Segment,
    response_model_exclude_unset=True,
    responses={
        201: {"description": "Created", "model": shapes.Segment},
        422: {"description": "Not a definition; `errors` say where and why"},
    },
    dependencies=[require("marketer")],
    openapi_extra=shapes.PUT_BODY,
)
async def put_segment(key: Key, request: Request, response: Response, desk: Office) -> Any:
    """Memberships follow within seconds. The same definition again changes nothing."""
    if not _KEY.fullmatch(key):
        detail = "A key has 1 to 63 of a-z, 0-9, - and _, and starts with a letter or digit."
        raise _invalid([{"at": "path.key", "detail": detail, "code": "key"}])
    try:
        body = _decode(await request.body())
    except UNFIT:
        raise Problem(400, "Bad Request", "The body is not JSON, or nested too deeply.") from None
    outcome = await _published(desk.definitions.put(key, body))
    if isinstance(outcome, list):
        errors = [{"at": one.path, "detail": one.message, "code": "rule"} for one in outcome]
        raise _invalid(errors)
    stored, created = outcome
    response.status_code = 201 if created else 200
    return await _shown(desk, stored)


@router.get(
    "/segments/{key}",
    summary="A segment",
    response_model=shapes.Segment,
    response_model_exclude_unset=True,
)
async def get_segment(key: Key, desk: Office) -> Any:
    """The definition in force, how many people are in it, and whether everybody was asked."""
    return await _shown(desk, await _existing(desk, key))


@router.delete(
    "/segments/{key}",
    summary="Delete a segment",
    status_code=204,
    dependencies=[require("marketer")],
)
async def delete_segment(key: Key, desk: Office) -> None:
    """Everyone leaves it, with the cause ``definition``."""
    if not await _published(desk.definitions.delete(key)):
        raise _unknown_segment()


@router.get(
    "/segments",
    summary="All segments",
    response_model=Page[shapes.Segment],
    response_model_exclude_unset=True,
)
async def list_segments(desk: Office, limit: Limit = 50, cursor: Cursor = None) -> Any:
    """By key, with their numbers of members, and whether everybody was asked."""
    after = decode_cursor(cursor, str) if cursor else ""
    found = await desk.catalogue.page(after, limit + 1)
    sizes, outlooks = await desk.members.sizes(), await desk.members.outlooks()
    more = encode_cursor(found[limit - 1].key) if len(found) > limit else None
    items = [segment_shown(stored, sizes, outlooks) for stored in found[:limit]]
    return Page[shapes.Segment](items=items, next=more)


@router.get("/segments/{key}/members", summary="Who is in a segment")
async def list_members(
    key: Key, desk: Office, limit: Limit = 100, cursor: Cursor = None
) -> Page[shapes.Member]:
    """By profile id."""
    await _existing(desk, key)
    after = decode_cursor(cursor, str) if cursor else ""
    found = await desk.members.members(key, after, limit + 1)
    more = encode_cursor(found[limit - 1][0]) if len(found) > limit else None
    items = [
        shapes.Member(profile_id=profile_id, since=instant(one.since))
        for profile_id, one in found[:limit]
    ]
    return Page[shapes.Member](items=items, next=more)


@router.get("/segments/{key}/members/{profile_id}/explain", summary="Why, or why not")
async def explain(key: Key, profile_id: ProfileId, desk: Office) -> shapes.Explanation:
    """Every condition of the rule with what it finds now; for non-members as well."""
    stored = await _existing(desk, key)
    standing = await _person(desk, profile_id)
    person = standing.read()
    assert person is not None  # `_person` ends at one
    segment = compile_segment(key, stored.version, stored.segment())
    at = desk.clock()
    verdict = evaluate(segment, Moment(person, micros(at)))
    state, _ = state_of(key, stored.version, await desk.members.outlooks())
    membership = standing.members.get(key)
    left = standing.past.get(key)
    return shapes.Explanation(
        profile_id=standing.profile_id,
        segment=key,
        definition_version=stored.version,
        profile_version=standing.version,
        member=membership is not None,
        since=instant(membership.since) if membership else None,
        occurrences=membership.occurrence if membership else left.occurrence if left else 0,
        holds=None if state == "waiting" else verdict.member,
        evaluated_at=at,
        next_flip=None if verdict.next_flip is None else instant(verdict.next_flip),
        reasons=[
            shapes.Reason(condition=one.condition, actual=one.actual, holds=one.holds)
            for one in reasons(segment, person, micros(at))
        ],
    )


@router.get("/profiles/{profile_id}/segments", summary="What a person is in")
async def list_memberships(profile_id: ProfileId, desk: Office) -> Page[shapes.Membership]:
    """By segment; all on one page."""
    standing = await _person(desk, profile_id)
    items = [
        shapes.Membership(
            segment=one.segment,
            since=instant(one.since),
            occurrence=one.occurrence,
            definition_version=one.definition,
        )
        for _, one in sorted(standing.members.items())
    ]
    return Page[shapes.Membership](items=items)


async def _published(change: Any) -> Any:
    """The outcome of a change of definitions; 503 when Kafka is away, 409 when others race."""
    try:
        async with asyncio.timeout(_SEND_SECONDS):
            return await change
    except (KafkaError, OSError) as error:  # a timeout is an OSError
        detail = "It is stored, and takes effect when Kafka is back."
        raise Problem(503, "Service Unavailable", detail, headers={"Retry-After": "5"}) from error
    except Busy:
        raise Problem(409, "Conflict", "Somebody else is changing it. Try again.") from None


async def _existing(desk: Desk, key: str) -> Stored:
    stored = await desk.catalogue.get(key)
    if stored is None or stored.deleted:
        raise _unknown_segment()
    return stored


async def _person(desk: Desk, profile_id: str) -> Standing:
    """The person of a profile id, through the merges since, however many there were."""
    at: str | None = profile_id
    seen = set[str]()
    while at is not None and at not in seen:  # Two of whom one was taken back may name each other.
        seen.add(at)
        standing = await desk.members.person(at)
        if standing is not None and standing.into is None:
            return standing
        at = None if standing is None else standing.into
    raise Problem(404, "Not Found", "There is no profile with this id.")


async def _shown(desk: Desk, stored: Stored) -> shapes.Segment:
    return segment_shown(stored, await desk.members.sizes(), await desk.members.outlooks())


def _unknown_segment() -> Problem:
    return Problem(404, "Not Found", "There is no segment with this key.")


def _invalid(errors: list[dict[str, str]]) -> Problem:
    detail = f"{errors[0]['at']} {errors[0]['detail']}" if errors else "It is no definition."
    return Problem(422, "Unprocessable Content", detail, extra={"errors": errors})

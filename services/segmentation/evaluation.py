"""Asking the rules about profiles that do not exist: who would be in which segment?

For previews of merges and splits. Nothing is stored, and nobody enters or leaves.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
from fastapi import APIRouter, Request
from msgspec import Struct
from pydantic import BaseModel, Field

from services.runtime.http import Problem, require
from services.segmentation.definitions import Stored
from services.segmentation.model import UNFIT, Outlook, Person, instant, micros
from services.segmentation.render import state_of
from services.segmentation.routes import Office
from services.segmentation.rules.compile import CompiledSegment, compile_segment, evaluate
from services.segmentation.rules.moment import Moment

MOST = 50
"""Profiles in one request."""
MAX_BODY = 8_000_000

_UNUSABLE = (ArithmeticError, TypeError, ValueError)
"""What rules raise for values that no profile of ours holds: NaN, a time without its zone."""

router = APIRouter(prefix="/v1", tags=["segments"], dependencies=[require("reader")])


class Asked(Struct):
    """The body."""

    profiles: list[Person]


_decode = msgspec.json.Decoder(Asked, float_hook=Decimal).decode


class Evaluated(BaseModel):
    """One segment, for one of the profiles."""

    segment: str
    name: str
    member: bool = Field(description="Whether the profile with this id is in it now.")
    holds: bool | None = Field(
        description="Whether the profile as given would be; null where that cannot be told: it "
        "lacks a computed trait, or the segment waits for one."
    )
    next_flip: datetime | None = Field(
        description="Before this instant time alone changes nothing; null: it never does."
    )


class EvaluatedProfile(BaseModel):
    """Every segment, for one of the profiles."""

    profile_id: str
    segments: list[Evaluated]


class Evaluation(BaseModel):
    """In the order of the profiles that were given."""

    evaluated_at: datetime
    profiles: list[EvaluatedProfile]


_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["profiles"],
                    "properties": {
                        "profiles": {
                            "type": "array",
                            "maxItems": MOST,
                            "items": {"type": "object"},
                            "description": "Each as `profile` of `profile.changes`, or parts of "
                            "it: what is missing is taken as unknown.",
                        }
                    },
                },
                "example": {"profiles": [{"profile_id": "3f0c2a", "traits": {"country": "DE"}}]},
            }
        },
    }
}


@router.post(
    "/segments/evaluate",
    summary="Who would be in which segment",
    response_model=Evaluation,
    responses={422: {"description": "These are no profiles"}},
    openapi_extra=_BODY,
)
async def evaluate_profiles(request: Request, desk: Office) -> Any:
    """What the segments in force say of profiles as they might be. Nothing is changed."""
    try:
        asked = _decode(await request.body()).profiles
    except UNFIT as error:
        raise Problem(422, "Unprocessable Content", f"No list of profiles: {error}") from None
    if len(asked) > MOST:
        raise Problem(422, "Unprocessable Content", f"Send at most {MOST} profiles at once.")
    at = desk.clock()
    segments = await desk.catalogue.where(deleted=False)
    outlooks = await desk.members.outlooks()
    rules = [_compiled(one, outlooks) for one in sorted(segments, key=lambda one: one.key)]
    found = []
    for person in asked:
        standing = await desk.members.person(person.profile_id)
        members = standing.members if standing is not None and standing.into is None else {}
        try:
            told = [_told(one, rule, person, micros(at)) for one, rule in rules]
        except _UNUSABLE:
            detail = "One of the profiles holds a number or a time that cannot be compared."
            raise Problem(422, "Unprocessable Content", detail) from None
        shown = [each | {"member": each["segment"] in members} for each in told]
        found.append({"profile_id": person.profile_id, "segments": shown})
    return {"evaluated_at": at, "profiles": found}


def _compiled(stored: Stored, outlooks: Sequence[Outlook]) -> tuple[Stored, CompiledSegment | None]:
    """The segment, ready to be asked unless it waits for a computed trait."""
    state, _ = state_of(stored.key, stored.version, outlooks)
    waiting = state == "waiting"
    return stored, None if waiting else compile_segment(
        stored.key, stored.version, stored.segment()
    )


def _told(stored: Stored, rule: CompiledSegment | None, person: Person, now: int) -> dict[str, Any]:
    verdict = None if rule is None else evaluate(rule, Moment(person, now))
    flip = None if verdict is None else verdict.next_flip
    return {
        "segment": stored.key,
        "name": stored.fields()["name"],
        "holds": None if verdict is None else verdict.member,
        "next_flip": None if flip is None else instant(flip),
    }

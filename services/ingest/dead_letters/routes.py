"""The routes of dead letters. Here: list, count, look; what is done with them is in ``actions``."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Response

from services.ingest.dead_letters import actions, shapes
from services.ingest.dead_letters.means import (
    Id,
    Office,
    Position,
    cursor_of,
    json_of,
    unknown,
    utc,
)
from services.ingest.dead_letters.model import Filter, State
from services.runtime.http import Page, decode_cursor, require

_ACTORS = ("support", "admin")

router = APIRouter(
    prefix="/v1/dead-letters",
    tags=["dead letters"],
    dependencies=[require("reader")],
)

Text = Annotated[str, Query(max_length=200)]
From = Annotated[datetime | None, Query(alias="from", description="Refused then or later")]
To = Annotated[datetime | None, Query(alias="to", description="Refused before")]


@router.get("", summary="Dead letters, the latest first", response_model=Page[shapes.Summary])
async def list_dead_letters(
    office: Office,
    source: Text = "",
    topic: Text = "",
    reason: Text = "",
    state: Annotated[list[State], Query()] = [],  # noqa: B006
    start: From = None,
    end: To = None,
    text: Annotated[str, Query(max_length=200, description="In the name or message id")] = "",
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[str | None, Query(max_length=2_000)] = None,
) -> Page[shapes.Summary]:
    """Without their content."""
    wanted = Filter(
        source=source,
        topic=topic,
        reason=reason,
        states=tuple(state),
        start=utc(start),
        end=utc(end),
        text=text,
    )
    after = decode_cursor(cursor, Position) if cursor else None
    found = await office.letters.page(wanted, limit + 1, after)
    more = cursor_of(found[limit - 1]) if len(found) > limit else None
    return Page[shapes.Summary](items=[shapes.Summary.of(one) for one in found[:limit]], next=more)


@router.get("/counts", summary="Refusals by day, source, topic and reason")
async def count_dead_letters(
    office: Office,
    source: Text = "",
    topic: Text = "",
    reason: Text = "",
    start: From = None,
    end: To = None,
) -> shapes.Counts:
    """Days are UTC. What was only counted is in it, and letters that are kept no more."""
    wanted = Filter(source=source, topic=topic, reason=reason, start=utc(start), end=utc(end))
    counts = await office.letters.counts(wanted)
    items = [shapes.counted_of(tally, count) for tally, count in counts.items()]
    return shapes.Counts(items=items, states=await office.letters.states(wanted))


@router.get("/{id}", summary="One dead letter", response_model=shapes.Whole)
async def show_dead_letter(
    id: Id, office: Office, role: Annotated[str, require("reader")]
) -> Response:
    """With its content for the roles support and admin; it may hold personal data."""
    letter = await office.letters.get(id)
    if letter is None:
        raise unknown()
    return json_of(shapes.whole_of(letter, raw=role in _ACTORS))


router.include_router(actions.router)

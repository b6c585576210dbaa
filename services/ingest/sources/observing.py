"""What a source does, over HTTP: its counts, and its events as they come."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent

from services.ingest.sources import observations
from services.ingest.sources.lens import MOST
from services.ingest.sources.office import Means, Office, desk_of
from services.ingest.sources.scribe import PAUSE_SECONDS, WATCH
from services.ingest.sources.sighting import Sighting, moment
from services.ingest.sources.summary import BY_MINUTE, summed
from services.runtime.http import Page, Problem, require
from services.runtime.mongo import PyMongoError

router = APIRouter(prefix="/v1/sources", tags=["sources"])

_STREAM = timedelta(minutes=30)
"""After this the stream ends, and the client connects again: by then a token may be gone."""
_LATE = timedelta(seconds=5)
"""How much later than another's a process may store what it saw at the same time."""
_UNMASKED = frozenset({"support", "admin"})


async def _existing(
    name: Annotated[str, Path(max_length=200, description="The source's name")], office: Means
) -> str:
    if not office.directory.static(name):
        stored = await desk_of(office).sources.get(name)
        if stored is None or stored.body is None:
            detail = "There is no source with this name."
            raise Problem(404, "Not Found", detail, extra={"code": "unknown_source"})
    return name


Existing = Annotated[str, Depends(_existing)]
Role = Annotated[str, require("reader")]


@router.get("/{name}/activity", summary="What became of its events")
async def get_activity(
    source: Existing,
    office: Means,
    _role: Role,
    hours: Annotated[int, Query(ge=1, le=24 * 90)] = 24,
) -> observations.ActivityAnswer:
    """Whole hours, the current one included; by the minute where they are one or two."""
    counts = desk_of(office).counts
    now, span = office.clock(), timedelta(hours=hours)
    start, by_minute = now - span + timedelta(hours=1), span <= BY_MINUTE
    found = await counts.since(source, start, minutes=by_minute)
    return observations.activity_answer(
        source, summed(found, now, span), await counts.last_seen(source)
    )


@router.get("/{name}/recent", summary="Its last events with their verdicts")
async def get_recent(
    source: Existing,
    office: Means,
    role: Role,
    limit: Annotated[int, Query(ge=1, le=MOST)] = MOST,
) -> Page[observations.SightingShown]:
    """Newest first. Events are kept only while somebody looks: ask again in a few seconds.

    Mail addresses and telephone numbers are masked but for support and admin.
    """
    desk = desk_of(office)
    await desk.scribe.watch(source, desk.sightings)
    found = await desk.sightings.latest(source, limit)
    masked = role not in _UNMASKED
    return Page(items=[observations.sighting_shown(one, masked=masked) for one in found])


async def _seated(source: Existing, office: Means, _role: Role) -> AsyncIterator[None]:
    with office.audience.seat(source):
        yield


@router.get(
    "/{name}/debug",
    summary="Its events as they come",
    response_class=EventSourceResponse,
    responses={
        200: {"description": "Events named `sighting`, each with a `SightingShown`"},
        429: {"description": "As many watch this source as may: again after Retry-After"},
        503: {"description": "As many watch as may in one process, or MongoDB is away"},
    },
    dependencies=[Depends(_seated)],
)
async def stream(
    source: Existing, office: Means, role: Role, request: Request
) -> AsyncIterator[ServerSentEvent]:
    """Server-sent events: what `recent` has, then each event about a second after it came.

    Of a source that sends more than a hundred a second, the latest. Ends after half an hour.
    Ten may watch a source at once, fifty all sources of one process.
    """
    masked = role not in _UNMASKED
    yield ServerSentEvent(comment="watching", retry=2_000)
    async for sighting in _sightings(source, office, request.app.state.stopping):
        shown = observations.sighting_shown(sighting, masked=masked)
        yield ServerSentEvent(event="sighting", id=sighting.id, data=shown)


async def _sightings(
    source: str, office: Office, stopping: asyncio.Event
) -> AsyncIterator[Sighting]:
    """Each sighting of the source once, the earliest first, until the stream's time is over."""
    desk = desk_of(office)
    end, renewed = office.clock() + _STREAM, None
    shown, after = set[str](), ""
    while office.clock() < end and not stopping.is_set():
        try:
            if renewed is None or office.clock() >= renewed + WATCH / 3:
                await desk.scribe.watch(source, desk.sightings)
                renewed = office.clock()
            latest = await desk.sightings.latest(source, MOST, after)
        except PyMongoError:
            latest = []  # it comes back, and the stream goes on
        for sighting in reversed(latest):
            if sighting.id not in shown:
                yield sighting
        if latest:
            shown = {one.id for one in latest}
            after = moment(latest[0].at - _LATE)
        with suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), PAUSE_SECONDS)

"""``GET /v1/profiles/export``: everybody as lines of JSON, and from where the stream goes on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated, Any

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from fastapi import APIRouter, Query, Request
from starlette.responses import StreamingResponse

from schemas.topics import PROFILE_CHANGES
from services.profile.build.rules.computed import Traits
from services.profile.build.rules.declared import declared_traits
from services.profile.feed import snapshot
from services.profile.feed.snapshot import People, Position
from services.runtime.definitions import Definitions
from services.runtime.http import Problem, decode_cursor, encode_cursor, require
from services.runtime.offsets import Offsets
from services.runtime.settings import Settings

NDJSON = "application/x-ndjson"
_PATIENCE_SECONDS = 8.0
_ANSWER: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "A line that says from where to read on, a line a profile, and a last line",
        "content": {
            NDJSON: {
                "schema": {"type": "string"},
                "example": '{"topic":"profile.changes","at":"2026-03-01T12:00:00Z",'
                '"offsets":{"0":41},"cursor":"WyIy"}\n'
                '{"profile_id":"3f0c2a","version":7,"profile":{"profile_id":"3f0c2a"}}\n'
                '{"complete":true,"profiles":1}\n',
            }
        },
    }
}


def routes(people: People, page: int = snapshot.PAGE) -> APIRouter:
    """The route. It asks Kafka at its beginning, and holds one page in memory."""
    router = APIRouter(prefix="/v1/profiles", tags=["profiles"], dependencies=[require("reader")])

    @router.get(
        "/export",
        summary="Everybody, and from where the stream goes on",
        response_class=StreamingResponse,
        responses=_ANSWER,
    )
    async def export_profiles(
        request: Request,
        cursor: Annotated[
            str | None,
            Query(max_length=2_000, description="The last `cursor` of an export that was cut off."),
        ] = None,
    ) -> StreamingResponse:
        """Lines of JSON: first `topic`, `at`, `offsets` (by partition) and a `cursor`; then a
        profile or a redirect (`merged_into`) each, by id, and again and again a `cursor` that
        goes on from there; at last `complete` with the number of `profiles`. What changes
        meanwhile lies on the topic from these offsets on: keep the higher `version`."""
        position = None if cursor is None else decode_cursor(cursor, Position)
        settings: Settings = request.app.state.settings
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                began = position or await _begin(settings)
                traits = await _traits(settings)
        except (KafkaError, TimeoutError):
            raise Problem(
                503,
                "Service Unavailable",
                "Kafka does not answer, which must say where the stream is. Try again.",
                headers={"Retry-After": "5"},
                extra={"code": "stream_unavailable"},
            ) from None
        copied = snapshot.pages(people, traits, began, page)
        lines = _lines(copied, began, settings, request.app.state.stopping)
        return StreamingResponse(lines, media_type=NDJSON)

    return router


async def _lines(
    pages: AsyncIterator[tuple[bytes, Position]],
    position: Position,
    settings: Settings,
    stopping: asyncio.Event,
) -> AsyncIterator[bytes]:
    topic = settings.topic(PROFILE_CHANGES.name)
    yield snapshot.start_line(position, topic, encode_cursor(position))
    async for lines, position in pages:  # it moves on
        yield lines + snapshot.cursor_line(encode_cursor(position))
        if stopping.is_set():
            return  # without a last line: the reader goes on from its cursor
    yield snapshot.end_line(position)


async def _begin(settings: Settings) -> Position:
    """The ends of the topic: before anything is read."""
    topic = settings.topic(PROFILE_CHANGES.name)
    partitions = [TopicPartition(topic, number) for number in range(PROFILE_CHANGES.partitions)]
    async with _opened(Offsets(settings, "profile-export")) as offsets:
        at = datetime.now(UTC)
        ends = await offsets.end(partitions)
    return Position(at, {str(one.partition): ends[one] for one in partitions})


async def _traits(settings: Settings) -> Traits:
    """The computed traits that are defined, so that a profile is told as build tells it."""
    definitions = Definitions(settings, ("computed_trait", "trait"))
    await definitions.start()
    await definitions.stop()
    return declared_traits(definitions.current.values())


@asynccontextmanager
async def _opened(offsets: Offsets) -> AsyncIterator[Offsets]:
    try:
        await offsets.start()
        yield offsets
    finally:
        await offsets.stop()

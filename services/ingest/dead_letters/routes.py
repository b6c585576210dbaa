"""The routes of dead letters: list, count, look, replay, dismiss, erase."""

from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, NamedTuple, TypeVar

import msgspec
from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.routing import APIRoute

from services.ingest.dead_letters import shapes
from services.ingest.dead_letters.desk import Conflict, Desk
from services.ingest.dead_letters.model import Filter, Letter, State
from services.ingest.dead_letters.store import Letters
from services.runtime.http import Page, Problem, decode_cursor, encode_cursor, require
from services.runtime.mongo import PyMongoError

_ACTORS = ("support", "admin")
_Position = tuple[datetime, str]
T = TypeVar("T")


class _Route(APIRoute):
    """Answers 503 while MongoDB is away: events are taken all the same."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        answer = super().get_route_handler()

        async def guarded(request: Request) -> Response:
            try:
                return await answer(request)
            except PyMongoError as error:
                detail = f"MongoDB does not answer ({type(error).__name__}). Try again."
                headers = {"Retry-After": "5"}
                raise Problem(503, "Service Unavailable", detail, headers=headers) from None

        return guarded


router = APIRouter(
    prefix="/v1/dead-letters",
    tags=["dead letters"],
    dependencies=[require("reader")],
    route_class=_Route,
)


@dataclass(frozen=True)
class Means:
    """What the routes work with; ``request.app.state.dead_letters`` once it has started."""

    letters: Letters
    desk: Desk


def _means(request: Request) -> Means:
    means: Means | None = getattr(request.app.state, "dead_letters", None)
    if means is None:
        raise Problem(503, "Service Unavailable", "It is still starting. Try again.")
    return means


Office = Annotated[Means, Depends(_means)]
Actor = Annotated[str, require("support")]
Id = Annotated[str, Path(max_length=300, description="The id of a dead letter")]
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
        start=_utc(start),
        end=_utc(end),
        text=text,
    )
    after = decode_cursor(cursor, _Position) if cursor else None
    found = await office.letters.page(wanted, limit + 1, after)
    more = _cursor(found[limit - 1]) if len(found) > limit else None
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
    wanted = Filter(source=source, topic=topic, reason=reason, start=_utc(start), end=_utc(end))
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
        raise _unknown()
    return _json(shapes.whole_of(letter, raw=role in _ACTORS))


@router.post(
    "/replay",
    summary="Replay many, changed alike",
    response_model=shapes.Replayed,
    status_code=202,
    responses={200: {"description": "A dry run", "model": shapes.Replayed}},
)
async def replay_dead_letters(
    asked: shapes.Replays, request: Request, office: Office, role: Actor
) -> Response:
    """Each is published once. Those that would be refused again stay, and are listed."""
    wanted = asked.filter
    if not (wanted.source or wanted.topic or wanted.reason or wanted.text):
        detail = "Name a source, a topic, a reason or a text in `filter`."
        raise Problem(422, "Unprocessable Content", detail, extra={"code": "no_filter"})
    outcome = await office.desk.replay_all(
        Filter(
            source=wanted.source,
            topic=wanted.topic,
            reason=wanted.reason,
            states=tuple(wanted.state),
            start=_utc(wanted.start),
            end=_utc(wanted.end),
            text=wanted.text,
        ),
        (await _verbatim(request)).patch,
        role,
        limit=asked.limit,
        after=decode_cursor(asked.cursor, _Position) if asked.cursor else None,
        dry=asked.dry_run,
    )
    cursor = None if outcome.next is None else _cursor(outcome.next)
    answer = shapes.replayed_of(outcome, cursor, raw=asked.dry_run)
    return _json(answer, 200 if asked.dry_run else 202)


@router.post("/erase", summary="Erase what dead letters hold of a person")
async def erase_dead_letters(asked: shapes.Erase, office: Office, role: Actor) -> shapes.Erased:
    """Whoever it is for has to be sure who that is: every letter that names them is emptied."""
    identifiers = [(one.type, one.value) for one in asked.identifiers]
    return shapes.Erased(erased=await _done(office.desk.erase(identifiers, role)))


@router.post(
    "/{id}/replay",
    summary="Replay one, as it was or edited",
    response_model=shapes.Seen,
    status_code=202,
    responses={
        200: {"description": "A dry run", "model": shapes.Seen},
        404: {"description": "There is no such dead letter"},
        409: {"description": "It is being replayed, was replayed, or is erased"},
        422: {"description": "It would be refused again; the edited body is kept with it"},
    },
)
async def replay_dead_letter(
    id: Id,
    request: Request,
    office: Office,
    role: Actor,
    asked: shapes.Replay | None = None,
) -> Response:
    """It is published once, within a second, with the messageId that it came with."""
    dry = asked is not None and asked.dry_run
    body = (await _verbatim(request)).body if asked is not None else None
    seen = await _done(office.desk.replay(id, body, role, dry=dry))
    if seen is None:
        raise _unknown()
    if seen.fault is not None and not dry:
        extra = {"code": seen.fault.code}
        raise Problem(422, "Unprocessable Content", seen.fault.detail, extra=extra)
    answer = shapes.seen_of(seen, raw=dry)
    return _json(msgspec.json.encode(answer), 200 if dry else 202)


@router.post(
    "/{id}/dismiss",
    summary="Nothing is to be done about it",
    responses={
        404: {"description": "There is no such dead letter"},
        409: {"description": "It is being replayed, was replayed, or is erased"},
    },
)
async def dismiss_dead_letter(id: Id, office: Office, role: Actor) -> shapes.Summary:
    """It may still be replayed."""
    letter = await _done(office.desk.dismiss(id, role))
    if letter is None:
        raise _unknown()
    return shapes.Summary.of(letter)


class _Verbatim(msgspec.Struct):
    """A request's parts whose numbers must stay as they were written."""

    body: msgspec.Raw = msgspec.Raw(b"null")  # not `| None`: that is null alone to msgspec
    patch: list[Any] | None = None


_decoder = msgspec.json.Decoder(_Verbatim, float_hook=Decimal)


class _Asked(NamedTuple):
    body: bytes | None
    patch: list[Any] | None


async def _verbatim(request: Request) -> _Asked:
    try:
        said = _decoder.decode(await request.body())
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise Problem(400, "Bad Request", "The body is not JSON in UTF-8.") from None
    body = bytes(said.body)
    return _Asked(None if body == b"null" else body, said.patch)


async def _done(action: Awaitable[T]) -> T:
    """The outcome of an action; 409 where the letter is in no state for it."""
    try:
        return await action
    except Conflict as conflict:
        detail = _CONFLICTS.get(conflict.state, "It is in a state in which this cannot be done.")
        extra = {"code": conflict.state}
        raise Problem(409, "Conflict", detail, extra=extra) from None


_CONFLICTS = {
    "replaying": "It is being replayed.",
    "replayed": "It was replayed.",
    "erased": "Its content was erased.",
    "changing": "Somebody else is changing it. Try again.",
}


def _unknown() -> Problem:
    return Problem(404, "Not Found", "There is no dead letter with this id.")


def _cursor(letter: Letter) -> str:
    return encode_cursor((letter.at, letter.id))


def _utc(at: datetime | None) -> datetime | None:
    """A time without an offset is taken as UTC."""
    return at.replace(tzinfo=UTC) if at is not None and at.tzinfo is None else at


def _json(body: bytes, status: int = 200) -> Response:
    return Response(body, status, media_type="application/json")

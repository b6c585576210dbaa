"""The routes of what people do with dead letters: replay, repair, dismiss, erase."""

from collections.abc import Awaitable
from decimal import Decimal
from typing import Any, NamedTuple, TypeVar

import msgspec
from fastapi import APIRouter, Request, Response

from schemas.validation import Fault
from services.ingest.dead_letters import shapes
from services.ingest.dead_letters.asked import Dismissals, Erase, Replay, Replays, Wanted
from services.ingest.dead_letters.desk import Conflict
from services.ingest.dead_letters.means import (
    Actor,
    Id,
    Office,
    Position,
    cursor_of,
    json_of,
    unknown,
    utc,
)
from services.ingest.dead_letters.model import Filter
from services.ingest.dead_letters.repair import Repair, by_expression, by_patch
from services.runtime.http import Problem, decode_cursor

router = APIRouter()
T = TypeVar("T")


@router.post(
    "/replay",
    summary="Replay many, changed alike",
    response_model=shapes.Replayed,
    status_code=202,
    responses={200: {"description": "A dry run", "model": shapes.Replayed}},
)
async def replay_dead_letters(
    asked: Replays, request: Request, office: Office, role: Actor
) -> Response:
    """Each is published once. Those that would be refused again stay, and are listed."""
    outcome = await office.desk.replay_all(
        _wanted(asked.filter),
        await _repair(asked, request),
        role,
        limit=asked.limit,
        after=decode_cursor(asked.cursor, Position) if asked.cursor else None,
        dry=asked.dry_run,
    )
    cursor = None if outcome.next is None else cursor_of(outcome.next)
    answer = shapes.replayed_of(outcome, cursor, raw=asked.dry_run)
    return json_of(answer, 200 if asked.dry_run else 202)


@router.post("/dismiss", summary="Nothing is to be done about many")
async def dismiss_dead_letters(asked: Dismissals, office: Office, role: Actor) -> shapes.Dismissed:
    """All that are open. Each may still be replayed."""
    wanted = _wanted(asked.filter)
    number = await office.desk.dismiss_all(wanted, role, dry=asked.dry_run)
    return shapes.Dismissed(dismissed=number)


@router.post("/erase", summary="Erase what dead letters hold of a person")
async def erase_dead_letters(asked: Erase, office: Office, role: Actor) -> shapes.Erased:
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
    asked: Replay | None = None,
) -> Response:
    """It is published once, within a second, with the messageId that it came with."""
    dry = asked is not None and asked.dry_run
    body = (await _verbatim(request)).body if asked is not None else None
    seen = await _done(office.desk.replay(id, body, role, dry=dry))
    if seen is None:
        raise unknown()
    if seen.fault is not None and not dry:
        raise _unprocessable(seen.fault)
    answer = shapes.seen_of(seen, raw=dry)
    return json_of(msgspec.json.encode(answer), 200 if dry else 202)


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
        raise unknown()
    return shapes.Summary.of(letter)


def _wanted(said: Wanted) -> Filter:
    """422 where it is not said which letters: nobody means all of them."""
    if not (said.source or said.topic or said.reason or said.text):
        detail = "Name a source, a topic, a reason or a text in `filter`."
        raise _unprocessable(Fault("no_filter", detail))
    return Filter(
        source=said.source,
        topic=said.topic,
        reason=said.reason,
        states=tuple(said.state),
        start=utc(said.start),
        end=utc(said.end),
        text=said.text,
    )


async def _repair(asked: Replays, request: Request) -> Repair | None:
    """422 where it cannot be told what is to be changed."""
    if asked.expression is None:
        patch = (await _verbatim(request)).patch
        return None if patch is None else by_patch(patch)
    if asked.patch is not None:
        raise _unprocessable(Fault("two_repairs", "Send a patch or an expression, not both."))
    repair = by_expression(asked.expression)
    if isinstance(repair, Fault):
        raise _unprocessable(repair)
    return repair


def _unprocessable(fault: Fault) -> Problem:
    extra = {"code": fault.code}
    return Problem(422, "Unprocessable Content", fault.detail, extra=extra)


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

"""Tracking plans over HTTP: an admin writes them, everyone with a token may look."""

from collections.abc import Callable
from datetime import timedelta
from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Path, Query, Request, Response

from schemas.validation import Fault
from services.ingest.plans import shapes
from services.ingest.plans.model import NAME, Plan, check_plan
from services.ingest.plans.wiring import Desk
from services.ingest.register import Busy, Stored
from services.runtime.http import Page, Problem, decode_cursor, encode_cursor, require

router = APIRouter(prefix="/v1/plans", tags=["tracking plans"], dependencies=[require("reader")])

Name = Annotated[str, Path(pattern=NAME, description="The plan's name", examples=["web-shop"])]
_ADMIN = require("admin")
_UNKNOWN = Fault("unknown_plan", "There is no plan with this name.")


def _desk(request: Request) -> Desk:
    desk: Desk | None = getattr(request.app.state, "plans", None)
    if desk is None:
        detail = "The process has not started yet."
        raise Problem(503, "Service Unavailable", detail, headers={"Retry-After": "1"})
    return desk


Plans = Annotated[Desk, Depends(_desk)]


@router.get("", summary="All tracking plans")
async def list_plans(
    desk: Plans,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[str | None, Query(description="`next` of the page before")] = None,
) -> Page[shapes.PlanListed]:
    """By name."""
    after = decode_cursor(cursor, str) if cursor else ""
    stored = [one for one in await desk.shelf.all() if one.name > after]
    items = [_listed(desk, one) for one in stored[:limit]]
    more = len(stored) > limit
    return Page(items=items, next=encode_cursor(items[-1].name) if more else None)


@router.get("/{name}", summary="A tracking plan")
async def get_plan(name: Name, desk: Plans) -> shapes.PlanAnswer:
    """As it was last put."""
    return shapes.plan_answer(await _existing(desk, name), _used_by(desk, name))


@router.put(
    "/{name}",
    summary="Create or change a tracking plan",
    dependencies=[_ADMIN],
    responses={201: {"description": "Created", "model": shapes.PlanAnswer}},
)
async def put_plan(
    name: Name, body: shapes.PlanBody, response: Response, desk: Plans
) -> shapes.PlanAnswer:
    """In force in every process within a second, for the sources whose `plan` names it."""
    plan = _checked(body)
    created = False

    def change(before: Plan | None) -> Plan:
        nonlocal created
        created = before is None
        return plan

    stored = await _changed(desk, name, change)
    response.status_code = 201 if created else 200
    return shapes.plan_answer(stored, _used_by(desk, name))


@router.delete(
    "/{name}",
    summary="Delete a tracking plan",
    status_code=204,
    dependencies=[_ADMIN],
    responses={409: {"description": "A source names it"}},
)
async def delete_plan(name: Name, desk: Plans) -> None:
    """Only when no source names it: its promises would end unseen."""
    used_by = _used_by(desk, name)
    if used_by:
        detail = f"Sources name it: {', '.join(used_by[:10])}. Take it from them first."
        raise Problem(409, "Conflict", detail, extra={"code": "plan_in_use"})
    await _changed(desk, name, lambda before: _UNKNOWN if before is None else None)


@router.get("/{name}/violations", summary="Which promises were broken, and how often")
async def get_violations(
    name: Name,
    desk: Plans,
    days: Annotated[int, Query(ge=1, le=90, description="Today included")] = 7,
) -> shapes.ViolationsAnswer:
    """Of all processes, each rule once, the most broken first; a second or two behind."""
    await _existing(desk, name)
    rows = await desk.violations.since(name, desk.clock() - timedelta(days=days - 1))
    items = [shapes.ViolationRow(**msgspec.to_builtins(row)) for row in rows]
    return shapes.ViolationsAnswer(plan=name, days=days, items=items)


def _checked(body: shapes.PlanBody) -> Plan:
    try:
        plan = body.plan()
    except ValueError as error:
        raise _unprocessable("body.events", Fault("bad_name", f"{error}.")) from None
    misfits = check_plan(plan)
    if misfits:
        errors = [
            {"at": f"body.{one.at}".rstrip("."), "detail": one.fault.detail, "code": one.fault.code}
            for one in misfits
        ]
        raise Problem(
            422, "Unprocessable Content", misfits[0].fault.detail, extra={"errors": errors}
        )
    return plan


def _unprocessable(at: str, fault: Fault) -> Problem:
    errors = [{"at": at, "detail": fault.detail, "code": fault.code}]
    return Problem(422, "Unprocessable Content", fault.detail, extra={"errors": errors})


async def _changed(
    desk: Desk, name: str, change: Callable[[Plan | None], Plan | Fault | None]
) -> Stored[Plan]:
    try:
        outcome = await desk.register.change(name, change)
    except Busy:
        raise Problem(409, "Conflict", "Somebody else is changing it. Try again.") from None
    if outcome is None or isinstance(outcome, Fault):
        raise _not_found()
    if not outcome.published:
        detail = "It is stored, and takes effect when Kafka is back."
        raise Problem(503, "Service Unavailable", detail, headers={"Retry-After": "5"})
    return outcome


async def _existing(desk: Desk, name: str) -> Stored[Plan]:
    stored = await desk.shelf.get(name)
    if stored is None or stored.body is None:
        raise _not_found()
    return stored


def _not_found() -> Problem:
    return Problem(404, "Not Found", _UNKNOWN.detail, extra={"code": _UNKNOWN.code})


def _listed(desk: Desk, stored: Stored[Plan]) -> shapes.PlanListed:
    assert stored.body is not None  # Shelf.all
    return shapes.PlanListed(
        name=stored.name,
        version=stored.version,
        updated_at=stored.at,
        mode=stored.body.mode,
        events=len(stored.body.events),
        used_by=_used_by(desk, stored.name),
    )


def _used_by(desk: Desk, plan: str) -> list[str]:
    found = ((name, desk.directory.by_name(name)) for name in desk.directory.names())
    return [name for name, source in found if source is not None and source.plan == plan]

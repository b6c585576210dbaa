"""Sources over HTTP: an admin creates, rotates and disables; everyone with a token may look."""

import secrets
from datetime import timedelta
from typing import Annotated
from uuid import uuid4

from fastapi import APIRouter, FastAPI, Path, Query, Response
from msgspec.structs import replace

from schemas.validation import Fault
from services.ingest.sources import observing, shapes
from services.ingest.sources.model import (
    NAME,
    SECRET_NAME,
    KeyHash,
    Source,
    standing,
    with_key,
    with_secret,
    without_key,
    without_secret,
)
from services.ingest.sources.office import Desk, Means, Office, desk_of
from services.ingest.sources.register import Busy, Change, Stored
from services.ingest.sources.seals import NoSecretKeys
from services.runtime.http import Page, Problem, decode_cursor, encode_cursor, require
from services.runtime.keys import digest

router = APIRouter(prefix="/v1/sources", tags=["sources"], dependencies=[require("reader")])

Name = Annotated[str, Path(pattern=NAME, description="The source's name", examples=["web-shop"])]
AnyName = Annotated[str, Path(max_length=200, description="The source's name")]
SecretName = Annotated[str, Path(pattern=SECRET_NAME, examples=["app_secret"])]
_ADMIN = require("admin")
_DAY = timedelta(days=1)
_CONFLICTS = frozenset({"too_many_keys", "too_many_secrets"})


@router.get("", summary="All sources")
async def list_sources(
    office: Means,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[str | None, Query(description="`next` of the page before")] = None,
) -> Page[shapes.SourceListed]:
    """By name, with what they sent in the last day. Those of the settings are among them."""
    desk = desk_of(office)
    after = decode_cursor(cursor, str) if cursor else ""
    stored = {one.name: one for one in await desk.sources.all()}
    static = {name for name in office.directory.names() if office.directory.static(name)}
    names = [name for name in sorted(stored.keys() | static) if name > after]
    counted = await desk.counts.all_since(office.clock() - _DAY)
    items = []
    for name in names[:limit]:
        answer = _answer(office, stored.get(name), name)
        hour = counted.get(name)
        day = shapes.Counted()
        if hour is not None:
            day = shapes.Counted(
                accepted=hour.accepted,
                duplicates=hour.duplicates,
                rejected=sum(hour.rejected.values()),
                limited=hour.limited,
                last_seen=hour.last_seen,
            )
        items.append(shapes.SourceListed(**answer.model_dump(), last_day=day))
    more = len(names) > limit
    return Page(items=items, next=encode_cursor(items[-1].name) if more else None)


@router.get("/{name}", summary="A source")
async def get_source(name: AnyName, office: Means) -> shapes.SourceAnswer:
    """Without its keys and secrets themselves."""
    stored = await desk_of(office).sources.get(name)
    if (stored is None or stored.body is None) and not office.directory.static(name):
        raise _unknown()
    return _answer(office, stored, name)


@router.put(
    "/{name}",
    summary="Create or change a source",
    dependencies=[_ADMIN],
    responses={201: {"description": "Created", "model": shapes.SourceAnswer}},
)
async def put_source(
    name: Name, body: shapes.SourceBody, response: Response, office: Means
) -> shapes.SourceAnswer:
    """In force in every process within a second. Its keys and secrets stay as they are.

    A source of the settings is changed under its name, too: its static key then opens this.
    """
    faults = office.check_options(body.kind, body.options)
    if faults:
        errors = [{"at": "body.options", "detail": f.detail, "code": f.code} for f in faults]
        raise Problem(422, "Unprocessable Content", faults[0].detail, extra={"errors": errors})
    created = False

    def change(source: Source | None) -> Source:
        nonlocal created
        created = source is None
        return replace(source or Source(name=name), **body.model_dump())

    stored = await _changed(office, name, change)
    response.status_code = 201 if created else 200
    return _answer(office, stored, name)


@router.delete("/{name}", summary="Delete a source", status_code=204, dependencies=[_ADMIN])
async def delete_source(name: Name, office: Means) -> None:
    """Its keys stop within a second. What it sent stays."""
    await _changed(office, name, lambda source: _missing() if source is None else None)


@router.post("/{name}/enable", summary="Let a source send again", dependencies=[_ADMIN])
async def enable_source(name: Name, office: Means) -> shapes.SourceAnswer:
    """In force in every process within a second."""
    return await _switched(office, name, enabled=True)


@router.post("/{name}/disable", summary="Refuse all that a source sends", dependencies=[_ADMIN])
async def disable_source(name: Name, office: Means) -> shapes.SourceAnswer:
    """Answered 403 in every process within a second."""
    return await _switched(office, name, enabled=False)


@router.post("/{name}/keys", summary="Make a write key", status_code=201, dependencies=[_ADMIN])
async def make_key(
    name: Name, office: Means, response: Response, body: shapes.KeyBody | None = None
) -> shapes.KeyMade:
    """Shown this once. Two may be valid: rotate with an overlap, or delete the old one."""
    key = f"rgl_{secrets.token_urlsafe(24)}"
    seconds = body.overlap_seconds if body else None
    overlap = None if seconds is None else timedelta(seconds=seconds)
    at = office.clock()
    made = KeyHash(id=f"k-{uuid4().hex[:12]}", hash=digest(key), hint=key[-4:], created_at=at)

    def change(source: Source | None) -> Source | Fault:
        return _missing() if source is None else with_key(source, made, at, overlap)

    stored = await _changed(office, name, change, told=False)
    response.headers["Cache-Control"] = "no-store"
    return shapes.KeyMade(
        id=made.id,
        hint=made.hint,
        created_at=made.created_at,
        expires_at=None,
        key=key,
        published=stored.published,
    )


@router.delete(
    "/{name}/keys/{key_id}", summary="Delete a write key", status_code=204, dependencies=[_ADMIN]
)
async def delete_key(name: Name, key_id: str, office: Means) -> None:
    """It stops within a second."""
    fault = Fault("unknown_key", "This source has no key with this id.")
    await _changed(
        office, name, lambda s: _missing() if s is None else without_key(s, key_id) or fault
    )


@router.put("/{name}/secrets/{secret}", summary="Set a secret", dependencies=[_ADMIN])
async def put_secret(
    name: Name, secret: SecretName, body: shapes.SecretBody, office: Means
) -> shapes.SourceAnswer:
    """Sealed at rest, and never answered. The value before stays good for an hour."""
    try:
        sealed = office.seals.seal(body.value, office.clock())
    except NoSecretKeys:
        raise Problem(
            409,
            "Conflict",
            "Secrets cannot be sealed: set REGULARS_SECRET_KEYS and start ingest again.",
            extra={"code": "no_secret_keys"},
        ) from None
    stored = await _changed(
        office, name, lambda s: _missing() if s is None else with_secret(s, secret, sealed)
    )
    return _answer(office, stored, name)


@router.delete(
    "/{name}/secrets/{secret}", summary="Delete a secret", status_code=204, dependencies=[_ADMIN]
)
async def delete_secret(name: Name, secret: SecretName, office: Means) -> None:
    """What needs it is refused from then on."""
    fault = Fault("unknown_secret", "This source has no secret with this name.")
    await _changed(
        office, name, lambda s: _missing() if s is None else without_secret(s, secret) or fault
    )


async def _switched(office: Office, name: str, *, enabled: bool) -> shapes.SourceAnswer:
    stored = await _changed(
        office, name, lambda s: _missing() if s is None else replace(s, enabled=enabled)
    )
    return _answer(office, stored, name)


async def _changed(office: Office, name: str, change: Change, *, told: bool = True) -> Stored:
    """The source after the change; a problem when there is none, or with ``told`` not yet."""
    desk: Desk = desk_of(office)
    try:
        outcome = await desk.register.change(name, change)
    except Busy:
        raise Problem(409, "Conflict", "Somebody else is changing it. Try again.") from None
    if isinstance(outcome, Fault):
        status, title = (409, "Conflict") if outcome.code in _CONFLICTS else (404, "Not Found")
        raise Problem(status, title, outcome.detail, extra={"code": outcome.code})
    if outcome is None:
        raise _unknown()
    if told and not outcome.published:
        detail = "It is stored, and takes effect when Kafka is back."
        raise Problem(503, "Service Unavailable", detail, headers={"Retry-After": "5"})
    return outcome


def _answer(office: Office, stored: Stored | None, name: str) -> shapes.SourceAnswer:
    static = office.directory.static(name)
    if stored is None or stored.body is None:
        return shapes.static_answer(Source(name=name))
    source = replace(stored.body, keys=standing(stored.body, office.clock()))
    return shapes.source_answer(stored, source, static=static)


def _missing() -> Fault:
    return Fault("unknown_source", "There is no source with this name.")


def _unknown() -> Problem:
    fault = _missing()
    return Problem(404, "Not Found", fault.detail, extra={"code": fault.code})


def install(app: FastAPI, office: Office) -> None:
    """Give ``app`` the routes of sources."""

    app.state.office = office
    app.include_router(router)
    app.include_router(observing.router)

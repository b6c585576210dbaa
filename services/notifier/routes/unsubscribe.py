"""One-click unsubscribe (RFC 8058): no login, no cookie, no redirect."""

from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from services.notifier import unsubscribe
from services.notifier.publications import Untold
from services.notifier.routes.office import Means
from services.notifier.routes.pages import PAGE, shown
from services.runtime.mongo import PyMongoError

router = APIRouter(prefix="/unsubscribe", tags=["unsubscribe"])

_ANSWERS: dict[int | str, dict[str, Any]] = {404: {"description": "Not a link of ours", **PAGE}}


@router.head("/{token}", include_in_schema=False)
@router.get("/{token}", summary="Ask", response_class=HTMLResponse, responses=_ANSWERS)
async def ask(token: str, office: Means) -> HTMLResponse:
    """A page with a button. Changes nothing: scanners follow links, by HEAD as well."""
    if unsubscribe.message_of(token, office.secret) is None:
        return shown(unsubscribe.UNKNOWN, 404)
    return shown(unsubscribe.ASK)


@router.post(
    "/{token}",
    summary="Unsubscribe",
    response_class=HTMLResponse,
    responses={
        **_ANSWERS,
        503: {"description": "Stored or not, as the page says; try again", **PAGE},
    },
)
async def confirm(token: str, office: Means) -> HTMLResponse:
    """In force at once: nothing more is sent. Repeating it changes nothing."""
    message_id = unsubscribe.message_of(token, office.secret)
    if message_id is None:
        return shown(unsubscribe.UNKNOWN, 404)
    try:
        found = await office.records.message(message_id)
        if found is None:
            return shown(unsubscribe.UNKNOWN, 404)
        entry = found[0]
        first = await office.records.unsubscribe(entry, datetime.now(UTC))
        await office.publications.unsubscribed(entry, first)
    except Untold:
        return shown(unsubscribe.LATER, 503)
    except PyMongoError:
        return shown(unsubscribe.AWAY, 503)
    return shown(unsubscribe.DONE)

"""The link of a confirmation mail (double opt-in): no login, no cookie, no redirect."""

import math
from datetime import UTC, datetime
from time import monotonic
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from services.notifier import confirm_pages, confirmation, unsubscribe
from services.notifier.publications import Untold
from services.notifier.routes.office import Means
from services.notifier.routes.pages import PAGE, shown
from services.runtime.http import Problem
from services.runtime.mongo import PyMongoError

router = APIRouter(prefix="/v1/consent", tags=["consent"])

Token = Annotated[str, Query(description="Of the link in the mail.")]
_ANSWERS: dict[int | str, dict[str, Any]] = {
    404: {"description": "Not a link of ours, or cut off", **PAGE},
    410: {"description": "The link is too old, and nothing was confirmed by it", **PAGE},
}

_LIMITED: dict[int | str, dict[str, Any]] = {
    429: {"description": "The link was used many times: again after Retry-After", **PAGE}
}


@router.head("/again", include_in_schema=False)
@router.get("/again", include_in_schema=False)
@router.head("/confirm", include_in_schema=False)
@router.get(
    "/confirm",
    summary="Ask",
    response_class=HTMLResponse,
    responses={**_ANSWERS, 503: {"description": "Try again", **PAGE}},
)
async def ask(office: Means, token: Token = "") -> HTMLResponse:
    """A page with a button. Changes nothing: scanners follow links, by HEAD as well."""
    found = confirmation.opened(token, office.secret)
    if found is None:
        return shown(unsubscribe.UNKNOWN, 404)
    message_id, ends = found
    if ends > datetime.now(UTC):
        return shown(confirm_pages.ask(token))
    try:
        confirmed = await office.records.confirmed(message_id)
    except PyMongoError:
        return shown(unsubscribe.AWAY, 503)
    if confirmed is None:
        return shown(confirm_pages.expired(token), 410)
    return shown(confirm_pages.DONE)


@router.post(
    "/confirm",
    summary="Confirm",
    response_class=HTMLResponse,
    responses={
        **_ANSWERS,
        **_LIMITED,
        503: {"description": "Stored or not, as the page says; try again", **PAGE},
    },
)
async def confirm(office: Means, request: Request, token: Token = "") -> HTMLResponse:
    """What was granted counts from now on. Repeating it changes nothing."""
    found = confirmation.opened(token, office.secret)
    if found is None:
        return shown(unsubscribe.UNKNOWN, 404)
    message_id, ends = found
    wait = office.links.take(message_id, monotonic())
    if wait:
        return _too_often(request, wait)
    now, ip = datetime.now(UTC), request.client.host if request.client else ""
    try:
        if ends > now:
            confirmed = await office.records.confirm(message_id, now, ip)
        else:
            confirmed = await office.records.confirmed(message_id)
            if confirmed is None:
                return shown(confirm_pages.expired(token), 410)
        if confirmed is None or confirmed.entry.confirms is None:
            return shown(unsubscribe.UNKNOWN, 404)
        if not confirmed.told:
            await office.publications.confirmed(confirmed)
    except Untold:
        return shown(confirm_pages.LATER, 503)
    except PyMongoError:
        return shown(unsubscribe.AWAY, 503)
    return shown(confirm_pages.DONE)


@router.post(
    "/again",
    summary="Ask for another link",
    response_class=HTMLResponse,
    responses={404: _ANSWERS[404], **_LIMITED, 503: {"description": "Try again", **PAGE}},
)
async def send_again(office: Means, request: Request, token: Token = "") -> HTMLResponse:
    """In place of a link that has ended. One mail an hour, within the limits of signing up.

    The page is the same whether a mail is sent or not. It takes a link of ours, and what the
    person has ended since is not asked for: so nobody learns who is known.
    """
    found = confirmation.opened(token, office.secret)
    if found is None:
        return shown(unsubscribe.UNKNOWN, 404)
    message_id, ends = found
    wait = office.links.take(message_id, monotonic())
    if wait:
        return _too_often(request, wait)
    now = datetime.now(UTC)
    if ends > now:
        return shown(confirm_pages.ask(token))
    try:
        entry = await office.records.asked_last(message_id)
        if entry is None:
            return shown(unsubscribe.UNKNOWN, 404)
        for one in (message_id, entry.message_id):
            if await office.records.confirmed(one) is not None:
                return shown(confirm_pages.DONE)
        await office.publications.asked(confirmation.anew(entry, now))
    except (Untold, PyMongoError):
        return shown(confirm_pages.NOT_SENT, 503)
    return shown(confirm_pages.SENT)


def _too_often(request: Request, wait: float) -> HTMLResponse:
    """A page, or a problem (``Problem``) for a program that asks for no pages."""
    seconds, accept = math.ceil(wait), request.headers.get("accept", "")
    if "json" in accept and "html" not in accept:
        raise Problem(
            429,
            "Too Many Requests",
            f"This link was used many times just now. Again after {seconds} s.",
            headers={"Retry-After": str(seconds)},
            extra={"code": "rate_limited"},
        )
    return shown(confirm_pages.TOO_OFTEN, 429, again=seconds)

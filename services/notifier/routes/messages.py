"""The send ledger over HTTP: what was said to whom, when, and why not."""

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query

from services.notifier import rules
from services.notifier.model import LedgerState
from services.notifier.routes.answers import (
    MessageAnswer,
    MessageDetail,
    message_answer,
    message_detail,
)
from services.notifier.routes.office import Means
from services.runtime.http import Page, Problem, decode_cursor, encode_cursor, require

router = APIRouter(prefix="/v1/messages", tags=["messages"])


@router.get("", summary="Messages, the newest decision first", dependencies=[require("reader")])
async def list_messages(
    office: Means,
    profile_id: Annotated[
        list[str] | None, Query(description="May be repeated: a person's former ids.")
    ] = None,
    campaign: str | None = None,
    state: LedgerState | None = None,
    cursor: str | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Page[MessageAnswer]:
    """All filters must match. `uncertain`: the mail server's answer was lost."""
    match: dict[str, Any] = {}
    if profile_id:
        match["profile_id"] = profile_id[0] if len(profile_id) == 1 else {"$in": profile_id}
    if campaign is not None:
        match["campaign"] = campaign
    if state is not None:
        match["state"] = state
    after = decode_cursor(cursor, tuple[datetime, str]) if cursor else None
    found = await office.records.messages(match, after, limit + 1)
    items = [message_answer(entry, unsubscribed) for entry, unsubscribed in found[:limit]]
    last = found[limit - 1][0] if len(found) > limit else None
    following = None if last is None else encode_cursor((last.decided_at, last.message_id))
    return Page(items=items, next=following)


@router.get(
    "/{message_id}", summary="One message with its history", dependencies=[require("reader")]
)
async def get_message(message_id: str, office: Means) -> MessageDetail:
    """404 when there is none."""
    found = await office.records.message(message_id)
    if found is None:
        raise Problem(404, "Not Found", "There is no message with this id.")
    return message_detail(*found)


@router.post(
    "/{message_id}/resend",
    summary="Send an uncertain or failed message again",
    status_code=202,
    dependencies=[require("admin")],
)
async def resend_message(message_id: str, office: Means) -> MessageDetail:
    """For a person who has looked: an uncertain message may already have arrived.

    Consent and everything else is checked again. 409 in any other state.
    """
    found = await office.records.message(message_id)
    if found is None:
        raise Problem(404, "Not Found", "There is no message with this id.")
    entry, unsubscribed = found
    again = None
    if entry.state in rules.RESENDABLE:
        again = await office.records.resend(entry, datetime.now(UTC), "admin")
    if again is None:
        raise Problem(409, "Conflict", "Only an uncertain or failed message can be sent again.")
    return message_detail(again, unsubscribed)

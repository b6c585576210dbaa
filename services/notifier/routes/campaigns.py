"""Campaigns over HTTP: stored, then published to the workers; a change is a new version."""

from datetime import UTC, datetime
from typing import Annotated

import msgspec
from fastapi import APIRouter, Path, Query, Response

from services.notifier import rules
from services.notifier.model import Campaign, CampaignDocument, Live
from services.notifier.profiles import ProfilesAway
from services.notifier.publications import Untold
from services.notifier.routes.answers import (
    CampaignAnswer,
    CampaignBody,
    PreviewAnswer,
    PreviewBody,
    campaign_answer,
)
from services.notifier.routes.office import Means, Office
from services.notifier.templates import TemplateError, Templates, template_data
from services.runtime.http import Page, Problem, decode_cursor, encode_cursor, require

router = APIRouter(prefix="/v1/campaigns", tags=["campaigns"])

Key = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


@router.put("/{key}", summary="Create or replace", dependencies=[require("marketer")])
async def put_campaign(key: Key, body: CampaignBody, office: Means) -> CampaignAnswer:
    """The templates must parse (422). Unchanged: the same version again.

    A segment that is not known (yet) is allowed and noted. 503: stored, and in force as
    soon as the workers can be told.
    """
    plain = body.model_dump(by_alias=True, exclude_none=True)
    try:
        Templates(msgspec.convert(plain, Campaign))
    except TemplateError as error:
        errors = [{"at": f"body.{str(error).partition(':')[0]}", "detail": str(error)}]
        raise Problem(422, "Unprocessable Content", str(error), extra={"errors": errors}) from None
    document = await office.records.put_campaign(key, plain, datetime.now(UTC))
    await _publish(document, office)
    return campaign_answer(document, _notes(document, office))


@router.get("/{key}", summary="One campaign", dependencies=[require("reader")])
async def get_campaign(key: Key, office: Means) -> CampaignAnswer:
    """As last put; 404 when there is none."""
    document = await _found(key, office)
    return campaign_answer(document, _notes(document, office))


@router.get("", summary="All campaigns", dependencies=[require("reader")])
async def list_campaigns(
    office: Means, cursor: str | None = None, limit: Annotated[int, Query(ge=1, le=200)] = 50
) -> Page[CampaignAnswer]:
    """By key."""
    after = decode_cursor(cursor, str) if cursor else ""
    found = await office.records.campaigns(after, limit + 1)
    items = [campaign_answer(document, _notes(document, office)) for document in found[:limit]]
    more = len(found) > limit
    return Page(items=items, next=encode_cursor(items[-1].key) if more else None)


@router.delete("/{key}", summary="Delete", status_code=204, dependencies=[require("marketer")])
async def delete_campaign(key: Key, office: Means) -> Response:
    """What it has decided and not sent is skipped. Put again, its versions go on."""
    await _found(key, office)
    document = await office.records.put_campaign(key, None, datetime.now(UTC))
    await _publish(document, office)
    return Response(status_code=204)


@router.post("/{key}/preview", summary="Render for one person", dependencies=[require("marketer")])
async def preview_campaign(key: Key, body: PreviewBody, office: Means) -> PreviewAnswer:
    """Renders with what is known of them now; sends nothing."""
    document = await _found(key, office)
    live = Live(key, document.version, msgspec.convert(document.body, Campaign))
    try:
        recipient = await office.profiles.fetch(body.profile_id)
    except ProfilesAway:
        raise Problem(503, "Profile API away", "Try again.", headers={"Retry-After": "5"}) from None
    if recipient is None:
        raise Problem(404, "Not Found", "There is no profile with this id.")
    link = f"{office.settings.notifier_public_url}/unsubscribe/preview"
    try:
        rendered = Templates(live.campaign).render(template_data(live, recipient, link))
    except TemplateError as error:
        raise Problem(422, "Cannot be rendered", str(error)) from None
    return PreviewAnswer(
        profile_id=recipient.profile_id,
        subject=rendered.subject,
        text=rendered.text,
        html=rendered.html,
        skip=rules.refusal(recipient, live.campaign.channel),
    )


async def _found(key: str, office: Office) -> CampaignDocument:
    document = await office.records.campaign(key)
    if document is None or document.body is None:
        raise Problem(404, "Not Found", "There is no campaign with this key.")
    return document


async def _publish(document: CampaignDocument, office: Office) -> None:
    if document.published:
        return
    try:
        await office.publications.campaign(document)
    except Untold:
        detail = f"Stored as version {document.version}; in force once Kafka acknowledges it."
        raise Problem(503, "Not published", detail, headers={"Retry-After": "15"}) from None
    document.published = True


def _notes(document: CampaignDocument, office: Office) -> list[str]:
    segment = (document.body or {})["trigger"]["segment"]
    if office.segments is None or ("segment", segment) in office.segments:
        return []
    return [f"The segment {segment!r} is not defined (yet): nobody enters it."]

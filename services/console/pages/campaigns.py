"""Every campaign: what starts it, and how far its messages came."""

import asyncio
from collections.abc import Mapping

from services.console import words
from services.console.answers import Campaign
from services.console.elements import Pill, Text, box, empty, link, pill
from services.console.pages.visit import Visit
from services.console.reported import Row

TITLE = "Campaigns"
_STEPS = ("decided", "sent", "delivered", "opened", "clicked", "converted")
_ALWAYS = ("decided", "sent")
_LOSSES = ("skipped", "failed", "uncertain", "bounced", "complained", "unsubscribed")


async def build(visit: Visit) -> None:
    """Counts are of all time, each message once a state."""
    Text("h1", TITLE)
    campaigns, funnel = await asyncio.gather(
        visit.apis.messages.campaigns(), visit.apis.reports.table("message_funnel")
    )
    if not campaigns:
        empty(
            "No campaigns are defined.",
            "PUT /v1/campaigns/{key} of the notifier API; its /docs show examples.",
        )
    counted = {str(row.get("campaign")): row for row in funnel.rows}
    with box("div", "cards"):
        for campaign in campaigns:
            _show(campaign, counted.get(campaign.key, {}))
    if campaigns:
        with box("p", "note links"):
            link("The funnel as a table", "/reports/message_funnel")
            link("Why messages did not arrive", "/reports/message_reasons")


def _show(campaign: Campaign, row: Row) -> None:
    with box("section", "card", id=campaign.key):
        with box("div", "card-head"):
            Text("h2", campaign.name)
            pill(Pill("on", "good") if campaign.enabled else Pill("off"))
        Text("p", _start(campaign))
        for note in campaign.notes:
            Text("p", note, "banner mild")
        _funnel(row)
        lost = [f"{words.count(_of(row, state))} {state}" for state in _LOSSES if _of(row, state)]
        Text("p", f"Left out on the way: {', '.join(lost)}." if lost else "None left out.", "note")
        changed = words.moment(campaign.updated_at)
        Text("p", f"{campaign.key}, version {campaign.version}, changed {changed}", "note")


def _start(campaign: Campaign) -> str:
    wait = f", {words.duration(campaign.delay_seconds)} later" if campaign.delay_seconds else ""
    often = "once ever" if campaign.once else "each time"
    medium = "mail" if campaign.channel == "email" else campaign.channel
    return f"Sends a {medium} when somebody enters {campaign.trigger.segment}{wait}; {often}."


def _funnel(row: Row) -> None:
    most = max((_of(row, state) for state in _STEPS), default=0) or 1
    with box("ol", "funnel", aria_label="Messages by how far they came"):
        for state in _STEPS:
            number = _of(row, state)
            if not number and state not in _ALWAYS:
                continue  # not every mail provider reports it
            with box("li"):
                Text("span", words.sentence(state))
                Text("span", words.count(number), "number")
                with box("span", "track", aria_hidden="true"):
                    box("span", "fill").style(f"width: {100 * number / most:.1f}%")


def _of(row: Mapping[str, object], state: str) -> int:
    found = row.get(state)
    return found if isinstance(found, int) else 0

"""The shop at a glance, as of now: it asks again every two seconds and changes only numbers."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

from nicegui import ui

from services.console import words
from services.console.acting import Notice
from services.console.answers import Segment
from services.console.client import Apis, Trouble
from services.console.elements import Text, box, empty
from services.console.pages.happenings import Happening, Messages, Pulse, Sizes
from services.console.pages.panels import Panel, Picture, Sales, Tiles
from services.console.pages.visit import Visit

TITLE = "Overview"
_ROWS = 50_000


async def look(apis: Apis) -> Picture:
    """One picture. Trouble when reporting gives no answer; without segmentation it has a gap."""
    at = datetime.now(UTC)
    reports = apis.reports
    live, totals, sales, messages, segments = await asyncio.gather(
        reports.live(),
        reports.summary(),
        reports.table("revenue_by_day", limit=_ROWS),
        reports.table("message_funnel", start=at.date().isoformat()),
        _tried(apis),
    )
    return Picture(at, live, totals, sales.rows, messages.rows, segments)


async def _tried(apis: Apis) -> Sequence[Segment] | Trouble:
    try:
        return await apis.segments.segments()
    except Trouble as trouble:
        return trouble


async def build(visit: Visit) -> None:
    """The page; nothing of it is drawn before there is an answer."""
    with box("div", "head"):
        Text("h1", TITLE)
        as_of = Text("p", "", "note as-of")
    trouble = Notice()
    picture = await look(visit.apis)
    with box() as nothing:
        hint = "Send the first one to ingest, or run `regulars demo`. This page fills by itself."
        empty("No events yet.", hint)
    panels = _panels(picture)

    def warn(why: Trouble | None) -> None:
        trouble.say(f"{why.message} What you see is no longer current." if why else "")

    def show(picture: Picture) -> None:
        nothing.visible = not picture.totals.people
        as_of.set_text(f"As of {words.clock(picture.at)}, {words.day(picture.at)}")
        for panel in panels:
            panel.show(picture)
        warn(picture.segments if isinstance(picture.segments, Trouble) else None)

    async def refresh() -> None:
        try:
            show(await look(visit.apis))
        except Trouble as why:
            warn(why)

    show(picture)
    ui.timer(visit.settings.console_refresh_seconds, refresh, immediate=False)


def _panels(picture: Picture) -> list[Panel]:
    with box("div", "tiles"):
        panels: list[Panel] = [Tiles(picture)]
    with box("div", "wide-and-narrow"):
        panels.append(Sales(picture))
        with box("div", "column"):
            panels += [Pulse(), Messages()]
    with box("div", "halves"):
        panels += [Sizes(), Happening()]
    return panels

"""One source: what becomes of its events, its keys and secrets, and its events as they come."""

import asyncio
from collections.abc import Sequence

from nicegui import ui

from services.console import charts, words
from services.console.acting import Notice, button, confirmed
from services.console.arrivals import Activity, Sighting, Source
from services.console.client import Apis, Trouble
from services.console.elements import Text, box, card, chart, facts, link, pill, redraw
from services.console.pages import sources
from services.console.pages.credentials import Keys, Secrets
from services.console.pages.debugger import Debugger
from services.console.pages.happenings import Ranked
from services.console.pages.visit import Visit

TITLE = "Source"
_HOURS = 24
_LIVE_SECONDS = 1.0


async def build(visit: Visit) -> None:
    """Its numbers are asked for again every two seconds, its events every second."""
    apis, name = visit.apis, str(visit.parts["name"])
    source, activity, seen = await asyncio.gather(
        apis.sources.source(name), apis.sources.activity(name, _HOURS), _seen(apis, name)
    )
    ui.page_title(f"{name} · Regulars")
    page = _Page(visit, source, seen)
    page.show(activity)
    ui.timer(visit.settings.console_refresh_seconds, page.refresh, immediate=False)


async def _seen(apis: Apis, name: str) -> Sequence[Sighting] | Trouble:
    try:
        return await apis.sources.recent(name)
    except Trouble as trouble:
        return trouble


class _Page:
    def __init__(self, visit: Visit, source: Source, seen: Sequence[Sighting] | Trouble) -> None:
        self._sources = visit.apis.sources
        self._name = source.name
        with box("div", "title"):
            link("All sources", "/sources", "back")
            Text("h1", source.name)
            self._state = box("div", "choices", aria_live="polite")
        self._notice = Notice()
        self._strip = _Strip()
        with box("div", "wide-and-narrow"):
            with box("div", "column"):
                with card("Events of the last 24 hours", note="By the hour, in UTC"):
                    options = charts.traffic([], minutes=False)
                    self._chart = chart(options, "Events accepted and refused, by the hour")
                    with box("ul", "legend"):
                        Text("li", "Accepted")
                        Text("li", "Refused", "refused")
                often = min(_LIVE_SECONDS, visit.settings.console_refresh_seconds)
                Debugger(visit.apis, source.name, seen, often)
            with box("div", "column"):
                self._why = Ranked("Why events were refused", "In 24 hours", ("None was.", ""))
                self._keys = Keys(visit.apis, source, self._reload)
                self._secrets = Secrets(visit.apis, source, self._reload)
                with card("Settings") as self._settings:
                    self._facts = box()
        self._drawn: object = None
        self._show_source(source)

    def show(self, activity: Activity) -> None:
        """These numbers are the latest."""
        self._strip.show(activity)
        self._why.rank([(words.code(one.code), "", one.events) for one in activity.rejected[:8]])
        if activity.series != self._drawn:
            self._drawn = activity.series
            minutes = activity.step_seconds < 3_600
            redraw(self._chart, charts.traffic(activity.series, minutes=minutes))

    async def refresh(self) -> None:
        """Ask for the numbers again."""
        found = await self._notice.tried(self._sources.activity(self._name, _HOURS))
        if not isinstance(found, Trouble):
            self.show(found)

    async def _reload(self) -> None:
        found = await self._notice.tried(self._sources.source(self._name))
        if not isinstance(found, Trouble):
            self._show_source(found)
            self._keys.show(found)
            self._secrets.show(found)

    def _show_source(self, source: Source) -> None:
        self._state.clear()
        with self._state:
            pill(sources.state(source))
            if source.version == 0:
                Text("span", "Known from the settings alone", "note")
            elif source.enabled:
                question = "All that it sends is refused within a second. Its keys are kept."
                confirmed("Disable", question, self._disable)
            else:
                button("Enable", self._enable)
        self._facts.clear()
        with self._facts:
            facts(_facts(source))

    async def _disable(self) -> None:
        await self._switch(on=False)

    async def _enable(self) -> None:
        await self._switch(on=True)

    async def _switch(self, *, on: bool) -> None:
        if not isinstance(
            await self._notice.tried(self._sources.switch(self._name, on=on)), Trouble
        ):
            await self._reload()


class _Strip:
    """The numbers on top."""

    def __init__(self) -> None:
        self._shown: dict[str, Text] = {}
        with box("dl", "strip"):
            for label in ("Accepted", "Refused", "Duplicates", "Over the limit", "Last seen"):
                with box("div"):
                    Text("dt", label)
                    self._shown[label] = Text("dd", "")

    def show(self, activity: Activity) -> None:
        refused = sum(one.events for one in activity.rejected)
        for label, value in (
            ("Accepted", words.count(activity.accepted)),
            ("Refused", words.count(refused)),
            ("Duplicates", words.count(activity.duplicates)),
            ("Over the limit", words.count(activity.limited)),
            ("Last seen", words.moment(activity.last_seen)),
        ):
            self._shown[label].set_text(value)


def _facts(source: Source) -> list[tuple[str, str]]:
    limit = words.NOTHING
    if source.events_per_second is not None:
        at_once = f", {words.count(source.burst)} at once" if source.burst else ""
        limit = f"{source.events_per_second:,g} events a second{at_once}"
    shown = [
        ("Sends", sources.KINDS.get(source.kind, source.kind)),
        ("Limit", limit),
        ("Currency", source.default_currency or words.NOTHING),
        ("Region", source.default_region or words.NOTHING),
        ("Tracking plan", source.plan or words.NOTHING),
    ]
    shown += [(words.sentence(key), words.trait(value)) for key, value in source.options.items()]
    return [*shown, ("Version", f"{source.version}, {words.moment(source.updated_at)}")]

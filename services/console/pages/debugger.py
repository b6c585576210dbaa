"""The last events of a source with their verdicts, as they come: a part of its page."""

import json
from collections.abc import Sequence
from typing import Any

from nicegui import ui
from nicegui.element import Element

from services.console import words
from services.console.acting import Notice
from services.console.arrivals import Sighting
from services.console.client import Apis, Trouble
from services.console.elements import Pill, Text, box, card, empty, pill

_MOST = 100
_MOST_JSON = 4_000
_TONES = {"accepted": "good", "duplicate": "wait", "rejected": "bad", "unavailable": "bad"}


class Debugger:
    """Newest first. It asks every ``seconds`` while the page is open and not paused."""

    def __init__(
        self, apis: Apis, source: str, found: Sequence[Sighting] | Trouble, seconds: float
    ) -> None:
        self._apis = apis
        self._source = source
        self._entries: dict[str, Element] = {}
        with card("Live events", note="The last 100 since somebody looked; times in UTC"):
            self._trouble = Notice()
            with box("div", "line"):
                self._said = Text("p", "Watching.", "note", aria_live="polite")
                self._pause = Text("button", "Pause", "button", type="button", aria_pressed="false")
                self._pause.on("click", self._toggle)
            with box("div") as self._nothing:
                empty("Nothing came in since you look.", "Send an event: it appears in a second.")
            self._list = box("ol", "timeline sightings")
        self._show(found)
        self._timer = ui.timer(seconds, self._refresh, immediate=False)

    async def _refresh(self) -> None:
        try:
            self._show(await self._apis.sources.recent(self._source))
        except Trouble as trouble:
            self._show(trouble)

    def _show(self, found: Sequence[Sighting] | Trouble) -> None:
        """These are the latest, the newest first; entries that are open stay so."""
        if isinstance(found, Trouble):
            self._trouble.say(found.message)
            return
        self._trouble.clear()
        fresh = [one for one in found if one.id not in self._entries]
        for one in reversed(fresh):
            with self._list:
                entry = self._entries[one.id] = _entry(one)
            entry.move(target_index=0)
        for late in list(self._entries)[: max(0, len(self._entries) - _MOST)]:
            self._entries.pop(late).delete()
        self._nothing.visible = not self._entries
        if found and found[0].masked:
            self._said.set_text("Watching. Addresses and numbers are masked for your role.")

    def _toggle(self) -> None:
        self._timer.active = not self._timer.active
        self._pause.props["aria-pressed"] = "false" if self._timer.active else "true"
        self._pause.set_text("Pause" if self._timer.active else "Go on")
        if not self._timer.active:
            self._said.set_text("Paused: after a minute new events are no longer kept.")
        else:
            self._said.set_text("Watching.")


def _entry(one: Sighting) -> Element:
    with box("li", "entry") as entry:
        Text("time", words.clock(one.at).removesuffix(" UTC"), datetime=one.at.isoformat())
        with box("details"):
            with box("summary"):
                pill(Pill(one.verdict, _TONES.get(one.verdict, "plain")))
                Text("strong", one.name or "event")
                Text("span", words.code(one.code) or one.message_id, "detail")
            if one.detail:
                Text("p", one.detail, "note")
            Text("p", f"messageId {one.message_id}" if one.message_id else "no messageId", "note")
            Text("pre", _sent(one.event, one.cut))
    return entry


def _sent(event: Any, cut: bool) -> str:
    text = event if isinstance(event, str) else json.dumps(event, indent=2, ensure_ascii=False)
    return f"{text[:_MOST_JSON]}\n… cut" if cut or len(text) > _MOST_JSON else text

"""One refused event: why, what it holds, and repairing it: edit, preview, replay, dismiss."""

import asyncio
import json

import msgspec
from nicegui import ui

from services.console import words
from services.console.acting import Notice
from services.console.client import Apis, Trouble
from services.console.elements import Pill, Text, box, card, facts, link, pill
from services.console.pages.rejected import TONES, name_of
from services.console.pages.visit import Visit
from services.console.refused import Content, Deed, Rejection, Verdict

TITLE = "Rejected event"
_LOOK_SECONDS = 0.2
_TRIES = 18
"""The worker replays within half a second."""
_ACTIONABLE = ("open", "edited", "dismissed")
_DEEDS = {
    "edited": "Edited",
    "refused": "Refused again",
    "replaying": "Replay asked for",
    "replayed": "Sent again",
    "dismissed": "Dismissed",
    "erased": "Erased",
}
_WHOLE = ("batch", "hook", "upload")
_UNREADABLE = ("hook", "upload")


async def build(visit: Visit) -> None:
    """The event of the address."""
    found = await visit.apis.rejections.rejection(str(visit.parts["id"]))
    ui.page_title(f"{name_of(found)} · Regulars")
    with box("div", "title"):
        link("Rejected events", "/rejected", "back")
        Text("h1", name_of(found))
    _Sheet(visit.apis, found)


class _Sheet:
    """The page below its title, drawn anew after each action."""

    def __init__(self, apis: Apis, found: Rejection) -> None:
        self._apis = apis
        self._found = found
        self._said = Notice()
        self._body = box("div", "wide-and-narrow")
        self._editor: ui.textarea | None = None
        self._draw()

    def _draw(self) -> None:
        found = self._found
        self._body.clear()
        with self._body:
            with box("div", "column"):
                self._content(found)
            with box("div", "column first"):  # on a phone, above what it holds
                _why(found)
                if found.history:
                    _history(found.history)

    # -- content and repair ------------------------------------------------------------------

    def _content(self, found: Rejection) -> None:
        if found.content is None:
            with card("Content"):
                gone = found.state == "erased"
                Text("p", "It was erased." if gone else "Your role does not let you see it.")
            return
        can_act = found.state in _ACTIONABLE
        if can_act and found.call not in _UNREADABLE:
            self._repair(found)
        with card("As it came", note=f"{words.count(found.size)} bytes"):
            if found.truncated:
                Text("p", "Only the beginning is kept.", "banner mild")
            Text("pre", text_of(found.content), "content", tabindex="0")
        if not can_act and found.edited is not None:
            with card("As it was sent again"):
                Text("pre", text_of(found.edited), "content", tabindex="0")

    def _repair(self, found: Rejection) -> None:
        ours = not found.topic.startswith("events.")
        with card("Repair and replay"):
            if ours:
                Text("p", f"A record of {found.topic} is sent again as it is.")
                self._editor = None
            else:
                self._editor = ui.textarea(
                    "Body to send, as JSON", value=text_of(found.edited or found.content)
                )
                self._editor.classes("editor").props("outlined autogrow spellcheck=false")
            with box("div", "choices"):
                self._button("Preview", self._preview, "button")
                self._button("Replay", self._replay, "button primary")
                if found.state != "dismissed":
                    self._button("Dismiss", self._dismiss, "button")
            self._verdict = Notice()
            self._result = box("div", "column")

    def _button(self, name: str, action: object, classes: str) -> None:
        Text("button", name, classes, type="button").on("click", action)  # type: ignore[arg-type]

    def _text(self) -> str | None:
        """The edited body; None where nothing was changed. ValueError when it is no JSON."""
        if self._editor is None:
            return None
        text = str(self._editor.value or "")
        shown = text_of(self._found.edited or self._found.content)
        if text == shown and self._found.content is not None:
            return None
        if not isinstance(json.loads(text), dict):
            raise ValueError("A body is one JSON object, in curly brackets.")
        return text

    # -- actions -----------------------------------------------------------------------------

    async def _preview(self) -> None:
        verdict = await self._asked(dry=True)
        if verdict is None:
            return
        self._result.clear()
        if not verdict.accepted:
            self._verdict.say(f"Would be refused: {verdict.detail}")
            return
        many = words.counted(verdict.events, "event")
        self._verdict.say(f"Would be accepted: {many}.", fine=True)
        if verdict.after is not None:
            with self._result:
                Text("pre", text_of(verdict.after), "content", tabindex="0")

    async def _replay(self) -> None:
        verdict = await self._asked(dry=False)
        if verdict is not None:
            await self._until("replayed")
            if self._found.state == "replayed":
                self._said.say("Sent again. It counts once.", fine=True)
            else:
                self._said.say("It is being sent again.", fine=True)

    async def _dismiss(self) -> None:
        try:
            await self._apis.rejections.dismiss(self._found.id)
        except Trouble as trouble:
            self._said.say(trouble.message)
            return
        await self._reload()
        self._said.say("Dismissed. It may still be replayed.", fine=True)

    async def _asked(self, *, dry: bool) -> Verdict | None:
        """What a replay comes to; None after saying why there is none."""
        self._said.clear()
        try:
            text = self._text()
        except ValueError as error:
            self._said.say(f"The body is no JSON: {error}")
            return None
        try:
            return await self._apis.rejections.replay(self._found.id, text, dry=dry)
        except Trouble as trouble:
            if trouble.status == 422 and not dry:  # what was tried is kept with it
                await self._reload()
            self._said.say(trouble.message)
            return None

    async def _until(self, state: str) -> None:
        for _ in range(_TRIES):
            await asyncio.sleep(_LOOK_SECONDS)
            await self._reload()
            if self._found.state == state:
                return

    async def _reload(self) -> None:
        try:
            self._found = await self._apis.rejections.rejection(self._found.id)
        except Trouble as trouble:
            self._said.say(trouble.message)
            return
        self._draw()


def _why(found: Rejection) -> None:
    with card("Why"):
        with box("div", "line"):
            Text("strong", words.sentence(found.reason))
            pill(Pill(words.code(found.state), TONES.get(found.state, "plain")))
        if found.detail:
            Text("p", found.detail)
        door = f" ({words.code(found.door)})" if found.door else ""
        facts(
            (name, value)
            for name, value in (
                ("Source", f"{found.source}{door}"),
                ("Refused by", found.stage),
                ("Refused", words.moment(found.at)),
                ("Kept until", words.day(found.expires)),
                ("Message id", found.message_id or words.NOTHING),
                ("Read from", "" if found.topic == "events.rejected" else found.topic),
                ("Came as", f"a whole {found.call}" if found.call in _WHOLE else ""),
            )
            if value
        )


def _history(deeds: list[Deed]) -> None:
    with card("What happened"), box("ol", "timeline"):
        for one in reversed(deeds):
            with box("li", "deed"):
                Text("strong", _DEEDS.get(one.deed, words.sentence(one.deed)))
                by = f"by {one.by}, " if one.by else ""
                Text("p", f"{by}{words.moment(one.at)}", "note")
                if one.detail or one.code:
                    Text("p", one.detail or words.code(one.code), "detail")


def text_of(content: Content | None) -> str:
    """A body for people: JSON spread over lines, its numbers to the last digit."""
    if content is None:
        return ""
    if bytes(content.json):
        return msgspec.json.format(bytes(content.json), indent=2).decode()
    return content.text if content.text is not None else content.base64 or ""

"""What is known of a person, and every word that was said on it: a part of their page."""

from typing import Any

from nicegui.events import GenericEventArguments

from services.console import words
from services.console.answers import Page, Profile
from services.console.client import Apis, Trouble
from services.console.elements import Text, banner, box, card, empty
from services.console.identities import Word

WORDS = 20


def show(apis: Apis, profile: Profile) -> None:
    """Each trait says who said what and when, when it is opened."""
    with card("Traits", note="Open one to see its history" if profile.traits else ""):
        if not profile.traits:
            empty("No traits are known.", "An identify call sets them.")
        for name, value in sorted(profile.traits.items()):
            _History(apis, profile.profile_id, (name, value))


class _History:
    """One trait; asks for its history when it is opened."""

    def __init__(self, apis: Apis, profile_id: str, trait: tuple[str, Any]) -> None:
        self._apis = apis
        self._profile_id = profile_id
        self._name, value = trait
        self._cursor: str | None = ""
        with box("details", "why trait") as details:
            with box("summary"):
                Text("span", words.sentence(self._name), "kind")
                Text("span", words.trait(value), "value")
            self._trouble = box("div")
            self._words = box("ol", "timeline", aria_live="polite")
            self._more = Text("button", "Older words", "button", type="button")
            self._more.visible = False
            self._more.on("click", self._load)
        details.on("toggle", self._toggle, js_handler="(e) => e.target.open && emit()")

    async def _toggle(self, _: GenericEventArguments) -> None:
        self._words.clear()
        self._cursor = ""
        await self._load()

    async def _load(self) -> None:
        cursor, self._cursor = self._cursor, None  # a second click finds nothing to do
        if cursor is None:
            return
        self._trouble.clear()
        try:
            page = await self._apis.identities.words(self._profile_id, self._name, WORDS, cursor)
        except Trouble as trouble:
            self._cursor = cursor
            with self._trouble:
                banner(trouble.message)
            return
        self._add(page)

    def _add(self, page: Page[Word]) -> None:
        with self._words:
            for one in page.items:
                with box("li", "deed"):
                    with box("div", "line"):
                        Text("strong", words.trait(one.value) if one.value is not None else "unset")
                        if one.holds:
                            Text("span", "holds", "pill good")
                    source = f" from {one.source}" if one.source else ""
                    Text("p", f"{words.moment(one.at)}{source}", "note")
                    Text("p", f"{one.name}, message {one.message_id}", "detail")
        self._cursor = page.next
        self._more.visible = page.next is not None

"""What a person did, the newest first: a part of their page."""

import json

from services.console import words
from services.console.acting import Notice
from services.console.answers import Interaction, Page
from services.console.client import Apis, Trouble
from services.console.elements import Pill, Text, banner, box, card, empty, link, pill

PAGE = 20
_MOST_JSON = 20_000


def show(apis: Apis, profile_id: str, found: Page[Interaction] | Trouble) -> None:
    """The first page of it, and a button for more."""
    with card("Timeline", note="Times in UTC; open an entry to see what was sent"):
        if isinstance(found, Trouble):
            banner(found.message)
        elif not found.items:
            empty("Nothing is kept of what they did.", "Interactions are kept for a limited time.")
        else:
            _Timeline(apis, profile_id).add(found)


class _Timeline:
    def __init__(self, apis: Apis, profile_id: str) -> None:
        self._apis = apis
        self._profile_id = profile_id
        self._cursor: str | None = None
        self._day = ""
        self._list = box("ol", "timeline")
        self._trouble = Notice()
        self._more = Text("button", "Load more", "button", type="button")
        self._more.on("click", self._load)

    def add(self, page: Page[Interaction]) -> None:
        with self._list:
            for one in page.items:
                self._entry(one)
        self._cursor = page.next
        self._more.visible = page.next is not None

    async def _load(self) -> None:
        cursor, self._cursor = self._cursor, None  # a second click finds nothing to do
        if cursor is None:
            return
        asked = self._apis.profiles.interactions(self._profile_id, PAGE, cursor)
        page = await self._trouble.tried(asked)
        if isinstance(page, Trouble):
            self._cursor = cursor
        else:
            self.add(page)

    def _entry(self, one: Interaction) -> None:
        day = words.day(one.at)
        if day != self._day:
            self._day = day
            Text("li", day, "day")
        with box("li", "entry"):
            Text("time", words.clock(one.at).removesuffix(" UTC"), datetime=one.at.isoformat())
            with box("details"):
                with box("summary"):
                    Text("strong", one.name or words.sentence(one.type))
                    Text("span", words.detail(one.event), "detail")
                    if one.handed_to is not None:
                        pill(Pill("handed on"))
                    Text("span", one.source, "source")
                if one.handed_to is not None:
                    with Text("p", "This order was handed on to ", "note"):
                        link("another customer", f"/customers/{one.handed_to}")
                Text("pre", _sent(one))


def _sent(one: Interaction) -> str:
    text = json.dumps(one.event, indent=2, ensure_ascii=False, sort_keys=True)
    return text if len(text) <= _MOST_JSON else f"{text[:_MOST_JSON]}\n… cut"

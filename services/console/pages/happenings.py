"""The overview's panels of counts: the last hour's events, today's messages, segments."""

from collections.abc import Sequence

from nicegui.element import Element

from services.console import charts, words
from services.console.client import Trouble
from services.console.elements import Text, box, card, chart, empty, link, redraw
from services.console.pages.panels import Panel, Picture

_STATES = ("decided", "sent", "skipped", "failed")
_SELDOM = ("delivered", "opened", "clicked", "bounced", "uncertain", "unsubscribed")


class Pulse(Panel):
    """Events a minute in the last hour."""

    def __init__(self) -> None:
        with card("Events per minute", "pulse"):
            with box("p", "figure"):
                self._figure = Text("span", "")
                self._unit = Text("span", "in the last full minute", "unit")
            self._chart = chart(charts.pulse([]), "Events in each of the last 60 minutes", "low")
            with box("p", "note ends"):
                self._from = Text("span", "")
                self._to = Text("span", "")
        self._drawn: object = None

    def show(self, picture: Picture) -> None:
        minutes = picture.live.minutes
        if minutes == self._drawn or not minutes:
            return
        self._drawn = minutes
        self._figure.set_text(words.count(minutes[-2 if len(minutes) > 1 else -1].events))
        self._from.set_text(f"{minutes[0].minute:%H:%M} UTC")
        self._to.set_text("now, log scale" if charts.steep(minutes) else "now")
        redraw(self._chart, charts.pulse(minutes))


class Messages(Panel):
    """What became of today's messages."""

    def __init__(self) -> None:
        with card("Messages today"), box("dl", "counts"):
            self._counts: dict[str, tuple[Element, Text]] = {}
            for state in (*_STATES, *_SELDOM):
                with box("div") as line:
                    Text("dt", words.sentence(state))
                    self._counts[state] = (line, Text("dd", ""))

    def show(self, picture: Picture) -> None:
        for state, (line, shown) in self._counts.items():
            total = sum(int(row.get(state) or 0) for row in picture.messages)
            shown.set_text(words.count(total))
            line.visible = bool(total) or state in _STATES


class Ranked:
    """Names with counts and bars; rebuilt only when other names come in."""

    def __init__(self, title: str, note: str, nothing: tuple[str, str]) -> None:
        self._card = card(title, note=note)
        with self._card:
            self._list: Element = box("ul", "ranked")
        self._nothing = nothing
        self._names: list[tuple[str, str]] | None = None
        self._shown: list[tuple[Text, Element]] = []

    def rank(self, entries: Sequence[tuple[str, str, int]]) -> None:
        """(name, address or "", count), the largest first."""
        names = [(name, href) for name, href, _ in entries]
        if names != self._names:
            self._names = names
            self._rebuild(names)
        most = max((count for _, _, count in entries), default=0) or 1
        for (number, bar), (_, _, count) in zip(self._shown, entries, strict=True):
            number.set_text(words.count(count))
            bar.style(f"width: {100 * count / most:.1f}%")

    def _rebuild(self, names: Sequence[tuple[str, str]]) -> None:
        self._list.clear()
        self._shown = []
        with self._list:
            if not names:
                with box("li"):
                    empty(*self._nothing)
            for name, href in names:
                with box("li"):
                    if href:
                        link(name, href)
                    else:
                        Text("span", name)
                    number = Text("span", "", "number")
                    with box("span", "track", aria_hidden="true"):
                        self._shown.append((number, box("span", "fill")))


class Sizes(Ranked, Panel):
    """How many people are in each segment."""

    def __init__(self) -> None:
        hint = "Define one: PUT /v1/segments/{key} of the segmentation API."
        super().__init__("Segments", "People in each, now", ("No segments are defined.", hint))

    def show(self, picture: Picture) -> None:
        if isinstance(picture.segments, Trouble):
            return
        largest = sorted(picture.segments, key=lambda one: (-one.members, one.key))[:10]
        self.rank([(one.name, f"/segments#{one.key}", one.members) for one in largest])


class Happening(Ranked, Panel):
    """The most frequent events of the last hour."""

    def __init__(self) -> None:
        hint = "Events appear here within a second of being accepted."
        super().__init__("Events", "In the last 60 minutes", ("Nothing came in.", hint))

    def show(self, picture: Picture) -> None:
        self.rank([(one.event, "", one.events) for one in picture.live.top_events[:8]])

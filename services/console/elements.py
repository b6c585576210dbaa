"""The few things that every page is made of: text, links, tables, cards, banners.

They are plain HTML elements with our own style sheet, so that screen readers and keyboards
find what they expect; text always goes in as text, never as HTML.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from nicegui import ui
from nicegui.element import Element
from nicegui.elements.mixins.text_element import TextElement


class Text(TextElement):
    """Any HTML element that holds a text, which may change."""

    def __init__(self, tag: str, text: str, classes: str = "", **attributes: str) -> None:
        super().__init__(tag=tag, text=text)
        self.classes(classes)
        _attribute(self, attributes)


class Link(NamedTuple):
    """A table cell that leads somewhere."""

    text: str
    href: str


class Pill(NamedTuple):
    """A table cell or label with a tone: good, bad, wait or plain."""

    text: str
    tone: str = "plain"


Cell = str | Link | Pill


class Column(NamedTuple):
    """A column of a table; numbers stand right, and what is ``whole`` is on one line."""

    title: str
    numeric: bool = False
    hint: str = ""
    whole: bool = False


def box(tag: str = "div", classes: str = "", **attributes: str) -> Element:
    """An element to put others in. ``aria_label="x"`` becomes ``aria-label="x"``."""
    element = ui.element(tag).classes(classes)
    _attribute(element, attributes)
    return element


def _attribute(element: Element, attributes: dict[str, str]) -> None:
    for name, value in attributes.items():
        element.props[name.rstrip("_").replace("_", "-")] = value


def link(text: str, href: str, classes: str = "", **attributes: str) -> Text:
    """A link within the console."""
    return Text("a", text, classes, href=href, **attributes)


def pill(one: Pill) -> Text:
    """A short state in its tone."""
    return Text("span", one.text, f"pill {one.tone}")


def card(title: str, classes: str = "", note: str = "") -> Element:
    """A section with a heading; what follows within goes into it."""
    section = box("section", f"card {classes}")
    with section, box("div", "card-head"):
        Text("h2", title)
        if note:
            Text("p", note, "note")
    return section


def empty(said: str, hint: str = "") -> None:
    """There is nothing here, and what to do about it."""
    with box("div", "empty"):
        Text("p", said)
        if hint:
            Text("p", hint, "note")


def banner(said: str) -> Text:
    """Something went wrong; screen readers say it at once."""
    return Text("div", said, "banner", role="alert")


def cell(one: Cell) -> None:
    """What a table cell shows."""
    if isinstance(one, Link):
        link(one.text, one.href)
    elif isinstance(one, Pill):
        pill(one)
    else:
        Text("span", one)


def table(
    caption: str, columns: Sequence[Column], rows: Iterable[Sequence[Cell]], classes: str = ""
) -> Element:
    """A table that scrolls by itself where it is too wide; ``stack``: unfolds on a phone."""
    region = box("div", f"scroll {classes}", role="region", aria_label=caption, tabindex="0")
    with region, box("table"):
        Text("caption", caption, "hidden")
        with box("thead"), box("tr"):
            for column in columns:
                head = Text("th", column.title, "number" if column.numeric else "", scope="col")
                if column.hint:
                    head.props["title"] = column.hint
        with box("tbody"):
            for row in rows:
                with box("tr"):
                    for column, one in zip(columns, row, strict=True):
                        kind = "number" if column.numeric else "whole" if column.whole else ""
                        with box("td", kind, data_label=column.title):
                            cell(one)
    return region


def facts(pairs: Iterable[tuple[str, Cell]]) -> None:
    """Names and values, side by side."""
    with box("dl", "facts"):
        for name, value in pairs:
            with box("div"):
                Text("dt", name)
                with box("dd"):
                    cell(value)


def chart(options: dict[str, Any], label: str, classes: str = "") -> ui.echart:
    """A chart, drawn as SVG; ``label`` says to those who cannot see it what it shows."""
    element = ui.echart(options, renderer="svg").classes(f"chart {classes}")
    _attribute(element, {"role": "img", "aria-label": label})
    return element


def redraw(element: ui.echart, options: dict[str, Any]) -> None:
    """New figures in a chart that is on the screen."""
    element.options.clear()
    element.options.update(options)
    element.update()

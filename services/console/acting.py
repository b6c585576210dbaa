"""What pages change things with: forms, buttons that ask first, and where it is said how it went.

Plain HTML, so that a keyboard and a screen reader find what they expect.
"""

import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

from nicegui.element import Element
from nicegui.events import GenericEventArguments

from services.console.client import Trouble
from services.console.elements import Text, box

T = TypeVar("T")

_COPY = (
    "async () => { try { await navigator.clipboard.writeText(%s); emit(true) } "
    "catch { emit(false) } }"
)
_FIELDS = "(e) => { e.preventDefault(); emit(Object.fromEntries(new FormData(e.target))) }"


class Notice:
    """A place where it is said what became of something that was tried.

    It is there from the beginning, empty: screen readers say what changes in a place that they
    know, and may keep silent about one that comes with its text.
    """

    def __init__(self) -> None:
        self._text = Text("div", "", "banner", role="status")

    async def tried(self, work: Awaitable[T]) -> T | Trouble:
        """What came of it; a Trouble is shown, too."""
        try:
            found = await work
        except Trouble as trouble:
            self.say(trouble.message)
            return trouble
        self.clear()
        return found

    def say(self, what: str, *, fine: bool = False) -> None:
        """Show it; ``fine``: it went well."""
        self._text.classes(add="fine" if fine else "", remove="" if fine else "fine")
        self._text.set_text(what)

    def clear(self) -> None:
        """Nothing is to be said any more."""
        self._text.set_text("")


def button(text: str, act: Callable[[], Awaitable[None]], classes: str = "button") -> Text:
    """A button that does something."""
    made = Text("button", text, classes, type="button")
    made.on("click", act)
    return made


def copying(what: str) -> None:
    """A button that puts ``what`` into the clipboard and says whether it could."""
    made = Text("button", "Copy", "button", type="button")
    said = Text("p", "", "note", role="status")

    def say(event: GenericEventArguments) -> None:
        said.set_text("Copied." if event.args else "The browser refused: select the text instead.")

    made.on("click", say, js_handler=_COPY % json.dumps(what))


@contextmanager
def asked(question: str, about: str = "") -> Iterator[None]:
    """A button that opens what is within it. ``about``: what tells it from others of its name."""
    with box("details", "confirm"):
        summary = Text("summary", question, "button")
        if about:
            summary.props["aria-label"] = f"{question} {about}"
        with box("div", "confirm-body"):
            yield


def confirmed(
    text: str, question: str, act: Callable[[], Awaitable[None]], about: str = ""
) -> None:
    """A button that asks before it does something."""
    with asked(text, about):
        Text("p", question)
        button(f"Yes, {text[:1].lower()}{text[1:]}", act, "button danger")


def form(act: Callable[[dict[str, str]], Awaitable[None]], classes: str = "") -> Element:
    """A form; ``act`` gets the values of its fields by their names."""
    # A browser that is not connected yet must not put what was typed into an address.
    element = box("form", classes, method="post")

    async def submit(event: GenericEventArguments) -> None:
        await act({str(name): str(value).strip() for name, value in dict(event.args).items()})

    element.on(
        "submit",
        submit,
        js_handler=_FIELDS,
    )
    return element


def field(label: str, name: str, **attributes: str) -> Element:
    """A labelled input of a form; ``id`` where another form of the page has the same name."""
    given = {"type": "text", "id": f"field-{name}"} | attributes
    with box("div", "field"):
        Text("label", label, for_=given["id"])
        return box("input", name=name, **given)


def choice(label: str, name: str, options: Mapping[str, str]) -> Element:
    """A labelled list, by value, of which one is chosen: the first at the beginning."""
    with box("div", "field"):
        Text("label", label, for_=f"field-{name}")
        with box("select", name=name, id=f"field-{name}") as made:
            for value, shown in options.items():
                Text("option", shown, value=value)
    return made

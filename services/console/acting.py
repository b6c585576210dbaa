"""What pages change things with: forms, buttons that ask first, and where it is said how it went.

Plain HTML, so that a keyboard and a screen reader find what they expect.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from nicegui.element import Element
from nicegui.events import GenericEventArguments

from services.console.client import Trouble
from services.console.elements import Text, box

T = TypeVar("T")

_FIELDS = "(e) => { e.preventDefault(); emit(Object.fromEntries(new FormData(e.target))) }"


class Notice:
    """A place where it is said what became of something that was tried."""

    def __init__(self) -> None:
        self._text = Text("div", "", "banner", role="status")
        self._text.visible = False

    async def tried(self, work: Awaitable[T]) -> T | Trouble:
        """What came of it; a Trouble is shown, too."""
        try:
            found = await work
        except Trouble as trouble:
            self.say(trouble.message)
            return trouble
        self._text.visible = False
        return found

    def say(self, what: str) -> None:
        """Show it."""
        self._text.set_text(what)
        self._text.visible = True


def button(text: str, act: Callable[[], Awaitable[None]], classes: str = "button") -> Text:
    """A button that does something."""
    made = Text("button", text, classes, type="button")
    made.on("click", act)
    return made


def confirmed(text: str, question: str, act: Callable[[], Awaitable[None]]) -> Element:
    """A button that asks before it does something."""
    with box("details", "confirm") as asking:
        Text("summary", text, "button")
        with box("div", "confirm-body"):
            Text("p", question)
            button(f"Yes, {text[:1].lower()}{text[1:]}", act, "button danger")
    return asking


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

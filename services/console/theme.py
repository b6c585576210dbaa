"""What every page shares: head, header with navigation, skip link, first heading.

Light and dark are the browser's business: a small script sets ``data-theme`` before anything
is drawn, from what the visitor chose last or else from the system.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from nicegui import ui
from nicegui.element import Element

from services.console.elements import Text, box, link

NAVIGATION = (
    ("/", "Overview"),
    ("/customers", "Customers"),
    ("/suggestions", "Duplicates"),
    ("/segments", "Segments"),
    ("/campaigns", "Campaigns"),
    ("/reports", "Reports"),
    ("/sources", "Sources"),
    ("/rejected", "Rejected events"),
    ("/webhooks", "Webhooks"),
)
_HEAD = """
<meta name="robots" content="noindex">
<script src="/assets/theme.js"></script>
<script src="/assets/focus.js"></script>
<link rel="stylesheet" href="/assets/console.css">
"""


def title(text: str) -> str:
    """The title of a page, for the browser's tab."""
    return f"{text} · Regulars"


@contextmanager
def frame(active: str | None, *, can_leave: bool = False) -> Iterator[Element]:
    """The page around its content. ``active``: the entry of the navigation that it belongs to,
    None for no navigation. ``can_leave``: there is a session that can be ended.
    """
    ui.add_head_html(_HEAD)
    with ui.header(fixed=False, wrap=False, add_scroll_padding=False).classes("bar"):
        link("Skip to the content", "#content", "skip")
        with box("div", "bar-inner"):
            with box("a", "brand", href="/", aria_label="Regulars, overview"):
                box("img", src="/assets/mark.svg", alt="", width="28", height="28")
                Text("span", "Regulars")
            if active is not None:
                _navigation(active)
            with box("div", "bar-end"):
                _switch()
                if can_leave:
                    with box("form", method="post", action="/logout"):
                        Text("button", "Log out", "quiet", type="submit")
    with box("div", "page", id="content", tabindex="-1") as content:
        yield content


def _navigation(active: str) -> None:
    with box("nav", "nav", aria_label="Pages"):
        for href, name in NAVIGATION:
            entry = link(name, href)
            if href == active:
                entry.props["aria-current"] = "page"


def _switch() -> None:
    said = "Switch between light and dark"
    with box("button", "switch quiet", type="button", aria_label=said, title=said) as button:
        box("span", "switch-icon", aria_hidden="true")
    button.props["data-theme-switch"] = "1"

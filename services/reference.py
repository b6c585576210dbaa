"""Writes the tables of the documents: settings from the Settings classes into
``docs/operations.md``, known events from ``schemas.properties`` into ``docs/events.md``.

``python -m services.reference`` writes; with ``--check`` it writes nothing and exits with 1
when a table is stale.
"""

import argparse
import sys
from importlib import import_module
from pathlib import Path

import typer
from pydantic.fields import FieldInfo

from schemas.jsonschema import field_docstrings
from schemas.table import events
from services.runtime.settings import Settings

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "operations.md"
BEGIN = "<!-- settings: written by python -m services.reference -->\n"
END = "<!-- end of settings -->\n"
EVENTS_PAGE = ROOT / "docs" / "events.md"
EVENTS_BEGIN = "<!-- events: written by python -m services.reference -->\n"
EVENTS_END = "<!-- end of events -->\n"


def classes() -> list[type[Settings]]:
    """Settings, then every subclass that a service declares in its ``settings.py``."""
    found = [Settings]
    for path in sorted((ROOT / "services").rglob("settings.py")):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        found += [
            one
            for one in vars(import_module(module)).values()
            if isinstance(one, type) and issubclass(one, Settings) and one.__module__ == module
        ]
    return list(dict.fromkeys(found))


def table() -> str:
    """Every variable with its default and its meaning, by who reads it."""
    parts = [_section(one, set(Settings.model_fields)) for one in classes()]
    return "\n".join(part for part in parts if part)


def _section(settings: type[Settings], shared: set[str]) -> str:
    own = {
        name: field
        for name, field in settings.model_fields.items()
        if name not in shared or settings is Settings
    }
    if not own:
        return ""
    who = "Every process" if settings is Settings else _service(settings)
    notes = field_docstrings(settings)
    rows = [
        f"| `REGULARS_{name.upper()}` | {_default(field)} | {_sentence(notes.get(name, ''))} |"
        for name, field in own.items()
    ]
    return "\n".join([f"### {who}", "", "| variable | default | |", "|---|---|---|", *rows, ""])


def _service(settings: type[Settings]) -> str:
    """``services.profile.build.settings`` belongs to ``profile build``."""
    return " ".join(settings.__module__.split(".")[1:-1])


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    default = field.get_default(call_default_factory=True)
    text = str(default)
    return f"`{text}`" if text not in ("", "None", "{}", "[]", "()") else ""


def _sentence(note: str) -> str:
    """A docstring in one table cell."""
    return " ".join(note.split()).replace("``", "`").replace("|", "\\|")


def page(text: str) -> str:
    """The page of settings with the table as it must be."""
    return _between(text, BEGIN, END, table())


def events_page(text: str) -> str:
    """The page of events with the table as it must be."""
    return _between(text, EVENTS_BEGIN, EVENTS_END, events())


def _between(text: str, begin: str, end: str, wanted: str) -> str:
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}\n{wanted}\n{end}{after}"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Write the tables of the documents.")
    parser.add_argument("--check", action="store_true", help="only say what is stale")
    check = parser.parse_args(arguments).check
    stale = 0
    for path, render in ((PAGE, page), (EVENTS_PAGE, events_page)):
        text = path.read_text()
        wanted = render(text)
        name = path.relative_to(ROOT)
        if wanted == text:
            continue
        stale += 1
        if check:
            typer.echo(f"stale: {name} (run python -m services.reference)")
        else:
            path.write_text(wanted)
            typer.echo(f"wrote {name}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())

"""Writes the table of settings in ``docs/operations.md`` from the Settings classes.

``python -m services.reference`` writes; with ``--check`` it writes nothing and exits with 1
when the table is stale.
"""

import argparse
import sys
from importlib import import_module
from pathlib import Path

import typer
from pydantic.fields import FieldInfo

from schemas.jsonschema import field_docstrings
from services.runtime.settings import Settings

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "operations.md"
BEGIN = "<!-- settings: written by python -m services.reference -->\n"
END = "<!-- end of settings -->\n"


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
    """The page with the table as it must be."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Write the settings table of docs/operations.md.")
    parser.add_argument("--check", action="store_true", help="only say whether it is stale")
    check = parser.parse_args(arguments).check
    text = PAGE.read_text()
    wanted = page(text)
    if wanted == text:
        return 0
    if check:
        typer.echo("stale: docs/operations.md (run python -m services.reference)")
        return 1
    PAGE.write_text(wanted)
    typer.echo("wrote docs/operations.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Writes the OpenAPI document of every service's API to ``docs/openapi/<service>.json``.

``python -m services.openapi`` writes; with ``--check`` it writes nothing, names the files
that are stale, and exits with 1 if there are any. No server has to run: an app describes
itself without being started.
"""

import argparse
import json
import sys
from importlib import import_module
from pathlib import Path

import typer

SERVICES = ("ingest", "profile", "segmentation", "notifier", "reporting")
FOLDER = Path(__file__).parents[1] / "docs" / "openapi"


def render(service: str) -> str:
    """The OpenAPI document of one service, as it lies in the repository."""
    app = import_module(f"services.{service}.api").create_app()
    return json.dumps(app.openapi(), indent=2, ensure_ascii=False) + "\n"


def stale(folder: Path) -> dict[Path, str]:
    """The files that are missing or differ, with the text that they must have."""
    texts = {folder / f"{service}.json": render(service) for service in SERVICES}
    return {
        path: text for path, text in texts.items() if not path.exists() or path.read_text() != text
    }


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Generate the OpenAPI documents.")
    parser.add_argument("--check", action="store_true", help="name stale files, change nothing")
    check = parser.parse_args(arguments).check
    files = stale(FOLDER)
    for path, text in files.items():
        name = path.relative_to(FOLDER.parents[1])
        if check:
            typer.echo(f"stale: {name} (run python -m services.openapi)")
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        typer.echo(f"wrote {name}")
    return 1 if check and files else 0


if __name__ == "__main__":
    sys.exit(main())

"""``regulars import``: the command, from its options to its exit code."""

import asyncio
import os
from contextlib import closing
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from services.ingest.history.model import Unusable

REFUSED, USAGE, STOPPED = 1, 2, 3
"""Exit codes: something was refused; nothing could be done; stopped, run again to go on."""
KEY = "REGULARS_WRITE_KEY"
_URL = "http://127.0.0.1:8100"

_screen = Console(stderr=True)

File = Annotated[Path, typer.Argument(help="CSV, NDJSON or Parquet; plain, .gz or .zst.")]
Source = Annotated[str, typer.Option(help="A name for where this comes from: part of every id.")]
MappingFile = Annotated[Path | None, typer.Option("--mapping", help="How rows become events.")]
Preset = Annotated[str | None, typer.Option(help="A mapping that comes with Regulars.")]
DryRunFlag = Annotated[bool, typer.Option("--dry-run", help="Judge everything, send nothing.")]
Allow = Annotated[
    bool, typer.Option("--allow-rejects", help="Exit with 0 although rows were refused.")
]
RejectsFile = Annotated[Path | None, typer.Option(help="Write refusals here, as NDJSON.")]
StateFile = Annotated[Path | None, typer.Option(help="Where to note how far it has come.")]
Restart = Annotated[bool, typer.Option("--restart", help="From the beginning; doubles nothing.")]
Url = Annotated[str, typer.Option(envvar="REGULARS_INGEST_URL", help="Of ingest.")]
KeyFile = Annotated[Path | None, typer.Option(help=f"Holds the write key, else {KEY}.")]
Connections = Annotated[int, typer.Option(min=1, max=32, help="Requests at once.")]
Size = Annotated[int, typer.Option("--batch", min=1, max=2_500, help="Events of a request.")]
Patience = Annotated[float, typer.Option(min=0, help="Seconds without ingest before it gives up.")]
Suggest = Annotated[bool, typer.Option("--suggest", help="Print a first mapping for the file.")]
ShowPreset = Annotated[bool, typer.Option("--show-preset", help="Print the preset's mapping.")]


def import_(
    file: File,
    source: Source = "",
    mapping: MappingFile = None,
    preset: Preset = None,
    dry_run: DryRunFlag = False,
    allow_rejects: Allow = False,
    rejects: RejectsFile = None,
    state: StateFile = None,
    restart: Restart = False,
    url: Url = _URL,
    key_file: KeyFile = None,
    connections: Connections = 4,
    batch: Size = 500,
    patience: Patience = 300.0,
    suggest: Suggest = False,
    show_preset: ShowPreset = False,
) -> None:
    """Import a shop's past from a file; nobody is written to because of it.

    Safe to repeat: every event has the same id on every run. What was interrupted goes on
    where it stopped. See docs/import.md.
    """
    from services.ingest.history.work import Options, Work

    try:
        if show_preset or suggest:
            _print(file, mapping, preset, suggest=suggest)
            return
        options = Options(
            file=file,
            source=source,
            mapping=mapping,
            preset=preset,
            rejects=rejects,
            state=state or Path(f"{file}.import-state.json"),
            restart=restart,
            url=url,
            batch=batch,
            connections=connections,
            patience=patience,
        )
        with closing(Work(options, _screen)) as work:
            if dry_run:
                clean = work.dry_run(datetime.now(UTC))
            else:
                clean = asyncio.run(work.send(_key(url, key_file), datetime.now(UTC)))
    except Unusable as error:
        raise _failed(str(error), USAGE) from error
    except KeyboardInterrupt:
        raise _failed("stopped: run the same command again to go on", STOPPED) from None
    raise typer.Exit(0 if clean or allow_rejects else REFUSED)


def _print(file: Path, mapping: Path | None, preset: str | None, *, suggest: bool) -> None:
    from services.ingest.history.files.reading import open_rows
    from services.ingest.history.loading import load, preset_text
    from services.ingest.history.model import Mapping, Row
    from services.ingest.history.suggest import suggest as draft

    if not suggest:
        typer.echo(preset_text(preset or ""), nl=False)
        return
    with closing(open_rows(file, load(mapping) if mapping else Mapping())) as reader:
        if reader.columns is None:
            raise Unusable("--suggest needs columns: a CSV or Parquet file")
        rows = [row.cells for row in islice(reader.rows(), 3) if isinstance(row, Row)]
        typer.echo(draft(reader.columns, rows), nl=False)


def _key(url: str, file: Path | None) -> str:
    """The write key, from a file, the environment or a person; never an argument, which
    everyone on the machine can read."""
    if url.startswith("http://") and not url.startswith(_LOCAL):
        _screen.print("[yellow]warning[/yellow]: the write key travels unencrypted: use https")
    if file is not None:
        try:
            key = file.read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise Unusable(f"{file} cannot be read: {error}") from error
    else:
        key = os.environ.get(KEY, "").strip()
    if not key and _screen.is_terminal:
        key = typer.prompt("Write key", hide_input=True, err=True).strip()
    if not key:
        raise Unusable(f"a write key is needed: set {KEY}, or name a file with --key-file")
    return key


_LOCAL = ("http://127.0.0.1", "http://localhost", "http://[::1]")


def _failed(message: str, code: int) -> typer.Exit:
    _screen.print(f"[red]error[/red]: {escape(message)}", highlight=False, soft_wrap=True)
    return typer.Exit(code)

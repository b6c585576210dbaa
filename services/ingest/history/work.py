"""One run of ``regulars import``: everything put together."""

import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from msgspec import Struct
from rich.console import Console

from services.ingest.history import report
from services.ingest.history.batches import Batch, batches, units
from services.ingest.history.files.reading import open_rows
from services.ingest.history.identity import Namer
from services.ingest.history.loading import load, parse, preset_text
from services.ingest.history.mapping import Mapper
from services.ingest.history.model import Mapping, Refusal, Unusable
from services.ingest.history.resume import Ledger, Rejects, State, job_of
from services.ingest.history.run import Journal, run
from services.ingest.history.sending import Sender
from services.ingest.history.tally import dry_run
from services.ingest.sources.model import NAME


class Options(Struct, kw_only=True):
    """What was asked for."""

    file: Path
    source: str
    state: Path
    mapping: Path | None = None
    preset: str | None = None
    rejects: Path | None = None
    restart: bool = False
    url: str = ""
    batch: int = 500
    connections: int = 4
    patience: float = 300.0


class Work:
    """An open file with its mapping. Unusable when one of them does not fit."""

    def __init__(self, options: Options, screen: Console) -> None:
        if not re.match(NAME, options.source):
            raise Unusable("--source is a name of small letters, digits and dashes (up to 60)")
        self._options = options
        self._screen = screen
        self._mapping = _mapping(options)
        self._reader = open_rows(options.file, self._mapping)

    def close(self) -> None:
        self._reader.close()

    def dry_run(self, now: datetime) -> bool:
        """Judge every row by ingest's own rules; True when nothing would be refused."""
        board = report.Board(self._screen, self._reader.size)
        rejects = Rejects(self._options.rejects, 0)
        refused = 0

        def keep(refusals: list[Refusal]) -> None:
            nonlocal refused
            refused += len(refusals)
            rejects.write([*refusals])

        try:
            with board.shown:
                found = self._batches((0, 0), now)
                dry = dry_run(
                    found, now, keep, lambda rows: board.show(self._reader.done(), rows, refused)
                )
        finally:
            rejects.close()
        report.dry_run(self._screen, dry, dry.tally.examples)
        return not refused

    async def send(self, key: str, now: datetime) -> bool:
        """Import; True when nothing was refused."""
        options = self._options
        ledger = Ledger(
            options.state, job_of(options.file, self._mapping, options.source, options.url)
        )
        state = self._begin(ledger)
        rows = state.counts.rows
        rejects = Rejects(options.rejects, state.rejects)
        journal = Journal(state, ledger, rejects)
        board = report.Board(self._screen, self._reader.size, rows)
        sender = Sender(
            options.url, key, connections=options.connections, patience=options.patience
        )

        def look() -> None:
            counts = journal.counts
            board.show(self._reader.done(), counts.rows, counts.refusals, sender.trouble)

        try:
            async with sender:
                with board.shown:
                    found = self._batches((state.offset, state.line), now)
                    await run(found, sender, journal, in_flight=options.connections, look=look)
        finally:
            rejects.close()
        ledger.finish()
        counts = journal.counts
        report.summary(self._screen, counts, board.seconds, counts.rows - rows)
        report.refusals(self._screen, counts.refused, journal.examples)
        return not counts.refusals

    def _begin(self, ledger: Ledger) -> State:
        found = None if self._options.restart else ledger.find()
        if found is None:
            return ledger.start()
        self._screen.print(
            f"Going on after line {found.line:,}, where it stopped "
            f"({found.counts.accepted:,} events accepted before).",
            highlight=False,
        )
        return found

    def _batches(self, start: tuple[int, int], now: datetime) -> Iterator[Batch]:
        self._screen.print(f"{self._options.file}: {self._reader.form}", highlight=False)
        mapper = Mapper(self._mapping, Namer(self._options.source), self._reader.columns, now)
        items = units(self._reader, self._mapping, start)
        return batches(items, mapper, self._options.batch)


def _mapping(options: Options) -> Mapping:
    if (options.mapping is None) == (options.preset is None):
        raise Unusable("name a mapping file with --mapping, or a preset with --preset")
    if options.mapping is not None:
        return load(options.mapping)
    assert options.preset is not None
    return parse(preset_text(options.preset), options.preset)

"""What an import says to people: tables, a bar, plain lines where nobody watches."""

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from decimal import Decimal
from time import monotonic
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from services.ingest.history.model import Refusal
from services.ingest.history.resume import Counts
from services.ingest.history.tally import DryRun

_EVERY_S = 5.0


class Board:
    """The progress of one run, on a terminal as a bar, else as a line every five seconds."""

    def __init__(self, screen: Console, size: int, rows: int = 0) -> None:
        self._screen = screen
        self._size = max(size, 1)
        self._before = rows
        self._started = self._said = monotonic()
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeRemainingColumn(),
            console=screen,
        )
        self._task = self._bar.add_task("reading", total=self._size)

    @property
    def shown(self) -> AbstractContextManager[Any]:
        """While the bar is to be seen."""
        return self._bar if self._screen.is_terminal else nullcontext()

    def show(self, done: int, rows: int, refused: int, trouble: str = "") -> None:
        """How much of the file is done, and what came of it."""
        seconds = max(monotonic() - self._started, 0.001)
        rate = (rows - self._before) / seconds
        line = f"{rows:,} rows, {rate:,.0f}/s, {refused:,} refused"
        if trouble:
            line += f", waiting: {trouble[:60]}"
        if self._screen.is_terminal:
            self._bar.update(self._task, completed=done, description=escape(line))
        elif monotonic() - self._said >= _EVERY_S:
            self._said = monotonic()
            self._screen.print(f"{done * 100 // self._size} %: {line}", highlight=False)

    @property
    def seconds(self) -> float:
        return monotonic() - self._started


def dry_run(screen: Console, dry: DryRun, examples: Mapping[str, Iterable[Refusal]]) -> None:
    """What a dry run has found."""
    tally = dry.tally
    table = _table("Dry run: nothing was sent")
    table.add_row("rows", f"{tally.rows:,}")
    if tally.skipped:
        table.add_row("  that are no event", f"{tally.skipped:,}")
    table.add_row("events accepted", f"{tally.accepted:,}")
    for name, count in sorted(tally.events.items(), key=lambda item: -item[1])[:20]:
        table.add_row(f"  {escape(name[:60])}", f"{count:,}")
    if tally.repeated:
        table.add_row("repetitions, counted once", f"{tally.repeated:,}")
    table.add_row("refused", f"{tally.refused.total():,}")
    if tally.first is not None and tally.last is not None:
        table.add_row("first", f"{tally.first:%Y-%m-%d %H:%M:%S} UTC")
        table.add_row("last", f"{tally.last:%Y-%m-%d %H:%M:%S} UTC")
    people = dry.people
    table.add_row("people, by their ids", f"{'' if people.exact else 'about '}{people.count:,}")
    _money(table, "revenue of orders", tally.revenue)
    _money(table, "refunded", tally.refunded)
    screen.print(table)
    refusals(screen, tally.refused, examples)


def summary(screen: Console, counts: Counts, seconds: float, rows: int) -> None:
    """What an import has done; ``rows`` of it in this run."""
    table = _table("Imported")
    table.add_row("rows", f"{counts.rows:,}")
    if counts.skipped:
        table.add_row("  that are no event", f"{counts.skipped:,}")
    table.add_row("events accepted", f"{counts.accepted:,}")
    if counts.duplicates:
        table.add_row("repetitions, counted once", f"{counts.duplicates:,}")
    table.add_row("refused", f"{counts.refusals:,}")
    table.add_row("seconds", f"{seconds:,.1f} ({rows / max(seconds, 0.001):,.0f} rows/s)")
    screen.print(table)


def refusals(
    screen: Console, counts: Mapping[str, int], examples: Mapping[str, Iterable[Refusal]]
) -> None:
    """Why rows were refused, with examples."""
    if not counts:
        return
    table = Table(title="Refused", title_justify="left", box=None)
    for name in ("code", "rows", "line", "why"):
        table.add_column(name, justify="right" if name in ("rows", "line") else "left")
    for code, count in sorted(counts.items(), key=lambda item: -item[1]):
        shown = (code, f"{count:,}")
        for one in examples.get(code, ()):
            table.add_row(*shown, str(one.line), escape(one.detail))
            shown = ("", "")
        if shown[0]:
            table.add_row(*shown)
    screen.print(table)


def _table(title: str) -> Table:
    table = Table(title=title, title_justify="left", show_header=False, box=None)
    table.add_column()
    table.add_column(justify="right")
    return table


def _money(table: Table, name: str, sums: Mapping[str, Decimal]) -> None:
    for currency, total in sorted(sums.items()):
        table.add_row(name, f"{total:,} {currency}")

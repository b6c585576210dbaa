"""What the terminal shows while events are replayed: how many are sent, and what waits where."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

from deploy.demo.pipeline import Look


class Board:
    """A bar with the rate, and the lag of each stage below it."""

    def __init__(self, events: int) -> None:
        self._progress = Progress(
            TextColumn("events sent"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            _Rate(),
            TimeElapsedColumn(),
        )
        self._task = self._progress.add_task("", total=events)
        self._waiting = Text()

    def on(self, console: Console) -> AbstractContextManager[Any]:
        """Shows itself within; nothing where there is no terminal."""
        if not console.is_terminal:
            return nullcontext()
        return Live(self, console=console, transient=True, refresh_per_second=8)

    def sent(self, events: int) -> None:
        """So many more were accepted."""
        self._progress.update(self._task, advance=events)

    def show(self, look: Look) -> None:
        """What waits before each stage."""
        parts = [("waiting ", "")]
        for stage, lag in look.lags.items():
            parts += [(f"  {stage} ", "dim"), (f"{lag:,}", "bold" if lag else "dim")]
        self._waiting = Text.assemble(*parts)

    def __rich__(self) -> Group:
        return Group(self._progress, self._waiting)


class _Rate(ProgressColumn):
    """Events accepted a second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed or 0
        return Text(f"{speed:,.0f}/s", style="progress.data.speed")

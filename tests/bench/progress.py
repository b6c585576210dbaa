"""The progress bar of a run, and how much time is left for more pairs."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn


class Steps:
    """What is going on, and whether a bench has had its share of the time."""

    def __init__(self, progress: Progress, total: float) -> None:
        self._progress = progress
        self._task: TaskID = progress.add_task("starting", total=total)
        self._begun = self._ends = monotonic()
        self._finished = 0.0

    @contextmanager
    def share(self, seconds: float) -> Iterator[None]:
        """A bench that should take about ``seconds``."""
        self._begun = monotonic()
        self._ends = self._begun + seconds
        yield
        self._finished += seconds
        self._progress.update(self._task, completed=self._finished)

    def say(self, what: str) -> None:
        """Show what is being done."""
        now = min(monotonic(), self._ends)
        done = self._finished + now - self._begun
        self._progress.update(self._task, description=what, completed=done)

    def late(self, reserve: float = 0.0) -> bool:
        """Whether this bench's share of the time, less a reserve, is used up."""
        return monotonic() >= self._ends - reserve


def bar(console: Console) -> Progress:
    """A progress bar that leaves nothing behind."""
    return Progress(
        SpinnerColumn(),
        BarColumn(bar_width=30),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
        console=console,
        transient=True,
    )

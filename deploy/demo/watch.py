"""Keeps processes alive: one that ends by itself is started again, at once, then less often."""

import threading
from collections.abc import Callable, Iterable
from signal import Signals
from time import monotonic

from deploy.local.errors import StackError
from deploy.local.processes import Process
from deploy.local.server import Server

_LOOK_S = 0.1
_FIRST_S = 0.5
_CAP_S = 10.0
_SETTLED_S = 15.0
"""One that has run so long is healthy: its next end is the first again."""


def pause(ends: int) -> float:
    """Seconds to wait after the given number of early ends: 0, 0.5, 1, 2, ... at most 10."""
    return 0.0 if ends == 0 else min(_CAP_S, _FIRST_S * 2.0 ** (ends - 1))


class Watch:
    """Watches from a thread of its own until ``stop``; ``tell`` gets a line for each restart."""

    def __init__(self, processes: Iterable[Process], tell: Callable[[str], None]) -> None:
        self._watched = [_Watched(process) for process in processes]
        self._tell = tell
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def start(self) -> None:
        """From now on."""
        self._thread.start()

    def stop(self) -> None:
        """Start nothing any more; returns when that is certain."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(_LOOK_S):
            for watched in self._watched:
                line = watched.look()
                if line:
                    self._tell(line)


class _Watched:
    def __init__(self, process: Process) -> None:
        self._process = process
        self._started = monotonic()
        self._ends = 0
        self._again: float | None = None

    def look(self) -> str:
        """Start it again when it is time to; what to say about that, or nothing."""
        now = monotonic()
        if self._again is None:
            if self._process.alive:
                return ""
            if now - self._started >= _SETTLED_S:
                self._ends = 0
            self._again = now + pause(self._ends)
            self._ends += 1
        if now < self._again:
            return ""
        self._again, self._started = None, now
        how = _how(self._process.exit_code)
        try:
            if isinstance(self._process, Server):
                self._process.launch()  # its clients wait for it by themselves
            else:
                self._process.start()
        except StackError as error:
            return str(error)
        return f"{self._process.name} ended ({how}): started again"


def _how(code: int | None) -> str:
    return f"code {code}" if code is None or code >= 0 else Signals(-code).name

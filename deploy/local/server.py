"""A server with a data directory: what mongod and Kafka have in common.

It checks before it starts, knows when it is ready, and ends a server that an earlier run,
killed hard, left on the same data.
"""

import contextlib
import json
import os
import shutil
from abc import ABC, abstractmethod
from pathlib import Path

import psutil

from deploy.local.errors import StackError
from deploy.local.ports import require_free
from deploy.local.processes import Process, wait_until

MIN_FREE_BYTES = 2_000_000_000
READY_S = 120.0  # 3 s on an idle machine, but machines are not always idle

# Linux tells when a process began by a clock that is set now and then.
_CLOCK_DRIFT_S = 5.0


class Server(Process, ABC):
    """A process that owns `data_dir/<name>` and listens on `port`.

    `setting` is what a person changes to move it to another port.
    """

    title: str

    def __init__(self, name: str, data_dir: Path, port: int, setting: str) -> None:
        super().__init__(name, [], {}, data_dir / "logs" / f"{name}.log")
        self.data_dir = data_dir
        self.home = data_dir / name
        self.port = port
        self.setting = setting

    def start(self) -> None:
        """Start and return when it serves; StackError says why not."""
        self.check()
        self.launch()
        self.wait_ready()

    def restart(self) -> None:
        """Start again on the same data, after a stop (done here if need be) or a kill."""
        self.stop()
        self.start()

    def launch(self) -> None:
        """Start unchecked and without waiting, so that two servers can start side by side."""
        self.prepare()
        super().start()
        self._remember()

    def check(self) -> None:
        """Raise StackError when it cannot start: data in use, port busy, disk full."""
        self._end_stale()
        require_free(self.port, self.setting)
        require_disk(self.data_dir)

    def wait_ready(self, deadline: float = READY_S) -> None:
        """Return when it serves; otherwise end it and raise StackError."""

        def done() -> bool:
            if not self.alive:
                raise StackError(
                    f"{self.title} ended while starting, with code {self.exit_code}: "
                    f"{self.tail(1)} (see {self.log_path})"
                )
            return self.ready()

        try:
            if not wait_until(done, deadline):
                raise StackError(
                    f"{self.title} was not ready after {deadline:g} s (see {self.log_path})."
                )
        except BaseException:
            self.kill()
            raise

    @abstractmethod
    def prepare(self) -> None:
        """Set `argv` and write what the server needs on disk."""

    @abstractmethod
    def ready(self) -> bool:
        """True when it serves clients; may do the next step towards that."""

    @abstractmethod
    def is_ours(self, cmdline: list[str]) -> bool:
        """True when a process with this command line is this server on this data."""

    def running(self) -> psutil.Process | None:
        """The process that serves this data now, whoever started it."""
        record = self._recorded()
        found = _process(record.get("pid"), record.get("created"))
        try:
            if found is None or not self.is_ours(found.cmdline()):
                return None
            return found if found.status() != psutil.STATUS_ZOMBIE else None
        except psutil.Error:
            return None

    @property
    def _pid_file(self) -> Path:
        return self.data_dir / f"{self.name}.pid"

    def _remember(self) -> None:
        child, owner = psutil.Process(self.pid), psutil.Process()
        record = {
            "pid": child.pid,
            "created": child.create_time(),
            "owner": owner.pid,
            "owner_created": owner.create_time(),
        }
        temporary = self._pid_file.with_suffix(".pid.new")
        temporary.write_text(json.dumps(record))
        temporary.replace(self._pid_file)

    def _recorded(self) -> dict[str, float]:
        try:
            record = json.loads(self._pid_file.read_text())
        except (OSError, ValueError):
            return {}
        return record if isinstance(record, dict) else {}

    def _end_stale(self) -> None:
        """End our server of a run that is gone; StackError when that run still lives."""
        stale, record = self.running(), self._recorded()
        if stale is None:
            return
        owner = _process(record.get("owner"), record.get("owner_created"))
        if owner is not None:
            raise StackError(
                f"{self.title} already runs on {self.data_dir}, started by process "
                f"{owner.pid}: end that one first, or use another data directory."
            )
        with contextlib.suppress(psutil.NoSuchProcess):
            stale.resume()
            stale.terminate()
            try:
                stale.wait(timeout=20)
            except psutil.TimeoutExpired:
                stale.kill()
                stale.wait(timeout=5)


def _process(pid: float | None, created: float | None) -> psutil.Process | None:
    """The process with this id, if it was created at that time and is not a later one."""
    try:
        found = psutil.Process(int(pid or 0))
        drift = abs(found.create_time() - (created or 0))
        return found if drift < _CLOCK_DRIFT_S else None
    except psutil.Error:
        return None


def require_disk(directory: Path, needed: int = MIN_FREE_BYTES) -> None:
    """Raise StackError when a directory's disk has fewer than `needed` bytes free.

    The directory need not exist yet.
    """
    existing = directory.absolute()
    while not existing.exists():
        existing = existing.parent
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise StackError(
            f"The disk of {directory} has {free / 1e9:.1f} GB free and {needed / 1e9:.1f} GB are "
            "needed: free some, or use a data directory on another disk."
        )


def clean_env(*names: str) -> dict[str, str]:
    """An environment that blanks the named variables, where they are set."""
    return {name: "" for name in names if name in os.environ}

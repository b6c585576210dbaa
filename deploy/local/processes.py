"""One supervised child process, which never outlives this one.

The demo and the tests run services with it; the local servers build on it.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

import httpx

from deploy.local.errors import StackError

_POLL_S = 0.02

# The command waits for a line before it becomes itself, so it never runs unguarded. The
# guard waits for a line too: the end of its pipe instead means that we are dead, and it
# kills the command's whole group. (PR_SET_PDEATHSIG would spare grandchildren, and would
# fire when the thread that forked ends.)
_COMMAND = 'read -r go && exec "$@" </dev/null'
_GUARD = 'read -r done || kill -s KILL -- "-$1"'


class Process:
    """A command with its output in a log file, in a session of its own.

    Ctrl-C in the terminal does not reach it, so whoever started it decides the order in
    which things end. If this process dies, however hard, a guard kills it and its children.
    """

    def __init__(
        self, name: str, argv: Sequence[str], env: Mapping[str, str], log_path: Path
    ) -> None:
        """`env` is added to this process's environment."""
        self.name = name
        self.argv = list(argv)
        self.env = dict(env)
        self.log_path = log_path
        self._child: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Its process id; StackError when it was never started."""
        if self._child is None:
            raise StackError(f"{self.name} has not been started.")
        return self._child.pid

    @property
    def alive(self) -> bool:
        """True from start until it exits by itself or is ended; a suspended one is alive."""
        return self._child is not None and self._child.returncode is None and not self._exited()

    @property
    def exit_code(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs or was never started."""
        if self._child is None or self.alive:
            return None
        self._reap()
        return self._child.returncode

    def start(self) -> None:
        """Start the command; StackError when it runs already or there is no such command."""
        if self.alive:
            raise StackError(f"{self.name} is running already (process {self.pid}).")
        self._reap()
        if shutil.which(self.argv[0]) is None:
            raise StackError(f"{self.name} cannot be started: there is no {self.argv[0]}.")
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        with self.log_path.open("ab") as log:
            self._child = _waiting_shell(_COMMAND, self.argv, self.env, log)
        self._guard = _waiting_shell(_GUARD, [str(self._child.pid)], {}, subprocess.DEVNULL)
        _release(self._child)

    def stop(self, timeout: float = 20.0) -> None:
        """Ask it to end (SIGTERM), wait up to `timeout` seconds, then kill it."""
        if self.alive:
            self.resume()
            os.kill(self.pid, signal.SIGTERM)
            wait_until(self._exited, timeout)
        self._reap()

    def kill(self) -> None:
        """End it and its children at once, as a crash of the machine would (SIGKILL)."""
        self._reap()

    def suspend(self) -> None:
        """Stop it in its tracks (SIGSTOP): it keeps its connections and answers nobody."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on after `suspend`."""
        self._signal(signal.SIGCONT)

    def tail(self, lines: int = 20) -> str:
        """The last lines it wrote."""
        if not self.log_path.exists():
            return ""
        with self.log_path.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - 400 * lines))
            return "\n".join(log.read().decode(errors="replace").splitlines()[-lines:])

    def _signal(self, number: signal.Signals) -> None:
        if not self.alive:
            raise StackError(f"{self.name} is not running.")
        os.killpg(self.pid, number)

    def _exited(self) -> bool:
        """True when it has ended but is not reaped yet, so its id still is its own."""
        flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self.pid, flags) is not None

    def _reap(self) -> None:
        if self._child is None or self._child.returncode is not None:
            return
        # Until the last `wait` its id cannot be reused, so the group surely is its own.
        os.killpg(self._child.pid, signal.SIGKILL)
        if self._guard is not None:
            _release(self._guard)
            self._guard.wait()
        self._child.wait()


def wait_until(check: Callable[[], bool], deadline: float) -> bool:
    """Poll `check` until it is true; False when `deadline` seconds have passed."""
    end = time.monotonic() + deadline
    while not check():
        if time.monotonic() >= end:
            return False
        time.sleep(_POLL_S)
    return True


def wait_http_ok(url: str, deadline: float, process: Process | None = None) -> None:
    """Return once GET `url` answers 2xx; StackError after `deadline` seconds.

    With `process`, also as soon as that process has ended.
    """
    last = "no answer"

    def answers() -> bool:
        nonlocal last
        if process is not None and not process.alive:
            raise StackError(f"{process.name} ended (see {process.log_path}): {process.tail(3)}")
        try:
            response = client.get(url)
        except httpx.HTTPError as error:
            last = str(error) or type(error).__name__
            return False
        last = f"status {response.status_code}"
        if "json" in response.headers.get("content-type", ""):
            last += f" {response.text[:300]}"  # a service of ours says why
        return response.is_success

    with httpx.Client(timeout=2.0, trust_env=False) as client:
        if not wait_until(answers, deadline):
            raise StackError(f"{url} did not become ready in {deadline:g} s: {last}.")


def _waiting_shell(
    script: str, argv: Sequence[str], env: Mapping[str, str], output: IO[bytes] | int
) -> subprocess.Popen[bytes]:
    """A shell with `argv` as $1, $2, ... that waits for a line from `_release`."""
    return subprocess.Popen(
        ["/bin/sh", "-c", script, "sh", *argv],
        env={**os.environ, **env},
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=subprocess.STDOUT,
        process_group=0,
    )


def _release(shell: subprocess.Popen[bytes]) -> None:
    assert shell.stdin is not None
    with contextlib.suppress(BrokenPipeError), shell.stdin as pipe:
        pipe.write(b"\n")

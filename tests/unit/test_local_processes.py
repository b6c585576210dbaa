"""One supervised process: it starts, ends, leaves nothing behind, and says what went wrong."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from deploy.local.errors import StackError
from deploy.local.ports import free_port
from deploy.local.processes import Process, wait_http_ok, wait_until


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[Process]:
    process = Process("sleeper", ("sleep", "300"), {}, tmp_path / "logs" / "sleeper.log")
    yield process
    process.kill()


def gone(*pids: int) -> bool:
    """True when none of them runs; a zombie does not."""
    for pid in pids:
        try:
            if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                return False
        except psutil.NoSuchProcess:
            continue
    return True


def test_a_process_starts_stops_and_starts_again(sleeper: Process) -> None:
    states = [(sleeper.alive, sleeper.exit_code)]
    sleeper.start()
    states.append((sleeper.alive, sleeper.exit_code))
    first = sleeper.pid
    sleeper.stop()
    states.append((sleeper.alive, sleeper.exit_code))
    sleeper.start()
    sleeper.kill()
    states.append((sleeper.alive, sleeper.exit_code))
    assert states == [
        (False, None),
        (True, None),
        (False, -signal.SIGTERM),
        (False, -signal.SIGKILL),
    ]
    assert gone(first, sleeper.pid)


def test_a_suspended_process_lives_and_can_still_be_stopped(sleeper: Process) -> None:
    sleeper.start()
    found = psutil.Process(sleeper.pid)
    sleeper.suspend()
    assert wait_until(lambda: found.status() == psutil.STATUS_STOPPED, 5)
    assert sleeper.alive
    sleeper.resume()
    assert wait_until(lambda: found.status() == psutil.STATUS_SLEEPING, 5)
    sleeper.suspend()
    assert wait_until(lambda: found.status() == psutil.STATUS_STOPPED, 5)
    sleeper.stop(timeout=5)
    assert sleeper.exit_code == -signal.SIGTERM


def test_a_process_that_ignores_sigterm_is_killed_after_the_timeout(tmp_path: Path) -> None:
    deaf = Process(
        "deaf", ["sh", "-c", "trap '' TERM; echo up; sleep 300"], {}, tmp_path / "deaf.log"
    )
    deaf.start()
    try:
        assert wait_until(lambda: deaf.tail() == "up", 5)
        deaf.stop(timeout=0.1)
        assert deaf.exit_code == -signal.SIGKILL
    finally:
        deaf.kill()


def test_the_children_of_a_process_end_with_it_even_when_it_crashed(tmp_path: Path) -> None:
    crashed = Process(
        "crashed", ["sh", "-c", "sleep 300 & echo $!; exit 3"], {}, tmp_path / "crashed.log"
    )
    crashed.start()
    try:
        assert wait_until(lambda: not crashed.alive, 5)
        child = int(crashed.tail())
        assert crashed.exit_code == 3
        assert wait_until(lambda: gone(child), 5)
    finally:
        crashed.kill()


def test_a_process_gets_its_environment_and_logs_both_streams(tmp_path: Path) -> None:
    talker = Process(
        "talker",
        ["sh", "-c", 'echo "$GREETING"; echo oops >&2'],
        {"GREETING": "hello"},
        tmp_path / "talker.log",
    )
    talker.start()
    assert wait_until(lambda: not talker.alive, 5)
    assert (talker.exit_code, talker.tail()) == (0, "hello\noops")


def test_a_command_that_does_not_exist_is_said(tmp_path: Path) -> None:
    with pytest.raises(StackError) as error:
        Process("ghost", ["no-such-command"], {}, tmp_path / "ghost.log").start()
    assert str(error.value) == "ghost cannot be started: there is no no-such-command."


def test_waiting_for_a_page_ends_at_once_when_its_process_does(tmp_path: Path) -> None:
    broken = Process("api", ["sh", "-c", "echo no database; exit 1"], {}, tmp_path / "api.log")
    broken.start()
    with pytest.raises(StackError) as error:
        wait_http_ok(f"http://127.0.0.1:{free_port()}/", 60, broken)
    assert str(error.value) == f"api ended (see {broken.log_path}): no database"
    broken.kill()


def test_waiting_for_a_page_returns_when_it_answers(tmp_path: Path) -> None:
    port = free_port()
    site = Process(
        "site",
        [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"],
        {},
        tmp_path / "site.log",
    )
    site.start()
    try:
        wait_http_ok(f"http://127.0.0.1:{port}/", 20, site)
        with pytest.raises(StackError) as error:
            wait_http_ok(f"http://127.0.0.1:{port}/missing", 0.1, site)
        assert str(error.value).endswith("did not become ready in 0.1 s: status 404.")
    finally:
        site.stop()


@pytest.mark.parametrize("state", ["running", "stopped"])
def test_a_killed_parent_leaves_no_process_behind(tmp_path: Path, state: str) -> None:
    script = (
        "import sys; from pathlib import Path; from deploy.local.processes import Process\n"
        "p = Process('p', ['sh', '-c', 'sleep 300 & echo $!; wait'], {}, Path(sys.argv[1]))\n"
        "p.start(); p.suspend() if 'stopped' in sys.argv else None\n"
        "print(p.pid, flush=True); sys.stdin.read()\n"
    )
    log = tmp_path / f"{state}.log"
    with subprocess.Popen(
        [sys.executable, "-c", script, str(log), state],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        pids = [int(parent.stdout.readline())]
        if state == "running":
            assert wait_until(lambda: log.read_text().endswith("\n"), 5)
            pids.append(int(log.read_text()))
        assert not gone(*pids)
        parent.kill()
    assert wait_until(lambda: gone(*pids), 5)

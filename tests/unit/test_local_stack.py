"""The local stack, without starting its servers: what goes wrong is said in one line."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from typer.testing import CliRunner

from deploy.local.__main__ import app
from deploy.local.errors import StackError
from deploy.local.jars import classpath
from deploy.local.mongod import require_libraries, require_platform
from deploy.local.ports import free_port, is_free, require_free
from deploy.local.processes import Process, wait_http_ok, wait_until
from deploy.local.server import Server, require_disk
from deploy.local.stack import LocalStack

SLEEPER = ("sleep", "300")


@pytest.fixture
def busy_port() -> Iterator[int]:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", free_port()))
        holder.listen()
        yield holder.getsockname()[1]


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[Process]:
    process = Process("sleeper", SLEEPER, {}, tmp_path / "logs" / "sleeper.log")
    yield process
    process.kill()


class Tail(Server):
    """The smallest server: it follows a file in its home, and is ready at once."""

    title = "Tail"

    def prepare(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        (self.home / "log").touch()
        self.argv = ["tail", "-f", str(self.home / "log")]

    def ready(self) -> bool:
        return True

    def is_ours(self, cmdline: list[str]) -> bool:
        return str(self.home / "log") in cmdline


@pytest.fixture
def tail(tmp_path: Path) -> Iterator[Tail]:
    server = Tail("tail", tmp_path / "data", free_port(), "--port")
    yield server
    server.kill()


def message(error: pytest.ExceptionInfo[StackError]) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


def gone(*pids: int) -> bool:
    """True when none of them runs; a zombie does not."""
    for pid in pids:
        try:
            if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                return False
        except psutil.NoSuchProcess:
            continue
    return True


# Ports, platform, libraries, disk


def test_a_busy_port_is_named_with_its_holder_and_the_setting_that_moves_it(
    busy_port: int,
) -> None:
    with pytest.raises(StackError) as error:
        require_free(busy_port, "--kafka-port")
    me = psutil.Process()
    assert message(error) == (
        f"Port {busy_port} is already in use by {me.name()} (process {me.pid}): "
        "stop what listens there, or choose another port with --kafka-port."
    )


def test_a_free_port_is_free_and_out_of_the_range_of_client_ports() -> None:
    port = free_port()
    require_free(port, "--kafka-port")
    assert is_free(port)
    assert port < 32_768


@pytest.mark.parametrize(
    ("found", "named"),
    [
        (("darwin", "arm64", ""), "darwin arm64"),
        (("linux", "aarch64", "glibc"), "linux aarch64 glibc"),
        (("linux", "x86_64", ""), "linux x86_64"),
    ],
)
def test_an_unsupported_platform_is_sent_to_docker(found: tuple[str, str, str], named: str) -> None:
    with pytest.raises(StackError) as error:
        require_platform(*found)
    assert message(error) == (
        "The embedded MongoDB needs Linux x86_64 with glibc, "
        f"and this is {named}: run `docker compose up` instead."
    )


def test_linux_on_x86_64_with_glibc_is_supported() -> None:
    require_platform("linux", "x86_64", "glibc")


@pytest.mark.parametrize(
    ("library", "package"), [("libcurl.so.4", "libcurl4"), ("libcrypto.so.3", "libssl3")]
)
def test_a_missing_library_is_answered_with_its_package(
    tmp_path: Path, library: str, package: str
) -> None:
    mongod = tmp_path / "mongod"
    mongod.write_text(
        "#!/bin/sh\n"
        f"echo 'mongod: error while loading shared libraries: {library}: "
        "cannot open shared object file: No such file or directory' >&2\nexit 127\n"
    )
    mongod.chmod(0o755)
    with pytest.raises(StackError) as error:
        require_libraries(mongod)
    assert message(error) == (
        f"The embedded MongoDB misses {library}: install {package} "
        f"(Debian and Ubuntu: `apt install {package}`)."
    )


def test_too_little_disk_is_said_before_anything_is_written(tmp_path: Path) -> None:
    data = tmp_path / "not" / "yet"
    with pytest.raises(StackError) as error:
        require_disk(data, needed=10**18)
    assert message(error).startswith(f"The disk of {data} has ")
    assert message(error).endswith("free some, or use a data directory on another disk.")
    assert not data.exists()
    require_disk(data, needed=1)


# Kafka's jars


def test_an_unreachable_registry_is_one_line_and_leaves_no_half_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setenv("REGULARS_MAVEN", mirror)
    with pytest.raises(StackError) as error:
        classpath(tmp_path)
    assert message(error).startswith(f"Apache Kafka 4.3.0 could not be fetched from {mirror} (")
    assert message(error).endswith("set REGULARS_MAVEN to the address of a mirror you can reach.")
    assert list(tmp_path.iterdir()) == []


def test_cached_jars_need_no_registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGULARS_MAVEN", f"http://127.0.0.1:{free_port()}")
    jars = tmp_path / "kafka-4.3.0-log4j-2.25.4"
    jars.mkdir()
    assert classpath(tmp_path) == f"{jars}/*"


# One process


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
    sleeper.stop()
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
    assert message(error) == "ghost cannot be started: there is no no-such-command."


def test_waiting_for_a_page_ends_at_once_when_its_process_does(tmp_path: Path) -> None:
    broken = Process("api", ["sh", "-c", "echo no database; exit 1"], {}, tmp_path / "api.log")
    broken.start()
    with pytest.raises(StackError) as error:
        wait_http_ok(f"http://127.0.0.1:{free_port()}/", 60, broken)
    assert message(error) == f"api ended (see {broken.log_path}): no database"
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
        assert message(error).endswith("did not become ready in 0.1 s: status 404.")
    finally:
        site.stop()


def test_a_killed_parent_leaves_no_process_behind(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from deploy.local.processes import Process\n"
        "p = Process('p', ['sh', '-c', 'sleep 300 & echo $!; wait'], {}, Path(sys.argv[1]))\n"
        "p.start(); p.suspend() if 'stopped' in sys.argv else None\n"
        "print(p.pid, flush=True); sys.stdin.read()\n"
    )
    for state in ("running", "stopped"):
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
        assert wait_until(lambda: gone(*pids), 5), state


# A server left behind


def test_a_server_whose_owner_lives_is_not_touched(tail: Tail) -> None:
    tail.start()
    second = Tail("tail", tail.data_dir, free_port(), "--port")
    with pytest.raises(StackError) as error:
        second.start()
    assert message(error) == (
        f"Tail already runs on {tail.data_dir}, started by process {os.getpid()}: "
        "end that one first, or use another data directory."
    )
    assert tail.alive


def test_a_server_whose_owner_is_gone_is_ended_first(tail: Tail) -> None:
    tail.start()
    record = tail.data_dir / "tail.pid"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"owner_created": 0}))
    second = Tail("tail", tail.data_dir, free_port(), "--port")
    second.start()
    try:
        assert (tail.alive, second.alive) == (False, True)
    finally:
        second.kill()


@pytest.mark.parametrize("stranger", [("created", 0.0), ("pid", 1)])
def test_a_record_that_names_another_process_harms_nobody(
    tail: Tail, sleeper: Process, stranger: tuple[str, float]
) -> None:
    sleeper.start()
    found = psutil.Process(sleeper.pid)
    record = {"pid": found.pid, "created": found.create_time(), "owner": 1, "owner_created": 0}
    tail.data_dir.mkdir()
    (tail.data_dir / "tail.pid").write_text(json.dumps(record | dict([stranger])))
    tail.start()
    assert (sleeper.alive, tail.alive) == (True, True)


# The command line


def test_status_says_what_does_not_run(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["status", "--data", str(tmp_path)])
    assert (result.exit_code, result.output) == (
        1,
        "Kafka    is not running\nMongoDB  is not running\n",
    )


def test_up_on_a_busy_port_fails_with_one_line(tmp_path: Path, busy_port: int) -> None:
    result = CliRunner().invoke(
        app, ["up", "--data", str(tmp_path), "--kafka-port", str(busy_port)]
    )
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"error: Port {busy_port} is already in use")
    assert result.stderr.count("\n") == 1


def test_reset_removes_the_servers_data_and_nothing_else(tmp_path: Path) -> None:
    stack = LocalStack(tmp_path)
    for home in (stack.kafka.home, stack.mongod.home):
        home.mkdir()
    (tmp_path / "notes.txt").touch()
    result = CliRunner().invoke(app, ["reset", "--data", str(tmp_path)])
    assert result.exit_code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]

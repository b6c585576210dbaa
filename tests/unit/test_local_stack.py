"""The local stack without its real servers: what an earlier run left, and the command line."""

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from typer.testing import CliRunner

from deploy.local.__main__ import app
from deploy.local.errors import StackError
from deploy.local.ports import free_port
from deploy.local.processes import Process, wait_until
from deploy.local.server import Server
from deploy.local.stack import LocalStack


@pytest.fixture
def busy_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        yield holder.getsockname()[1]


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[Process]:
    process = Process("sleeper", ("sleep", "300"), {}, tmp_path / "logs" / "sleeper.log")
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


def record_process(server: Server, found: psutil.Process, created: float | None = None) -> None:
    """Make it look as if a run that is gone had started this process as the server."""
    record = {"pid": found.pid, "created": created or found.create_time(), "owner": 1}
    server.data_dir.mkdir(exist_ok=True)
    (server.data_dir / f"{server.name}.pid").write_text(json.dumps(record))


# A server left behind


def test_a_server_whose_owner_lives_is_not_touched(tail: Tail) -> None:
    tail.start()
    second = Tail("tail", tail.data_dir, free_port(), "--port")
    with pytest.raises(StackError) as error:
        second.start()
    assert str(error.value) == (
        f"Tail already runs on {tail.data_dir}, started by process {os.getpid()}: "
        "end that one first, or use another data directory."
    )
    assert tail.alive


def test_a_server_whose_owner_is_gone_is_ended_first(tail: Tail) -> None:
    tail.prepare()
    orphan = subprocess.Popen(tail.argv)
    found = psutil.Process(orphan.pid)
    try:
        record_process(tail, found)
        # An empty command line is seen for a moment while a process becomes its command.
        assert wait_until(lambda: tail.running() == found, 5)
        tail.start()
        assert wait_until(lambda: tail.running() == psutil.Process(tail.pid) != found, 5)
        assert not found.is_running()
    finally:
        orphan.kill()
        orphan.wait()


def test_a_record_of_a_process_with_another_command_harms_nobody(
    tail: Tail, sleeper: Process
) -> None:
    sleeper.start()
    record_process(tail, psutil.Process(sleeper.pid))
    tail.start()
    assert (sleeper.alive, tail.alive) == (True, True)


def test_a_record_of_an_id_that_was_given_out_again_harms_nobody(tail: Tail) -> None:
    tail.prepare()
    namesake = Process("namesake", tail.argv, {}, tail.data_dir / "namesake.log")
    namesake.start()
    try:
        record_process(tail, psutil.Process(namesake.pid), created=1.0)
        tail.start()
        assert (namesake.alive, tail.alive) == (True, True)
    finally:
        namesake.kill()


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


def test_reset_is_refused_while_a_server_runs_on_the_data(tmp_path: Path) -> None:
    kafka = LocalStack(tmp_path).kafka
    kafka.home.mkdir()
    config = kafka.home / "server.properties"
    config.touch()
    running = Process("kafka", ["tail", "-f", str(config)], {}, tmp_path / "tail.log")
    running.start()
    try:
        record_process(kafka, psutil.Process(running.pid))
        assert wait_until(lambda: psutil.Process(running.pid).name() == "tail", 5)
        reset = CliRunner().invoke(app, ["reset", "--data", str(tmp_path)])
        status = CliRunner().invoke(app, ["status", "--data", str(tmp_path)])
    finally:
        running.kill()
    assert (reset.exit_code, reset.stderr) == (
        1,
        f"error: Kafka runs (process {running.pid}): end it first.\n",
    )
    assert status.output.splitlines()[0] == f"Kafka    runs (process {running.pid})"
    assert config.exists()

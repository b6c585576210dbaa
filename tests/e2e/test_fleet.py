"""Several processes that serve one port: seen as one from outside, and none is left behind."""

import json
import os
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from deploy.local.ports import free_port
from deploy.local.processes import Process, wait_http_ok, wait_until

_SERVED = re.compile(r'regulars_http_requests_total\{route="/health/live",.*\} ([0-9.]+)')


class Fleet:
    """A running ingest of two processes; needs no broker to be alive."""

    def __init__(self, logs: Path) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        settings = {
            "REGULARS_INGEST_PORT": str(port),
            "REGULARS_INGEST_PROCESSES": "2",
            "REGULARS_KAFKA_URL": f"127.0.0.1:{free_port()}",
            "REGULARS_WRITE_KEYS": json.dumps({}),
        }
        command = [sys.executable, "-m", "services.cli", "api", "ingest"]
        self.process = Process("fleet", command, settings, logs / "fleet.log")
        self.process.start()
        wait_http_ok(f"{self.url}/health/live", 60, self.process)
        wait_until(lambda: len(self.members()) == 2, 60)

    def members(self) -> list[psutil.Process]:
        """The processes that listen."""
        children = psutil.Process(self.process.pid).children()
        return [child for child in children if child.net_connections("tcp4")]

    def get(self, path: str) -> httpx.Response:
        """An answer over a connection of its own."""
        with httpx.Client(trust_env=False, timeout=10) as client:
            return client.get(self.url + path)

    def served(self) -> float:
        """Requests of one route that the metrics count."""
        found = _SERVED.search(self.get("/metrics").text)
        return float(found[1]) if found else 0.0


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    fleet = Fleet(tmp_path)
    try:
        yield fleet
    finally:
        fleet.process.kill()


def test_metrics_are_those_of_all_and_when_one_dies_all_end(fleet: Fleet) -> None:
    before = fleet.served()
    assert {fleet.get("/health/live").status_code for _ in range(40)} == {200}
    assert fleet.served() - before == 40
    members = fleet.members()
    members[0].kill()
    assert wait_until(lambda: not fleet.process.alive, 30)
    assert fleet.process.exit_code == 1
    assert not any(member.is_running() for member in members)


def test_no_member_outlives_the_first_process(fleet: Fleet) -> None:
    members = fleet.members()
    os.kill(fleet.process.pid, signal.SIGKILL)
    assert wait_until(lambda: not any(member.is_running() for member in members), 30)

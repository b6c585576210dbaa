"""``regulars import`` as a process of its own, killed in the middle and started again."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from services.ingest.model import Accepted
from tests.importing import served
from tests.ingesting import KEY, Shelf

ROWS = 2_000
MAPPING = """
type: track
event: Order Completed
id: order
timestamp: at
user_id: customer
properties: {order_id: order, revenue: revenue, currency: {value: EUR}}
"""


class Stalling(Shelf):
    """Acknowledges up to a number of events, and then nothing until it may take more."""

    def __init__(self) -> None:
        super().__init__()
        self.takes = 0
        self.stalled = threading.Event()

    def take(self, events: int) -> None:
        """Go on up to that number of events."""
        self.takes = events
        self.stalled.clear()

    async def deliver(self, events: Sequence[Accepted], source: str) -> None:
        if len(self.events) >= self.takes:
            self.stalled.set()
            while len(self.events) >= self.takes:
                await asyncio.sleep(0.01)
            return
        await super().deliver(events, source)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = (f"{n},2021-05-03,c{n % 50},{n}.10\n" for n in range(ROWS))
    (tmp_path / "orders.csv").write_text("order,at,customer,revenue\n" + "".join(rows))
    (tmp_path / "orders.yaml").write_text(MAPPING)
    return tmp_path


def start(folder: Path, url: str, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "services.cli", "import", str(folder / "orders.csv")]
    command += ["--source", "old", "--mapping", str(folder / "orders.yaml"), "--url", url]
    return subprocess.Popen(
        [*command, "--batch", "100", *more],
        env=os.environ | {"REGULARS_WRITE_KEY": KEY},
        stderr=subprocess.PIPE,
        text=True,
    )


def test_killed_in_the_middle_it_goes_on_where_it_was_and_every_event_is_there_once(
    folder: Path,
) -> None:
    shelf = Stalling()
    with served(shelf) as url:
        for events, end in ((700, signal.SIGKILL), (1_400, signal.SIGINT)):
            shelf.take(events)
            process = start(folder, url)
            try:
                assert shelf.stalled.wait(60)
            finally:
                process.send_signal(end)
                _, said = process.communicate(timeout=60)
            assert len(shelf.events) >= events
        assert process.returncode == 3
        assert "run the same command again to go on" in said
        shelf.take(10 * ROWS)
        last = start(folder, url)
        _, said = last.communicate(timeout=120)
    assert last.returncode == 0, said
    assert "Going on after line" in said
    orders = {event["messageId"]: event["properties"]["order_id"] for event in shelf.values}
    assert sorted(orders.values(), key=int) == [str(number) for number in range(ROWS)]
    # What was in flight came twice, under the same ids; resolve drops that.
    assert ROWS <= len(shelf.events) <= ROWS + 2 * 4 * 100
    assert not (folder / "orders.csv.import-state.json").exists()


def test_without_a_key_or_with_a_wrong_one_it_says_so_in_a_line(folder: Path) -> None:
    (folder / "key").write_text("wrong\n")
    with served(Shelf()) as url:
        process = start(folder, url, "--key-file", str(folder / "key"))
        _, said = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "does not take this write key: 401" in said
    assert "Traceback" not in said

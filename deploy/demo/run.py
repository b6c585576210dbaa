"""What ``regulars demo``, ``regulars up`` and ``regulars reset`` do."""

import asyncio
import logging
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.table import Table

from deploy.demo import cdnow, live, replay
from deploy.demo.addresses import KAFKA, MAIL, MONGO
from deploy.demo.environment import SECRET_KEY, TOKENS, WRITE_KEY
from deploy.demo.supervisor import Supervisor
from deploy.local.errors import StackError
from deploy.local.stack import LocalStack
from services import processes

_ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
Mode = Literal["live", "replay"]


def demo(mode: Mode, rate: float, data: Path, webhooks: bool) -> int:
    """Start everything, replay the purchase log, open the shop; the exit code."""
    cdnow.locate()  # say at once when it is missing
    with _ending(console := Console()), _supervisor(data, webhooks, console) as regulars:
        if not asyncio.run(replay.replay(regulars, console)):
            return 1
        if mode == "live":
            show(regulars, console)
            asyncio.run(live.open_shop(regulars, rate, console))
    return 0


def up(data: Path, webhooks: bool) -> int:
    """Start everything and stay; the exit code."""
    with _ending(console := Console()), _supervisor(data, webhooks, console) as regulars:
        show(regulars, console)
        console.print("Ctrl-C ends everything.")
        signal.pause()
    return 0


def reset(data: Path) -> int:
    """Delete what demo and up have stored; StackError while they run."""
    stack = LocalStack(data)
    for server in (stack.kafka, stack.mongod):
        if found := server.running():
            raise StackError(f"{server.title} runs on {data} (process {found.pid}): end it first.")
    for path in (stack.kafka.home, stack.mongod.home, data / "logs"):
        shutil.rmtree(path, ignore_errors=True)
    (data / SECRET_KEY).unlink(missing_ok=True)
    for pid_file in data.glob("*.pid"):
        pid_file.unlink()
    Console().print(f"{data} is empty.")
    return 0


def show(regulars: Supervisor, console: Console) -> None:
    """Print where to look, and the keys."""
    table = Table.grid(padding=(0, 2))
    table.add_row("Console", regulars.url("console"))
    table.add_row("Mails", regulars.url(MAIL))
    for number, spec in enumerate(processes.APIS):
        table.add_row("" if number else "APIs", f"{regulars.url(spec.name)}/docs")
    table.add_row("Kafka", f"127.0.0.1:{regulars.where[KAFKA].port}")
    table.add_row("MongoDB", f"127.0.0.1:{regulars.where[MONGO].port}")
    table.add_row("Write key", WRITE_KEY)
    table.add_row("Tokens", ", ".join(TOKENS))
    table.add_row("Logs", str(regulars.data_dir / "logs"))
    console.print(table, highlight=False)


def _supervisor(data: Path, webhooks: bool, console: Console) -> Supervisor:
    return Supervisor(data, webhooks=webhooks, console=console)


@contextmanager
def _ending(console: Console) -> Iterator[None]:
    """Ctrl-C, SIGTERM and SIGHUP end what is inside, once and in order."""
    # What a client thinks of a server that comes back by itself is not for the screen.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)

    def interrupt(*_: object) -> None:
        for number in _ENDINGS:
            signal.signal(number, signal.SIG_IGN)  # once is enough: ending takes a moment
        console.print("Ending, in order.")
        raise KeyboardInterrupt

    for number in _ENDINGS:
        signal.signal(number, interrupt)
    with suppress(KeyboardInterrupt):
        yield

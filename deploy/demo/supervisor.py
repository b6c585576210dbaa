"""The whole of Regulars on one machine: servers, mail sink, workers, APIs, console.

Each is a process of its own with a log in ``<data>/logs``. One that dies is started again.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from time import monotonic, sleep
from types import TracebackType
from typing import Self

import httpx
from aiokafka.errors import KafkaError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn

from deploy.demo.addresses import CONTROLLER, KAFKA, MAIL, MONGO, SMTP, addresses, name_of, url
from deploy.demo.environment import environment, mail_sink, secret_key
from deploy.demo.watch import Watch
from deploy.local import jars
from deploy.local.errors import StackError
from deploy.local.ports import require_free
from deploy.local.processes import Process
from deploy.local.stack import LocalStack
from services import processes
from services.runtime.settings import Settings
from services.runtime.topics import TopicMismatch, create_topics
from services.runtime.worker import app_id

READY_S = 120.0
_STOP_S = 20.0
_POLL_S = 0.1


class Supervisor:
    """Starts everything, keeps it alive, ends it; a context manager.

    ``ports`` moves single addresses (names as in ``deploy.demo.addresses``), ``kafka_url``
    and ``mongo_url`` use servers that run already, ``without`` leaves processes out,
    ``webhooks`` adds the worker that sends them, ``env`` adds to the services' environment.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        ports: Mapping[str, int] | None = None,
        kafka_url: str = "",
        mongo_url: str = "",
        namespace: str = "",
        without: Collection[str] = (),
        webhooks: bool = False,
        env: Mapping[str, str] | None = None,
        console: Console | None = None,
    ) -> None:
        self.data_dir = data_dir
        self.where = addresses(ports)
        self._console = console or Console(quiet=True)
        self._stack = None if kafka_url and mongo_url else self._local_stack()
        self.settings = Settings(
            kafka_url=self._stack.kafka_url if self._stack else kafka_url,
            mongo_url=self._stack.mongo_url if self._stack else mongo_url,
            namespace=namespace,
        )
        self._env = environment(self.settings, self.where, secret_key(data_dir)) | dict(env or {})
        self._processes = {MAIL: self._process(MAIL, mail_sink(self.where))}
        for spec in (*processes.ALL, *([processes.WEBHOOKS] if webhooks else [])):
            argv = ["-m", "services.cli", *spec.command]
            self._processes[name_of(spec)] = self._process(name_of(spec), argv)
        for name in without:
            del self._processes[name]
        self._watch: Watch | None = None

    # -- what others may ask ---------------------------------------------------------------

    def url(self, name: str) -> str:
        """Where an API, a worker's metrics, the console or the mail sink answers."""
        return url(self.where[name])

    @property
    def names(self) -> list[str]:
        """The services that it runs, the mail sink included."""
        return list(self._processes)

    def process(self, name: str) -> Process:
        """A service's process. End it with ``kill`` below: it is watched."""
        return self._processes[name]

    def kill(self, name: str) -> int:
        """SIGKILL it, as a crash would, and return the id it had; it will be started again."""
        pid = self._processes[name].pid
        os.kill(pid, signal.SIGKILL)
        return pid

    # -- life ------------------------------------------------------------------------------

    def start(self) -> None:
        """Everything runs and is ready on return; StackError says why not, and nothing runs."""
        started = monotonic()
        if self._stack is not None:
            self._stack.check()
        for name in (*self._processes, SMTP):
            require_free(*self.where[name])
        try:
            self._start_servers()
            for process in self._processes.values():
                process.start()
            self._wait_ready()
        except BaseException:
            self.stop()
            raise
        watched = [*self._processes.values()]
        if self._stack is not None:
            watched += [self._stack.mongod, self._stack.kafka]
        self._watch = Watch(watched, lambda line: self._console.print(f"[yellow]{line}"))
        self._watch.start()
        self._console.print(f"{len(watched)} processes are ready ({monotonic() - started:.0f} s).")

    def stop(self) -> None:
        """End everything cleanly, what takes input first and the servers last."""
        if self._watch is not None:
            self._watch.stop()
        workers = [name_of(spec) for spec in processes.EVERY_WORKER]
        apis = [name_of(spec) for spec in processes.APIS if spec.name != "ingest"]
        with ExitStack() as ending:  # the last one goes first
            if self._stack is not None:
                ending.callback(self._stack.stop)
            for names in ([MAIL], apis, workers, ["ingest", "console"]):
                ending.callback(self._stop, names)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    # -- parts -----------------------------------------------------------------------------

    def _local_stack(self) -> LocalStack:
        ports = (self.where[KAFKA].port, self.where[MONGO].port)
        return LocalStack(self.data_dir, *ports, controller_port=self.where[CONTROLLER].port)

    def _process(self, name: str, argv: Sequence[str]) -> Process:
        log = self.data_dir / "logs" / f"{name}.log"
        return Process(name, [sys.executable, *argv], self._env, log)

    def _start_servers(self) -> None:
        if self._stack is not None:
            if not jars.cached():
                self._console.print("Fetching Apache Kafka, this once (45 MB).")
            with self._console.status("Starting MongoDB and Kafka"):
                self._stack.start()
        app_ids = [app_id(self.settings, spec.name) for spec in processes.EVERY_WORKER]
        try:
            asyncio.run(create_topics(self.settings, app_ids))
        except TopicMismatch as error:
            raise StackError(str(error)) from error
        except KafkaError as error:
            raise StackError(f"Kafka at {self.settings.kafka_url}: {error}") from error

    def _wait_ready(self) -> None:
        """Until every process has answered its readiness probe once."""
        waiting = list(self._processes)
        with (
            _progress(self._console) as progress,
            httpx.Client(timeout=2.0, trust_env=False) as client,
        ):
            task = progress.add_task("", total=len(waiting))
            end = monotonic() + READY_S
            while waiting:
                if monotonic() > end:
                    logs = self.data_dir / "logs"
                    names = ", ".join(waiting)
                    raise StackError(f"Not ready after {READY_S:g} s: {names} (see {logs}).")
                waiting = [name for name in waiting if not self._ready(name, client)]
                done = len(self._processes) - len(waiting)
                progress.update(task, completed=done, description=_some(waiting))
                sleep(_POLL_S)

    def _ready(self, name: str, client: httpx.Client) -> bool:
        process = self._processes[name]
        if not process.alive:
            raise StackError(f"{name} ended: {process.tail(1)} (see {process.log_path})")
        probe = "/health/live" if name == MAIL else "/health/ready"
        try:
            return client.get(self.url(name) + probe).is_success
        except httpx.HTTPError:
            return False

    def _stop(self, names: Sequence[str]) -> None:
        running = [self._processes[name] for name in names if name in self._processes]
        with ThreadPoolExecutor(len(running) or 1) as pool:
            for _ in pool.map(lambda process: process.stop(_STOP_S), running):
                pass


def _progress(console: Console) -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("Starting"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("[dim]{task.description}"),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def _some(names: Sequence[str]) -> str:
    """The first of them, and how many more there are."""
    return names[0] + (f" and {len(names) - 1} more" if names[1:] else "") if names else ""

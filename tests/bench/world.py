"""The servers of a run, and namespaces on them: topics, databases and worker processes."""

import asyncio
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from deploy.local.errors import StackError
from deploy.local.ports import free_port
from deploy.local.processes import Process, wait_http_ok
from deploy.local.stack import LocalStack
from schemas.topics import ALL, BY_NAME
from services import processes
from services.runtime.mongo import connect
from services.runtime.settings import Settings
from services.runtime.topics import create_topics, leader_topic
from services.runtime.worker import app_id
from tests.bench.cpu import Meter

_READY_S = 60.0
_STUCK_S = 120.0
_POLL_S = 0.05
_CACHE_GB = 8.0
"""Of mongod: what is asked for must fit. A mongod that nobody limits takes half of the memory."""


@dataclass(frozen=True)
class World:
    """What every bench gets."""

    stack: LocalStack
    directory: Path
    quick: bool
    full: bool = False
    """Sizes that take long to fill in."""

    @property
    def pairs(self) -> int:
        """How often each measurement is taken."""
        return 1 if self.quick else 5

    @property
    def servers(self) -> dict[str, int]:
        """Process ids of the servers, by role."""
        return {"mongod": self.stack.mongod.pid, "broker": self.stack.kafka.pid}


@contextmanager
def world(directory: Path, quick: bool, full: bool = False) -> Iterator[World]:
    """Servers on free ports, with their data in ``directory``."""
    stack = LocalStack(
        directory,
        free_port(),
        free_port(),
        controller_port=free_port(),
        cache_gb=_CACHE_GB,
    )
    with stack:
        yield World(stack, directory, quick, full)


class Namespace:
    """Topics and databases of one measurement, and the processes on them; a context manager."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.settings = Settings(
            kafka_url=world.stack.kafka_url,
            mongo_url=world.stack.mongo_url,
            namespace=f"{name}.",
        )
        self.client = connect(self.settings)
        self._processes: list[Process] = []

    async def __aenter__(self) -> "Namespace":
        await create_topics(self.settings, self._app_ids())
        return self

    async def __aexit__(self, *_: object) -> None:
        for process in self._processes:
            process.kill()
        names = [self.settings.topic(topic.name) for topic in ALL]
        names += [leader_topic(id_) for id_ in self._app_ids()]
        admin = AIOKafkaAdminClient(bootstrap_servers=self.settings.kafka_url)
        await admin.start()
        try:
            await admin.delete_topics(names)
        finally:
            await admin.close()
        for name in await self.client.list_database_names():
            if name.startswith(self.settings.database("")):
                await self.client.drop_database(name)
        self.client.close()

    def _app_ids(self) -> list[str]:
        return [app_id(self.settings, spec.name) for spec in processes.WORKERS]

    # -- processes -----------------------------------------------------------------------------

    def worker(self, name: str) -> Process:
        """Start a worker as a deployment does."""
        variable = f"REGULARS_{name.replace('-', '_').upper()}_WORKER_PORT"
        return self.process(
            name, ["-m", "services.cli", "worker", name], {variable: str(free_port())}
        )

    def api(self, name: str, env: Mapping[str, str]) -> tuple[Process, int]:
        """Start an API; it is ready on return. Its process and port."""
        port = free_port()
        env = {f"REGULARS_{name.upper()}_PORT": str(port), **env}
        process = self.process(name, ["-m", "services.cli", "api", name], env)
        wait_http_ok(f"http://127.0.0.1:{port}/health/ready", _READY_S, process)
        return process, port

    def limit(self, what: str, parameters: Mapping[str, Any]) -> Process:
        """Start a limit (``tests.bench.limits``)."""
        argv = ["-m", "tests.bench.limits", what, json.dumps(parameters)]
        return self.process(f"limit-{what}", argv, {})

    def process(self, name: str, argv: Sequence[str], env: Mapping[str, str]) -> Process:
        """Start a Python process in this namespace."""
        number = len(self._processes)
        log = self.world.directory / "logs" / f"{self.settings.namespace}{name}-{number}.log"
        settings = {
            "REGULARS_KAFKA_URL": self.settings.kafka_url,
            "REGULARS_MONGO_URL": self.settings.mongo_url,
            "REGULARS_NAMESPACE": self.settings.namespace,
            "REGULARS_LOG_FORMAT": "text",
            "TMPDIR": str(self.world.directory),
        }
        process = Process(name, [sys.executable, *argv], {**settings, **env}, log)
        process.start()
        self._processes.append(process)
        return process

    # -- how far a stage has come --------------------------------------------------------------

    async def waiting(self, topics: Sequence[str]) -> int:
        """Records on these topics."""
        partitions = [
            TopicPartition(self.settings.topic(topic), number)
            for topic in topics
            for number in range(BY_NAME[topic].partitions)
        ]
        consumer = AIOKafkaConsumer(bootstrap_servers=self.settings.kafka_url)
        await consumer.start()
        try:
            return sum((await consumer.end_offsets(partitions)).values())
        finally:
            await consumer.stop()

    async def handled(self, database: str, group: str) -> int:
        """Records that a group has handled, by its checkpoints."""
        found = self.client[self.settings.database(database)]["checkpoints"]
        prefix = f"{self.settings.namespace}{group}/"
        query = {"_id": {"$gte": prefix, "$lt": prefix[:-1] + "0"}}
        offsets = await found.find(query, {"offset": 1}).to_list(None)
        return sum(item.get("offset", 0) for item in offsets)

    async def reached(self, count: int, database: str, group: str, process: Process) -> int:
        """Wait until ``group`` has handled at least ``count``; how many it has."""
        async with asyncio.timeout(_STUCK_S):
            while (handled := await self.handled(database, group)) < count:
                if not process.alive:
                    raise StackError(f"{process.name} ended: {process.tail(3)}")
                await asyncio.sleep(_POLL_S)
        return handled

    def meter(self, **processes: Process) -> Meter:
        """CPU of these processes and of the servers."""
        return Meter({name: p.pid for name, p in processes.items()} | self.world.servers)

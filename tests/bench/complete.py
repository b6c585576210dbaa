"""The complete system of the demo on a run's servers: every service, the mail sink, campaigns."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from deploy.demo.addresses import free_ports
from deploy.demo.marketing import define
from deploy.demo.pipeline import Pipeline
from deploy.demo.supervisor import Supervisor
from tests.bench.cpu import Meter
from tests.bench.world import Namespace, World

_QUIET_S = 60.0


class Complete:
    """What is running, and how far it has come."""

    def __init__(self, world: World, supervisor: Supervisor, pipeline: Pipeline) -> None:
        self.world = world
        self.supervisor = supervisor
        self.pipeline = pipeline
        self.names = supervisor.names

    @property
    def ingest(self) -> int:
        """Ingest's port."""
        return self.supervisor.where["ingest"].port

    def meter(self, load: bool = True) -> Meter:
        """Every process by its name, the servers, and this one as ``load``."""
        pids = {name: self.supervisor.process(name).pid for name in self.names}
        return Meter(pids | self.world.servers | ({"load": os.getpid()} if load else {}))

    async def lag(self) -> int:
        """Records that wait, before all stages together."""
        return sum((await self.pipeline.look()).lags.values())

    async def drained(self) -> bool:
        """Wait until nothing waits before any stage; False when that takes too long."""
        end = asyncio.get_running_loop().time() + _QUIET_S
        while await self.lag():
            if asyncio.get_running_loop().time() > end:
                return False
            await asyncio.sleep(0.25)
        return True


@asynccontextmanager
async def complete(world: World, name: str) -> AsyncIterator[Complete]:
    """Everything started, with the demo's segments and campaigns; ends and forgets it all."""
    async with Namespace(world, name) as space:
        supervisor = Supervisor(
            world.directory / name,
            ports=free_ports(),
            kafka_url=space.settings.kafka_url,
            mongo_url=space.settings.mongo_url,
            namespace=space.settings.namespace,
            env={"TMPDIR": str(world.directory)},
        )
        await asyncio.to_thread(supervisor.start)  # it has a loop of its own
        try:
            async with Pipeline(space.settings) as pipeline:
                await define(supervisor.url("segmentation"), supervisor.url("notifier"))
                yield Complete(world, supervisor, pipeline)
        finally:
            await asyncio.to_thread(supervisor.stop)

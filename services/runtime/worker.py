"""A worker: one Faust app that hosts one stage and what it needs, started in order.

Faust gives the process its life (signals, supervision, timers, low-rate agents); the
firehose is read by the stage through its own aiokafka consumer and group.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import faust
import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from faust import Service
from faust.app.base import BootStrategy
from faust.types import ServiceT

from services.runtime import garbage, layout
from services.runtime.ahead import Reading
from services.runtime.checkpoints import Checkpoints
from services.runtime.definitions import Definitions
from services.runtime.feed import ANSWER_BYTES
from services.runtime.intake import Intake
from services.runtime.mongo import Client, Database, connect
from services.runtime.offsets import Offsets
from services.runtime.probe import Probe
from services.runtime.publish import Publisher
from services.runtime.settings import Settings
from services.runtime.stage import Stage
from services.runtime.timers import Timers
from services.runtime.turn import Handler

log = structlog.get_logger()


@dataclass(frozen=True)
class Parts:
    """What the runtime lends to a service's wiring."""

    settings: Settings
    database: Database
    definitions: Definitions
    publisher: Publisher
    complete: Callable[[str, Any], None]
    """``Stage.complete``: how the result of outside work comes back."""


@dataclass(frozen=True)
class Wired:
    """What a service's wiring answers with."""

    handler: Handler
    prepare: Callable[[], Awaitable[None]]
    """Creates the service's collections and indexes."""
    services: Sequence[Service] = ()
    """Started before the stage and stopped after it."""
    ahead: Reading | None = None
    """What can be done with a record before its turn; the turn finds it in ``record.ahead``."""


@dataclass(frozen=True)
class Blueprint:
    """A worker as data: its name is the consumer group and the id of the Faust app's host."""

    name: str
    database: str
    topics: Sequence[str]
    port: int
    """Of the worker's metrics and health."""
    wire: Callable[[Parts], Wired]
    kinds: Sequence[str] = field(default_factory=tuple)
    """The kinds of definitions it follows."""
    layout: int = 1
    """Of its documents: raised when those that are stored would be misread (``layout``)."""
    renews: bool = False
    """It finds out by itself which documents are in an older layout, and makes them anew."""
    rest_s: float = 0.0
    """How long it takes no records after it took some: few and large turns, where nobody waits."""


def app_id(settings: Settings, name: str) -> str:
    """The id of a worker's Faust app. Never the stage's group: sharing it breaks the join."""
    return f"{settings.namespace}{name}-app"


def create_worker(
    blueprint: Blueprint, settings: Settings, make_stage: type[Stage] = Stage
) -> faust.App:
    """The Faust app that runs ``blueprint``. ``make_stage`` is for tests of the tests."""
    seconds = settings.session_timeout_ms / 1000
    name = app_id(settings, blueprint.name)
    return App(
        name,
        host=Host(blueprint, settings, make_stage),
        broker=[f"kafka://{address}" for address in settings.kafka_url.split(",")],
        broker_session_timeout=seconds,
        broker_heartbeat_interval=seconds / 4,
        consumer_group_instance_id=_instance(settings, name),
        store="memory://",
        topic_allow_declare=False,
        topic_partitions=1,
        web_enabled=False,
        autodiscover=False,
        worker_redirect_stdouts=False,
    )


class HostFirst(BootStrategy):
    """Starts the stage before Faust's own consumer, and that one only where it has agents.

    After a crash it waits for its group to miss its former self, and the firehose must not
    wait with it. Without agents it would read nothing, at half of an idle worker's cost.
    """

    def server(self) -> Iterable[ServiceT]:
        """The services of a worker, in their order."""
        app = cast(App, self.app)
        self.enable_kafka = bool(app.agents)
        return self._chain([app.host], super().server())


class App(faust.App):
    """A Faust app with a ``host``."""

    BootStrategy = HostFirst

    def __init__(self, *args: Any, host: "Host", **options: Any) -> None:
        self.host = host
        super().__init__(*args, **options)

    def _create_directories(self) -> None:
        """Faust's own would be for tables, which nobody here has: leave no folder behind."""


class Host(Service):
    """Starts, in order: MongoDB, definitions, publisher, the service's own, the stage."""

    abstract = False

    def __init__(
        self, blueprint: Blueprint, settings: Settings, make_stage: type[Stage], **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self._blueprint = blueprint
        self._settings = settings
        self._make_stage = make_stage
        self._stage: Stage | None = None
        self._consumer: AIOKafkaConsumer | None = None
        self._offsets: Offsets | None = None
        self._publisher = Publisher(settings, blueprint.name)
        self._client: Client | None = None

    async def on_start(self) -> None:
        blueprint, settings = self._blueprint, self._settings
        probe = Probe(settings.host, blueprint.port, self._not_ready)
        await self.add_runtime_dependency(probe)

        self._client = client = connect(settings)
        database = client[settings.database(blueprint.database)]
        session = await client.start_session()
        await _claim(database, settings, blueprint)
        group = settings.namespace + blueprint.name
        checkpoints = Checkpoints(client, database, session)
        timers = Timers(database)
        definitions = Definitions(settings, blueprint.kinds)
        parts = Parts(settings, database, definitions, self._publisher, self._complete)
        wired = blueprint.wire(parts)
        for prepare in (checkpoints.prepare, timers.prepare, wired.prepare):
            await prepare()

        await self._publisher.start()
        await self.add_runtime_dependency(definitions)
        for service in wired.services:
            await self.add_runtime_dependency(service)

        self._offsets = offsets = Offsets(settings, blueprint.name)
        await offsets.start()
        self._consumer = consumer = _consumer(settings, group)
        topics = {settings.topic(topic): topic for topic in blueprint.topics}
        intake = Intake(
            consumer,
            topics,
            group=group,
            checkpoints=checkpoints,
            publisher=self._publisher,
            offsets=offsets,
            publish_within_s=settings.publish_within_s,
            rest_s=blueprint.rest_s,
            ahead=wired.ahead,
        )
        consumer.subscribe(list(topics), listener=intake)
        await consumer.start()
        self._stage = self._make_stage(
            blueprint.name,
            wired.handler,
            settings=settings,
            intake=intake,
            publisher=self._publisher,
            checkpoints=checkpoints,
            timers=timers,
            up_to_date=lambda: definitions.caught_up(offsets),
            session=session,
        )
        await self.add_runtime_dependency(self._stage)
        garbage.spare()
        log.info("worker started", worker=blueprint.name)

    async def on_shutdown(self) -> None:
        """The stage has stopped: close what it used."""
        if self._consumer is not None:
            await self._consumer.stop()
        if self._offsets is not None:
            await self._offsets.stop()
        await self._publisher.stop()
        if self._client is not None:
            self._client.close()

    def _not_ready(self) -> str | None:
        return "starting" if self._stage is None else self._stage.not_ready()

    def _complete(self, source_id: str, body: Any) -> None:
        if self._stage is not None:
            self._stage.complete(source_id, body)


async def _claim(database: Database, settings: Settings, blueprint: Blueprint) -> None:
    try:
        version, renews = blueprint.layout, blueprint.renews
        await layout.claim(database, settings, blueprint.name, version, renews=renews)
    except layout.Unreadable as error:
        # One line for whoever starts it, and no trace: it is no bug, and trying again is in vain.
        raise SystemExit(str(error)) from None


def _instance(settings: Settings, group: str) -> str | None:
    """The name of a static member: one that comes back in time keeps its partitions."""
    return f"{group}-{settings.worker_id}" if settings.worker_id else None


def _consumer(settings: Settings, group: str) -> AIOKafkaConsumer:
    return AIOKafkaConsumer(
        bootstrap_servers=settings.kafka_url,
        group_id=group,
        group_instance_id=_instance(settings, group),
        client_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        partition_assignment_strategy=(RangePartitionAssignor,),
        session_timeout_ms=settings.session_timeout_ms,
        heartbeat_interval_ms=settings.session_timeout_ms // 3,
        max_poll_interval_ms=600_000,
        fetch_max_wait_ms=2_000,
        consumer_timeout_ms=1_000,
        max_partition_fetch_bytes=2_000_000,
        fetch_max_bytes=ANSWER_BYTES,
    )

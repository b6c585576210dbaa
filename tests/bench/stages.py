"""resolve and build draining what waits for them, alone and together, beside the raw loop.

A pair is: resolve alone drains the events, build alone drains what resolve wrote, then the
raw transaction loop with documents and records of the sizes that each was measured to have, once
as it is and once without a stored outbox.
"""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from time import monotonic

import msgspec

from deploy.local.errors import StackError
from deploy.local.processes import Process
from schemas.topics import EVENTS, INTERACTIONS
from services.ingest.model import Accepted, Receipt, Shared
from services.ingest.producer import Producer
from services.ingest.rules import accept
from services.ingest.settings import IngestSettings
from tests.bench import load
from tests.bench.cpu import Meter, spent
from tests.bench.likeness import like_build, like_resolve
from tests.bench.progress import Steps
from tests.bench.raw import StageLimit
from tests.bench.report import Report, Row, Run, paired, shares, single
from tests.bench.world import Namespace, World

EVENT_TOPICS = tuple(topic.name for topic in EVENTS)
_ROLES = ("client", "mongod", "broker")
_HEAD = 0.15
"""The part that is handled before the clock starts: caches and code are warm then."""
_CHUNK = 4_000

Limited = tuple[Run, Run, Run]
"""A stage, the raw loop, and that without a stored outbox."""

RESOLVE = ("profile", "profile-resolve")
BUILD = ("profile", "profile-build")


def accepted(count: int, seed: int = 1, people: int = load.PEOPLE) -> list[Accepted]:
    """Events as they lie on their topics; malformed ones too, as a storefront could write."""
    receipt = Receipt("bench", datetime.now(UTC), lambda: "unused")
    found = []
    for text in load.texts(count, seed=seed, people=people):
        body = text.encode().replace(load.RUN.encode(), load.run_tag(0))
        outcome = accept(body, None, Shared(), receipt)
        if not isinstance(outcome, Accepted):
            outcome = Accepted("events.clicks", "malformed", body, "malformed", receipt.at, "")
        found.append(outcome)
    return found


async def fill(space: Namespace, events: Sequence[Accepted]) -> None:
    """Write events as ingest does."""
    settings = IngestSettings(**space.settings.model_dump())
    producer = Producer(settings)
    await producer.start()
    while await producer.unready() is not None:
        await asyncio.sleep(0.05)
    for start in range(0, len(events), _CHUNK):
        await producer.deliver(events[start : start + _CHUNK], "bench")
    await producer.stop()


class Drain:
    """Takes the time and the CPU of one group from its warm start to the end of its input."""

    def __init__(self, space: Namespace, total: int) -> None:
        self._space = space
        self._total = total

    async def run(self, process: Process, of: tuple[str, str], meter: Meter | None = None) -> Run:
        """Drain by ``process``, whose group keeps its checkpoints as ``of`` says."""
        meter = meter or self._space.meter(client=process)
        first = await self._space.reached(int(self._total * _HEAD), *of, process)
        before, started = meter.read(), monotonic()
        last = await self._space.reached(self._total, *of, process)
        return Run(last - first, monotonic() - started, spent(before, meter.read()))


async def bench(world: World, report: Report, steps: Steps) -> None:
    """Both stages, alone and together."""
    events = accepted(15_000 if world.quick else 60_000)
    alone = {"resolve alone": list[Limited](), "build alone": list[Limited]()}
    both: list[Run] = []
    for number in range(world.pairs):
        if number and steps.late():
            break
        steps.say(f"resolve and build alone, pair {number + 1} of {world.pairs}")
        async with Namespace(world, f"alone{number}") as space:
            for name, run in zip(alone, await _pair(space, events, number), strict=True):
                alone[name].append(run)
        steps.say(f"resolve and build together, {number + 1} of {world.pairs}")
        async with Namespace(world, f"both{number}") as space:
            both.append(await _together(space, events))
    section = "Stages draining"
    for name, runs in alone.items():
        row = paired([(run, loop) for run, loop, _ in runs], name, "raw transaction loop", _ROLES)
        report.add(section, _noted(row, shares(runs[-1][0]), NOTES[name]))
        pairs = [(run, loop) for run, _, loop in runs]
        report.add(section, paired(pairs, "the same", "no outbox stored", _ROLES))
    row = single(both, "resolve and build together", ("resolve", "build", "mongod", "broker"))
    report.add(section, _noted(row, shares(both[-1]), NOTES["together"]))


def _noted(row: Row, shared: str, note: str) -> Row:
    return Row(row.name, row.figure, row.cpu, row.limit, row.ratio, f"{shared}. {note}".strip())


NOTES = {
    "resolve alone": (
        "A flat profile of the worker's Python: 21 % is reading events ahead of their turn "
        "(decoding, checking, who is named), 17 % whose they are and encoding the interactions, "
        "15 % and 13 % Kafka's records on the way in and on the way out, 9 % headers and outbox, "
        "a tenth the MongoDB driver and its threads. The raw loop looks nothing up; it stores "
        "an outbox as the stage does. Both keep the memory of a turn for the next one, and let "
        "the driver's threads go on within half a millisecond."
    ),
    "build alone": (
        "A flat profile of the worker: 29 % is telling of changes and encoding states, 22 % the "
        "fold, a sixth Kafka's records on the way in and out, 5 % opening states, 4 % headers and "
        "outbox; rebuilding after merges is hardly seen. Its functions take two to four times as "
        "long as over and over on one profile: much of that is waiting for memory. The raw loop "
        "writes as much and knows nothing."
    ),
    "together": "CPU: resolve / build / mongod / broker.",
}
"""What a profile says of each."""


async def _pair(
    space: Namespace, events: Sequence[Accepted], number: int
) -> tuple[Limited, Limited]:
    await fill(space, events)
    real_resolve = await _alone(space, RESOLVE, EVENT_TOPICS)
    real_build = await _alone(space, BUILD, (INTERACTIONS.name,))
    async with Namespace(space.world, f"limit{number}") as other:
        given = await like_resolve(space, other, EVENT_TOPICS, len(events))
        resolve = (real_resolve, *await _limits(space, other, given, EVENT_TOPICS))
        given = await like_build(space, other)
        build = (real_build, *await _limits(space, other, given, (INTERACTIONS.name,)))
    return resolve, build


async def _alone(space: Namespace, of: tuple[str, str], topics: Sequence[str]) -> Run:
    total = await space.waiting(topics)
    process = space.worker(of[1])
    run = await Drain(space, total).run(process, of)
    process.stop()
    return run


async def _together(space: Namespace, events: Sequence[Accepted]) -> Run:
    """Until build has handled all that resolve wrote; counted in events."""
    await fill(space, events)
    total = await space.waiting(EVENT_TOPICS)
    resolve, build = space.worker(RESOLVE[1]), space.worker(BUILD[1])
    meter = space.meter(resolve=resolve, build=build)
    first = await space.reached(int(total * _HEAD), *RESOLVE, resolve)
    before, started = meter.read(), monotonic()
    await space.reached(total, *RESOLVE, resolve)
    while True:
        left = await space.waiting((INTERACTIONS.name,))
        await space.reached(left, *BUILD, build)
        if left == await space.waiting((INTERACTIONS.name,)):
            break
    return Run(total - first, monotonic() - started, spent(before, meter.read()))


# -- the limit ----------------------------------------------------------------------------------


async def _limits(
    space: Namespace, other: Namespace, given: StageLimit, topics: Sequence[str]
) -> tuple[Run, Run]:
    """The raw loop as it is, and without a stored outbox."""
    runs = []
    for outbox in (True, False):
        limit = msgspec.structs.replace(given, outbox=outbox)
        runs.append(await _bare(space, other, limit, topics))
        await other.client.drop_database(other.settings.database("profile"))
    return runs[0], runs[1]


async def _bare(
    space: Namespace, other: Namespace, given: StageLimit, topics: Sequence[str]
) -> Run:
    total = await space.waiting(topics)
    process = other.limit("stage", msgspec.to_builtins(given))
    drain = BareDrain(other, total)
    run = await drain.run(process, ("profile", ""))
    process.kill()
    return run


class BareDrain(Drain):
    """The raw loop is no worker: its checkpoints are its own."""

    async def run(self, process: Process, of: tuple[str, str], meter: Meter | None = None) -> Run:
        """As ``Drain.run``."""
        meter = self._space.meter(client=process)
        first = await self._until(int(self._total * _HEAD), process)
        before, started = meter.read(), monotonic()
        last = await self._until(self._total, process)
        return Run(last - first, monotonic() - started, spent(before, meter.read()))

    async def _until(self, count: int, process: Process) -> int:
        found = self._space.client[self._space.settings.database("profile")]["checkpoints"]
        async with asyncio.timeout(120):
            while True:
                handled = sum([one["offset"] async for one in found.find({"offset": {"$gt": 0}})])
                if handled >= count:
                    return int(handled)
                if not process.alive:
                    raise StackError(f"{process.name} ended: {process.tail(1)}")
                await asyncio.sleep(0.05)

"""What an event costs build when ten times as many profiles are stored.

Copies of real profiles, which nothing happens to, fill the collection before the worker drains
the same events: so only their number differs.
"""

from collections.abc import AsyncIterator, Sequence
from itertools import count, islice
from typing import Any

from schemas.topics import INTERACTIONS
from services.ingest.model import Accepted
from tests.bench.progress import Steps
from tests.bench.report import Report, Row, Run, paired
from tests.bench.stages import BUILD, EVENT_TOPICS, RESOLVE, Drain, accepted, fill
from tests.bench.world import Namespace, World

_ROLES = ("client", "mongod", "broker")
_CHUNK = 5_000
_TEMPLATES = 2_000

Profiles = list[dict[str, Any]]


async def bench(world: World, report: Report, steps: Steps) -> None:
    """The same events among few profiles and among ten times as many."""
    events = accepted(15_000 if world.quick else 60_000)
    few = 100_000 if world.full else 2_000 if world.quick else 20_000
    steps.say("profiles to copy")
    async with Namespace(world, "growth") as space:
        await _drained(space, events)
        found = space.client[space.settings.database("profile")]["profiles"].find({"i": None})
        templates = await found.limit(_TEMPLATES).to_list(None)
    runs: list[tuple[Run, Run]] = []
    for number in range(min(world.pairs, 3)):
        if number and steps.late():
            break
        pair = []
        for size in (10 * few, few):
            steps.say(f"build among {size:,} profiles, {number + 1}")
            async with Namespace(world, f"growth{number}x{size}") as space:
                await _copies(space, templates, size)
                pair.append(await _drained(space, events))
        runs.append((pair[0], pair[1]))
    what, limit = f"build among {10 * few:,} profiles", f"among {few:,}"
    row = paired(runs, what, limit, _ROLES)
    cost = 1 / float(row.ratio.rpartition(" ")[2].rstrip(")"))
    note = f"CPU an event is {cost:.2f} times that among {few:,}."
    report.add("Growth", Row(row.name, row.figure, row.cpu, row.limit, row.ratio, note))


async def _drained(space: Namespace, events: Sequence[Accepted]) -> Run:
    await fill(space, events)
    resolve = space.worker(RESOLVE[1])
    await space.reached(await space.waiting(EVENT_TOPICS), *RESOLVE, resolve)
    resolve.stop()
    build = space.worker(BUILD[1])
    run = await Drain(space, await space.waiting((INTERACTIONS.name,))).run(build, BUILD)
    build.stop()
    return run


async def _copies(space: Namespace, templates: Profiles, size: int) -> None:
    profiles = space.client[space.settings.database("profile")]["profiles"]
    async for chunk in _chunks(templates, size):
        await profiles.insert_many(chunk, ordered=False)


async def _chunks(templates: Profiles, size: int) -> AsyncIterator[Profiles]:
    numbers = islice(count(), size)
    while some := list(islice(numbers, _CHUNK)):
        yield [
            {**templates[number % len(templates)], "_id": f"copy-{number:09d}"} for number in some
        ]

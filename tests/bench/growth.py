"""What an event costs resolve and build when ten times as many people are stored.

The people fill the database first (``population``); then both workers drain events of them,
drawn from all of them. So only their number differs, and with it how deep the indexes are and
how little of the people is at hand.
"""

from collections.abc import Sequence
from statistics import median

from schemas.topics import INTERACTIONS
from tests.bench.population import kept, settle
from tests.bench.progress import Steps
from tests.bench.report import Report, Row, Run, paired
from tests.bench.stages import BUILD, EVENT_TOPICS, RESOLVE, Drain, accepted, fill
from tests.bench.world import Namespace, World

_ROLES = ("client", "mongod", "broker")
_MB = 2**20

Drained = dict[str, tuple[Run, int]]
"""By worker: the run, and the bytes of memory after it."""


async def bench(world: World, report: Report, steps: Steps) -> None:
    """Events among few people and among ten times as many."""
    count = 15_000 if world.quick else 60_000
    few = 100_000 if world.full else 10_000 if world.quick else 20_000
    steps.say("what is kept of somebody")
    async with Namespace(world, "growth") as space:
        await _drained(space, count, few)
        templates = await kept(space)
    pairs: list[tuple[Drained, Drained]] = []
    for number in range(min(world.pairs, 3)):
        if number and steps.late():
            break
        pair = []
        for size in (10 * few, few):
            async with Namespace(world, f"growth{number}x{size}") as space:
                steps.say(f"{size:,} people, {number + 1}")
                await settle(space, size, templates)
                steps.say(f"resolve and build among {size:,} people, {number + 1}")
                pair.append(await _drained(space, count, size))
        pairs.append((pair[0], pair[1]))
    for _, name in (RESOLVE, BUILD):
        row = _row(name, few, [(many[name], less[name]) for many, less in pairs])
        cache = f"{row.note} mongod may keep {world.stack.mongod.cache_gb:g} GB at hand."
        report.add("Growth", Row(row.name, row.figure, row.cpu, row.limit, row.ratio, cache))


def _row(name: str, few: int, pairs: Sequence[tuple[tuple[Run, int], tuple[Run, int]]]) -> Row:
    runs = [(many[0], less[0]) for many, less in pairs]
    row = paired(runs, f"{name} among {10 * few:,} people", f"among {few:,}", _ROLES)
    cost = median(many.cost() / less.cost() for many, less in runs)
    many, less = (median(pair[side][1] for pair in pairs) / _MB for side in (0, 1))
    note = (
        f"CPU an event is {cost:.2f} times that among {few:,}; the worker then takes "
        f"{many:,.0f} MB of memory, among {few:,} {less:,.0f} MB."
    )
    return Row(row.name, row.figure, row.cpu, row.limit, row.ratio, note)


async def _drained(space: Namespace, count: int, people: int) -> Drained:
    await fill(space, accepted(count, people=people))
    drained: Drained = {}
    for of, topics in ((RESOLVE, EVENT_TOPICS), (BUILD, (INTERACTIONS.name,))):
        worker = space.worker(of[1])
        meter = space.meter(client=worker)
        run = await Drain(space, await space.waiting(topics)).run(worker, of, meter)
        drained[of[1]] = run, meter.memory()["client"]
        worker.stop()
    return drained

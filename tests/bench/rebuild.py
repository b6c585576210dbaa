"""Every profile computed again from its history, beside build alone on the same events.

The rebuild is the one that an operator asks for, taken up by a running worker. Afterwards each
profile is compared with what its interactions make of it.
"""

from time import monotonic

from deploy.local.errors import StackError
from schemas.topics import INTERACTIONS
from services.profile.repair.wiring import desk, proof
from services.profile.settings import ProfileSettings
from tests.bench.cpu import spent
from tests.bench.progress import Steps
from tests.bench.report import Report, Row, Run, paired, shares
from tests.bench.stages import BUILD, EVENT_TOPICS, RESOLVE, Drain, accepted, fill
from tests.bench.world import Namespace, World

_ROLES = ("client", "mongod", "broker")
_LOOK_S = 0.1
"""Between two looks whether it is over: the rate is as exact as that."""


async def bench(world: World, report: Report, steps: Steps) -> None:
    """Live and rebuilt, in turns."""
    events = accepted(15_000 if world.quick else 60_000)
    runs: list[tuple[Run, Run]] = []
    compared = 0
    for number in range(min(world.pairs, 3)):
        if number and steps.late():
            break
        steps.say(f"a rebuild of every profile, {number + 1}")
        async with Namespace(world, f"rebuild{number}") as space:
            await fill(space, events)
            resolve = space.worker(RESOLVE[1])
            await space.reached(await space.waiting(EVENT_TOPICS), *RESOLVE, resolve)
            resolve.stop()
            total = await space.waiting((INTERACTIONS.name,))
            build = space.worker(BUILD[1])
            meter = space.meter(client=build)
            live = await Drain(space, total).run(build, BUILD, meter)
            settings = ProfileSettings(**space.settings.model_dump())
            async with desk(settings) as asked:
                before, started = meter.read(), monotonic()
                async for _ in asked.follow(await asked.ask_for_all(), _LOOK_S):
                    pass
                took = Run(total, monotonic() - started, spent(before, meter.read()))
            runs.append((took, live))
            compared = await _prove(settings)
    row = paired(runs, "rebuild of every profile", "build alone, live", _ROLES)
    note = f"{shares(runs[-1][0])}. {compared:,} profiles are then, byte for byte, their history."
    report.add("Rebuild", Row(row.name, row.figure, row.cpu, row.limit, row.ratio, note))


async def _prove(settings: ProfileSettings) -> int:
    compared = 0
    async with proof(settings) as (judge, _, _):
        async for count, wrong in judge.wrong(10.0):
            if wrong:
                raise StackError(f"{len(wrong)} profiles are not what their interactions make")
            compared += count
    return compared

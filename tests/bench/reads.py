"""Reading profiles over HTTP while the whole pipeline is as busy as the machine lets it be.

Everything runs, the load generator included. Reads come open-loop at a fixed rate, half of
them by profile id and half by an identifier, each of somebody else; time counts from the
instant at which a read was meant to be sent.
"""

import asyncio
import random
from collections.abc import Sequence
from urllib.parse import quote

from deploy.demo.environment import READER
from services.runtime.mongo import connect
from tests.bench.client import Pool, reading
from tests.bench.complete import Complete, complete
from tests.bench.pipeline import Load, warm
from tests.bench.progress import Steps
from tests.bench.report import Report, Row, percentiles
from tests.bench.world import World

_RATE = 200.0
_TARGET_S = 0.020
_CONNECTIONS = 16
_PEOPLE = 2_000


async def bench(world: World, report: Report, steps: Steps) -> None:
    """Reads beside events at the rate that the machine's CPU would give, and alone."""
    seconds = 6.0 if world.quick else 20.0
    steps.say("reads: starting everything")
    async with complete(world, "reads") as system:
        sender = Load(system)
        steps.say("reads: warming")
        _, rate = await warm(system, sender)
        await system.drained()
        asked = await _requests(system)
        async with Pool(system.supervisor.where["profile"].port, _CONNECTIONS) as pool:
            await pool.delays(asked, _RATE, 2.0)
            steps.say("reads with nothing else going on")
            alone = await pool.delays(asked, _RATE, seconds)
            steps.say(f"reads beside {rate:,.0f} events/s")
            size, events = sender.prepare(rate, seconds + 3.0, 0.02)
            sending = asyncio.ensure_future(sender.pace(events, size / rate))
            await asyncio.sleep(3.0)  # It takes as long until every service is busy.
            delays = await pool.delays(asked, _RATE, seconds)
            waiting = await system.lag()
            await sending
        await system.drained()
    report.add("Reading profiles", _row(f"beside {rate:,.0f} events/s", delays, waiting))
    report.add("Reading profiles", _row("nothing else going on", alone, 0))


def _row(what: str, delays: Sequence[float], waiting: int) -> Row:
    ordered = sorted(delays)
    p99 = ordered[int(len(ordered) * 0.99)]
    return Row(
        f"a profile, {_RATE:,.0f} reads/s, {what}",
        percentiles(delays),
        limit=f"target: p99 {_TARGET_S * 1000:.0f} ms",
        ratio=f"{p99 / _TARGET_S:.2f}",
        note=f"At its end {waiting:,} records waited before the stages." if waiting else "",
    )


async def _requests(system: Complete) -> list[bytes]:
    """Reads of people who are stored, in no order."""
    settings = system.supervisor.settings
    client = connect(settings)
    try:
        found = client[settings.database("profile")]
        people = found["profiles"].find({"i": None}, {"_id": 1}).limit(_PEOPLE)
        names = found["identifiers"].find({}, {"_id": 1}).limit(_PEOPLE)
        paths = [f"/v1/profiles/{quote(one['_id'])}" for one in await people.to_list(None)]
        for one in await names.to_list(None):
            kind, _, value = one["_id"].partition(":")
            paths.append(f"/v1/profiles/by/{quote(kind)}/{quote(value)}")
    finally:
        client.close()
    random.Random(1).shuffle(paths)
    return [reading(path, READER) for path in paths]

"""Reading profiles over HTTP while the whole pipeline is as busy as the machine lets it be.

Everything runs, the load generator included. Reads come open-loop at a fixed rate, half of
them by profile id and half by an identifier, each of somebody else; time counts from the
instant at which a read was meant to be sent.
"""

import asyncio
import random
from collections.abc import Sequence
from time import monotonic
from typing import NamedTuple
from urllib.parse import quote

from deploy.demo.environment import READER
from deploy.demo.pipeline import Look
from services.runtime.mongo import connect
from tests.bench.client import Pool, reading
from tests.bench.complete import Complete, complete
from tests.bench.cpu import spent
from tests.bench.pipeline import Load, busiest
from tests.bench.progress import Steps
from tests.bench.report import Report, Row, percentiles
from tests.bench.world import World

_RATE = 200.0
_TARGET_S = 0.020
_CONNECTIONS = 16
_PEOPLE = 2_000


class Reads(NamedTuple):
    """One measurement."""

    delays: list[float]
    late: list[float]
    """By how much the load generator itself was late, as part of the delays."""
    cpu: dict[str, float]
    seconds: float
    before: Look
    after: Look

    @property
    def taken(self) -> float:
        """Events a second that Kafka took meanwhile."""
        return self._grown("events.") / self.seconds

    @property
    def folded(self) -> float:
        """Interactions a second that build folded meanwhile."""
        behind = self.after.lags["profile-build"] - self.before.lags["profile-build"]
        return (self._grown("profile.interactions") - behind) / self.seconds

    def _grown(self, topic: str) -> int:
        """Records on the topics whose names contain ``topic``: a namespace stands before them."""
        return sum(
            end - self.before.ends[partition]
            for partition, end in self.after.ends.items()
            if topic in partition.topic
        )


async def bench(world: World, report: Report, steps: Steps) -> None:
    """Reads beside events at a rate that the pipeline just keeps up with, and alone."""
    seconds = 6.0 if world.quick else 20.0
    steps.say("reads: starting everything")
    async with complete(world, "reads") as system:
        sender = Load(system)
        steps.say("reads: warming")
        rate = await busiest(system, sender)
        await system.drained()
        asked = await _requests(system)
        async with Pool(system.supervisor.where["profile"].port, _CONNECTIONS) as pool:
            await pool.delays(asked, _RATE, 2.0)
            steps.say("reads with nothing else going on")
            alone = await _read(system, pool, asked, seconds)
            steps.say(f"reads beside {rate:,.0f} events/s")
            size, events = sender.prepare(rate, seconds + 5.0, 0.02)
            sending = asyncio.ensure_future(sender.pace(events, size / rate))
            await asyncio.sleep(3.0)  # It takes as long until every service is busy.
            beside = await _read(system, pool, asked, seconds)
            await sending
        await system.drained()
    name = f"a profile, {_RATE:,.0f} reads/s, beside {rate:,.0f} events/s"
    through = (
        f"Meanwhile Kafka took {beside.taken:,.0f} events/s, and build folded "
        f"{beside.folded:,.0f}/s; at the end {sum(beside.after.lags.values()):,} records waited"
    )
    report.add("Reading profiles", _row(name, beside, through))
    name = f"a profile, {_RATE:,.0f} reads/s, nothing else going on"
    spent_us = {role: alone.cpu[role] / len(alone.delays) * 1e6 for role in ("profile", "mongod")}
    cost = f"{spent_us['profile']:.0f} API, {spent_us['mongod']:.0f} mongod"
    report.add("Reading profiles", _row(name, alone, "CPU is of a read", cost))


async def _read(system: Complete, pool: Pool, asked: Sequence[bytes], seconds: float) -> Reads:
    pool.late.clear()
    meter, before = system.meter(), await system.pipeline.look()
    used, started = meter.read(), monotonic()
    delays = await pool.delays(asked, _RATE, seconds)
    took, used = monotonic() - started, spent(used, meter.read())
    return Reads(delays, pool.late.copy(), used, took, before, await system.pipeline.look())


def _row(what: str, reads: Reads, note: str, cpu: str = "") -> Row:
    p99, late = (sorted(times)[int(len(times) * 0.99)] for times in (reads.delays, reads.late))
    return Row(
        what,
        percentiles(reads.delays),
        cpu,
        limit=f"target: p99 {_TARGET_S * 1000:.0f} ms",
        ratio=f"{p99 / _TARGET_S:.2f}",
        note=f"{note}. The load generator was late itself by up to {late * 1000:.1f} ms (p99), "
        "which counts.",
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

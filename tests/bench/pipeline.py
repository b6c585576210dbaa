"""The whole pipeline under steady load: the highest rate it keeps up with, and its latencies.

Everything runs, the load generator included. A rate is kept up with when, over the last part
of a step, what waits before the stages grows by less than 3 % of the rate. Latency counts
from the instant at which an event was meant to be sent over HTTP, to its profile's record on
``profile.changes``, and to the mail for entering a segment at the mail server. It is taken of
people whose only event it is, so that no other event's record can be mistaken for it.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from time import monotonic, time

import httpx
import msgspec
import psutil
from aiokafka import AIOKafkaConsumer, TopicPartition

from deploy.demo.addresses import MAIL
from deploy.demo.environment import WRITE_KEY
from schemas.topics import PROFILE_CHANGES
from tests.bench import load
from tests.bench.client import Pool, request
from tests.bench.complete import Complete, complete
from tests.bench.cpu import spent
from tests.bench.progress import Steps
from tests.bench.report import Report, Row, Run, percentiles, shares
from tests.bench.world import World

_CORES = psutil.cpu_count() or 1
_PERIOD_S = 0.02
_CONNECTIONS = 16
_GROWTH = 0.03
_FACTOR, _WIDE = 1.2, 1.4
_FIRST = 1_000
_USABLE = 0.8
"""Of the machine: the first rate to try is what its CPU would give, by this much."""
_NEWCOMERS = 0.02
_MAILS_S = 4.0
_LATENCY_S = (35.0, 15.0)
"""What one measurement of latencies takes: in full, quick."""


class _Cause(msgspec.Struct):
    message_id: str


class _Changed(msgspec.Struct):
    cause: _Cause


_decode = msgspec.json.Decoder(_Changed).decode


class Load:
    """Events at a fixed rate; each step has message ids of its own."""

    def __init__(self, system: Complete) -> None:
        self._system = system
        self._steps = 0
        self.tag = ""

    async def send(self, rate: float, seconds: float, newcomers: float) -> tuple[int, list[float]]:
        """(Events in each request, the instant at which each was meant to be sent.)"""
        size, requests = self.prepare(rate, seconds, newcomers)
        return size, await self.pace(requests, size / rate)

    async def pace(self, requests: Sequence[bytes], period: float) -> list[float]:
        """Send one request every ``period`` seconds; when each was meant to be sent."""
        async with Pool(self._system.ingest, _CONNECTIONS) as pool:
            return await pool.pace(requests, period)

    def prepare(self, rate: float, seconds: float, newcomers: float) -> tuple[int, list[bytes]]:
        """(Events in each request, the requests of a step.) It takes a while."""
        self._steps += 1
        tag = load.run_tag(self._steps)
        self.tag = tag.decode()
        texts = load.texts(int(rate * seconds), seed=self._steps, newcomers=newcomers)
        size = max(1, round(rate * _PERIOD_S))
        return size, [
            request("/v1/batch", body.replace(load.RUN.encode(), tag), WRITE_KEY)
            for body in load.batches(texts, size)
        ]


async def bench(world: World, report: Report, steps: Steps) -> None:
    """Sustained rate, then latency at half of it and at 100 events/s."""
    steps.say("whole pipeline: starting everything")
    async with complete(world, "live") as system:
        sender = Load(system)
        best, failed = await _sustained(system, sender, steps)
        report.add("The whole pipeline, load generator included", _row(best, failed))
        for rate, newcomers in ((best.rate / 2, 0.05), (100.0, 0.1)):
            steps.say(f"latency at {rate:,.0f} events/s")
            await system.drained()
            rows = await _latency(system, sender, (rate, newcomers))
            report.add("Latency", *rows)


def _row(best: Run, failed: float) -> Row:
    above = f"; fell behind at {failed:,.0f}/s" if failed else ""
    return Row(
        "ingest to mail, sustained",
        f"{best.rate:,.0f}/s",
        f"{best.cost():.0f} in all",
        limit=f"CPU: {_CORES} cores are {_CORES * 1e6 / best.cost():,.0f}/s at this cost",
        ratio=f"{sum(best.cpu.values()) / best.seconds / _CORES:.2f}",
        note=f"{shares(best)}{above}. Steps of {best.seconds:.0f} s.",
    )


async def _sustained(system: Complete, sender: Load, steps: Steps) -> tuple[Run, float]:
    """(The run at the highest rate that was kept up with, the rate that was not, or 0.)"""
    seconds = 6.0 if system.world.quick else 20.0
    steps.say(f"whole pipeline: warming at {_FIRST:,}/s")
    run, rate = await warm(system, sender)
    best, failed = run, 0.0
    while not steps.late(_LATENCY_S[system.world.quick] * 2 + seconds):
        steps.say(f"whole pipeline: {rate:,.0f}/s for {seconds:.0f} s")
        run, kept_up = await _step(system, sender, rate, seconds)
        if kept_up:
            best = run
            if failed:
                break
            rate *= _FACTOR
        else:
            failed = rate
            await system.drained()
            if best.rate > _FIRST * 1.05:
                break
            rate /= _FACTOR
    return best, failed


async def warm(system: Complete, sender: Load) -> tuple[Run, float]:
    """(A first run, the rate that the machine's CPU would give by what an event cost in it.)"""
    run, _ = await _step(system, sender, _FIRST, 8.0)
    return run, max(_FIRST, _USABLE * _CORES * 1e6 / run.cost())


async def busiest(system: Complete, sender: Load) -> float:
    """A rate that is kept up with, while two fifths more is not.

    What an event costs at a lower rate does not tell it: the more there are, the less each costs.
    """
    rate, kept_up = (await warm(system, sender))[1], True
    while kept_up:
        rate *= _WIDE
        _, kept_up = await _step(system, sender, rate, 15.0)
    return rate / _WIDE


async def _step(system: Complete, sender: Load, rate: float, seconds: float) -> tuple[Run, bool]:
    """One rate for some seconds; the run, and whether the pipeline kept up."""
    meter = system.meter()
    looks: list[tuple[float, int]] = []

    async def look() -> None:
        while True:
            looks.append((monotonic(), await system.lag()))
            await asyncio.sleep(0.5)

    looking = asyncio.ensure_future(look())
    before, started = meter.read(), monotonic()
    _, intended = await sender.send(rate, seconds, _NEWCOMERS)
    took = monotonic() - started
    used = spent(before, meter.read())
    looking.cancel()
    await asyncio.gather(looking, return_exceptions=True)
    run = Run(int(rate * seconds), took, used)
    late = time() - intended[-1]
    return run, late < 1.5 and _growth(looks) < _GROWTH * rate


def _growth(looks: Sequence[tuple[float, int]]) -> float:
    """Records a second by which what waits has grown over the last two thirds (least squares)."""
    settled = looks[len(looks) // 3 :]
    if len(settled) < 3:
        return 0.0
    at = sum(when for when, _ in settled) / len(settled)
    mean = sum(lag for _, lag in settled) / len(settled)
    spread = sum((when - at) ** 2 for when, _ in settled)
    return sum((when - at) * (lag - mean) for when, lag in settled) / spread


# -- latency --------------------------------------------------------------------------------------


async def _latency(system: Complete, sender: Load, what: tuple[float, float]) -> list[Row]:
    rate, newcomers = what
    seconds = 6.0 if system.world.quick else 25.0
    async with _watching(system) as seen:
        size, intended = await sender.send(rate, seconds, newcomers)
        await system.drained()
        await asyncio.sleep(_MAILS_S)
    mails = await _mails(system, sender.tag)
    rows = []
    for name, found in (("profile.changes", seen), ("the mail", mails)):
        times = [
            at - intended[number // size]
            for tag, number, at in found
            if tag == sender.tag and number // size < len(intended)
        ]
        figure = percentiles(times)
        rows.append(Row(f"HTTP to {name}, {rate:,.0f} events/s", figure))
    return rows


@asynccontextmanager
async def _watching(system: Complete) -> AsyncIterator[list[tuple[str, int, float]]]:
    """Collects (run, number, instant) of the events behind first versions of profiles."""
    name = system.supervisor.settings.topic(PROFILE_CHANGES.name)
    partitions = [TopicPartition(name, n) for n in range(PROFILE_CHANGES.partitions)]
    consumer = AIOKafkaConsumer(bootstrap_servers=system.supervisor.settings.kafka_url)
    await consumer.start()
    consumer.assign(partitions)
    await consumer.seek_to_end(*partitions)
    seen: list[tuple[str, int, float]] = []

    async def read() -> None:
        while True:
            batches = await consumer.getmany(timeout_ms=1_000)
            now = time()
            for records in batches.values():
                for record in records:
                    if dict(record.headers)["ce_id"].endswith(b"/1"):
                        seen.append((*_number(_decode(record.value).cause.message_id), now))

    reading = asyncio.ensure_future(read())
    try:
        yield seen
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        await consumer.stop()


async def _mails(system: Complete, tag: str) -> list[tuple[str, int, float]]:
    """The same of the mails to those who signed up in this run, the latest first."""
    found: list[tuple[str, int, float]] = []
    url = system.supervisor.url(MAIL) + "/messages"
    cursor: str | None = ""
    async with httpx.AsyncClient(timeout=20.0, trust_env=False) as client:
        while cursor is not None:
            query = {"limit": "1000"} | ({"cursor": cursor} if cursor else {})
            page = (await client.get(url, params=query)).raise_for_status().json()
            for mail in page["items"]:
                name, _, domain = mail["to"].partition("@")
                if domain == "new.example":
                    at = datetime.fromisoformat(mail["received_at"]).timestamp()
                    found.append((*_number(name), at))
            older = page["items"] and not any(tag in mail["to"] for mail in page["items"])
            cursor = None if older else page["next"]
    return found


def _number(message_id: str) -> tuple[str, int]:
    """The run and the place in it of an event of ours."""
    tag, _, number = message_id.partition("-")
    return (tag, int(number)) if number.isdecimal() else (tag, 0)

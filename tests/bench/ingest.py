"""Ingest over HTTP, answered after acks=all, beside a bare endpoint and a bare producer."""

import asyncio
import json
import os
from collections.abc import Sequence
from statistics import median
from time import monotonic

import msgspec

from deploy.demo.environment import SOURCE, WRITE_KEY
from deploy.local.ports import free_port
from deploy.local.processes import Process, wait_until
from schemas.topics import BY_NAME
from services.runtime.keys import digest
from tests.bench import load
from tests.bench.client import Connection, Pool, request
from tests.bench.cpu import Meter, spent
from tests.bench.limits import HttpLimit, ProducerLimit
from tests.bench.progress import Steps
from tests.bench.report import Report, Row, Run, paired, percentiles, shares
from tests.bench.stages import EVENT_TOPICS, accepted, fill
from tests.bench.world import Namespace, World

_CONNECTIONS = {100: 32, 1: 128}
"""By events a request."""
_PROCESSES = 2
"""As many as the machine has cores, though the broker and the load use some of them."""
_WARM_S = 1.0
_ROLES = ("server", "broker", "load")
NOTE = "Two processes of ingest; one alone would end at one core"


async def bench(world: World, report: Report, steps: Steps) -> None:
    """Batches of 100, then single events."""
    seconds = 2.0 if world.quick else 4.0
    texts = [text for text in load.texts(20_000) if '"no-' not in text]
    texts = [text.replace(load.RUN, load.run_tag(0).decode()) for text in texts]
    batches = [request("/v1/batch", body, WRITE_KEY) for body in load.batches(texts, 100)]
    single = [request("/v1/track", text.encode(), WRITE_KEY) for text in texts if "track" in text]
    async with Namespace(world, "ingest") as space, Namespace(world, "sent") as sent:
        await fill(sent, accepted(20_000))
        env = {
            "REGULARS_WRITE_KEYS": json.dumps({digest(WRITE_KEY): SOURCE}),
            "REGULARS_INGEST_PROCESSES": str(_PROCESSES),
        }
        ours = space.api("ingest", env)
        bare = await _bare(space)
        batched: list[tuple[Run, Run]] = []
        produced: list[tuple[Run, Run]] = []
        singly: list[tuple[Run, Run]] = []
        for number in range(world.pairs):
            if number and steps.late():
                break
            steps.say(f"ingest, pair {number + 1} of {world.pairs}")
            run = await _flood(space, ours, batches, 100, seconds)
            batched.append((run, await _flood(space, bare, batches, 100, seconds)))
            produced.append((run, await _produced(space, sent, seconds)))
            run = await _flood(space, ours, single, 1, seconds)
            singly.append((run, await _flood(space, bare, single, 1, seconds)))
        steps.say("ingest, at half of its rate")
        halves = [
            await _half(space, ours, batches, batched),
            await _half(space, ours, single, singly),
        ]
    endpoint = "bare Granian + msgspec"
    rows = [
        paired(batched, "ingest, batches of 100", endpoint, _ROLES),
        paired(produced, "the same", "bare aiokafka producer", _ROLES),
        paired(singly, "ingest, single events", endpoint, _ROLES),
    ]
    notes = (f"{shares(batched[-1][0])}. {NOTE}", "", shares(singly[-1][0]))
    noted = [
        Row(row.name, row.figure, row.cpu, row.limit, row.ratio, note)
        for row, note in zip(rows, notes, strict=True)
    ]
    report.add("Ingest over HTTP (CPU: server / broker / load)", *noted)
    report.add("Ingest at half of that", *halves)


async def _bare(space: Namespace) -> tuple[Process, int]:
    port = free_port()
    process = space.limit("http", msgspec.to_builtins(HttpLimit(port)))
    while True:
        try:
            (await Connection.open(port)).close()
        except OSError:
            await asyncio.sleep(0.05)
        else:
            return process, port


async def _flood(
    space: Namespace,
    server: tuple[Process, int],
    requests: Sequence[bytes],
    events: int,
    seconds: float,
) -> Run:
    process, port = server
    meter = _meter(space, process)
    async with Pool(port, _CONNECTIONS[events]) as pool:
        await pool.flood(requests, _WARM_S)
        before, started = meter.read(), monotonic()
        done = await pool.flood(requests, seconds)
        return Run(done * events, monotonic() - started, spent(before, meter.read()))


async def _half(
    space: Namespace,
    server: tuple[Process, int],
    requests: Sequence[bytes],
    flooded: Sequence[tuple[Run, Run]],
) -> Row:
    """Latency at half of the rate that was measured, and what memory does meanwhile."""
    process, port = server
    events = 100 if requests[0].startswith(b"POST /v1/batch") else 1
    rate = median(run.rate for run, _ in flooded) / 2
    meter = _meter(space, process)
    async with Pool(port, _CONNECTIONS[events]) as pool:
        await pool.delays(requests, rate / events, _WARM_S)
        before = meter.memory()["server"]
        delays = await pool.delays(requests, rate / events, 3.0 if space.world.quick else 20.0)
        after = meter.memory()["server"]
    name = "ingest, batches of 100" if events > 1 else "ingest, single events"
    note = (
        f"memory {before / 1e6:.0f} MB before and {after / 1e6:.0f} MB after "
        f"{len(delays) * events:,} events, all processes"
    )
    return Row(f"{name}, {rate:,.0f} events/s", percentiles(delays), note=note)


def _meter(space: Namespace, process: Process) -> Meter:
    return Meter(
        {"server": process.pid, "broker": space.world.servers["broker"], "load": os.getpid()}
    )


async def _produced(space: Namespace, sent: Namespace, seconds: float) -> Run:
    """The producer by itself; it is both server and load."""
    given = ProducerLimit(
        kafka_url=space.settings.kafka_url,
        inputs={sent.settings.topic(name): BY_NAME[name].partitions for name in EVENT_TOPICS},
        outputs={sent.settings.topic(name): space.settings.topic(name) for name in EVENT_TOPICS},
        batch=500,
    )
    process = space.limit("producer", msgspec.to_builtins(given))
    meter = _meter(space, process)

    def count() -> int:
        lines = process.tail(1)
        return int(lines) if lines.isdecimal() else 0

    await asyncio.to_thread(wait_until, lambda: count() > 0, 60)
    await asyncio.sleep(_WARM_S)
    first, before, started = count(), meter.read(), monotonic()
    await asyncio.sleep(seconds)
    run = Run(count() - first, monotonic() - started, spent(before, meter.read()))
    process.kill()
    return run

"""The whole stack with nothing to do: its memory, and who still uses the processor."""

import asyncio
from time import monotonic

from tests.bench.complete import Complete, complete
from tests.bench.cpu import spent
from tests.bench.progress import Steps
from tests.bench.report import Report, Row
from tests.bench.world import World

_SETTLE_S = (100.0, 6.0)
"""Until the broker's compiler is done with what has run at the start: in full, quick. After 20 s
it still takes a whole per cent of a core, after 100 s a fifth of that."""
_MOST_BYTES, _MOST_CPU = 2.5e9, 0.05


async def bench(world: World, report: Report, steps: Steps) -> None:
    """Started, segments and campaigns defined, and left alone."""
    steps.say("idle: starting everything")
    async with complete(world, "idle") as system:
        await asyncio.sleep(_SETTLE_S[world.quick])
        seconds = 8.0 if world.quick else 30.0
        steps.say(f"idle: watching for {seconds:.0f} s")
        report.add("Idle", *await measure(system, seconds))


async def measure(system: Complete, seconds: float) -> list[Row]:
    """Memory and CPU of everything, then of those that use most."""
    meter = system.meter(load=False)
    before, started = meter.read(), monotonic()
    await asyncio.sleep(seconds)
    used, took = spent(before, meter.read()), monotonic() - started
    memory = meter.memory()
    cores = {name: seconds / took for name, seconds in used.items()}
    total, cpu = sum(memory.values()), sum(cores.values())
    whole = Row(
        f"everything ({len(memory)} processes)",
        f"{total / 1e9:.2f} GB, {cpu:.1%} of a core",
        limit=f"targets: {_MOST_BYTES / 1e9:.1f} GB, {_MOST_CPU:.0%}",
        ratio=f"{total / _MOST_BYTES:.2f}, {cpu / _MOST_CPU:.1f}",
        note="Proportional set sizes, so that what processes share counts once. "
        + ", ".join(
            f"{name} {memory[name] / 1e6:.0f} MB {cores[name]:.1%}"
            for name in sorted(memory, key=lambda name: -cores[name])
        ),
    )
    return [whole]

"""The live part of the demo: a marketer defines, the shop opens, people read their mails."""

import asyncio
from collections import Counter
from dataclasses import dataclass
from time import monotonic, time

from rich.console import Console
from rich.status import Status

from deploy.demo import marketing
from deploy.demo.pipeline import Pipeline
from deploy.demo.recipients import read_mails
from deploy.demo.sending import Sender
from deploy.demo.shop import keep_open
from services.runtime.settings import Settings

_LOOK_S = 1.0


@dataclass(frozen=True)
class Addresses:
    """Where the live part sends to and asks."""

    ingest: str
    segmentation: str
    notifier: str
    mail: str
    settings: Settings


async def open_shop(where: Addresses, rate: float, console: Console) -> None:
    """Define segments and campaigns, then send until cancelled."""
    started = monotonic()
    await marketing.define(where.segmentation, where.notifier)
    async with Pipeline(where.settings) as pipeline:
        with console.status("The new segments are computed over everybody") as status:
            await pipeline.quiet(lambda look: status.update(f"Segments: {look.due} sweeps to go"))
        console.print(
            f"{len(marketing.SEGMENTS)} segments and {len(marketing.CAMPAIGNS)} campaigns are "
            f"defined and computed for everybody ({monotonic() - started:.0f} s)."
        )
        seen: Counter[str] = Counter()
        seed = f"{int(time()):x}"
        console.print(f"The shop is open: about {rate:g} events a second. Ctrl-C ends everything.")
        with console.status("") as status:
            async with Sender(where.ingest) as sender, asyncio.TaskGroup() as tasks:
                opening = keep_open(sender, seed, rate, lambda sent: seen.update(events=sent))
                tasks.create_task(opening)
                reading = read_mails(where.mail, sender, lambda new: seen.update(mails=new))
                tasks.create_task(reading)
                tasks.create_task(_say(pipeline, seen, status))


async def _say(pipeline: Pipeline, seen: Counter[str], status: Status) -> None:
    """Keep the line at the bottom true."""
    while True:
        look = await pipeline.look()
        waiting = sum(look.lags.values())
        status.update(
            f"{seen['events']:,} events sent, {seen['mails']:,} mails arrived, "
            f"{waiting:,} records wait"
        )
        await asyncio.sleep(_LOOK_S)

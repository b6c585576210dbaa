"""The live part of the demo: a marketer defines, the shop opens, people read their mails."""

import asyncio
from collections import Counter
from time import monotonic, time

from rich.console import Console
from rich.status import Status

from deploy.demo import marketing
from deploy.demo.addresses import MAIL
from deploy.demo.pipeline import Pipeline
from deploy.demo.recipients import read_mails
from deploy.demo.sending import Sender
from deploy.demo.shop import keep_open
from deploy.demo.supervisor import Supervisor
from deploy.local.errors import StackError

_LOOK_S = 1.0


async def open_shop(regulars: Supervisor, rate: float, console: Console) -> None:
    """Define segments and campaigns, then send until cancelled."""
    started = monotonic()
    await marketing.define(regulars.url("segmentation"), regulars.url("notifier"))
    async with Pipeline(regulars.settings) as pipeline:
        with console.status("The new segments are computed over everybody") as status:
            await pipeline.quiet(lambda look: status.update(f"Segments: {look.due} sweeps to go"))
            await marketing.evaluated(regulars.url("segmentation"), status.update)
        console.print(
            f"{len(marketing.SEGMENTS)} segments and {len(marketing.CAMPAIGNS)} campaigns are "
            f"defined and computed for everybody ({monotonic() - started:.0f} s)."
        )
        console.print(f"The shop is open: about {rate:g} events a second. Ctrl-C ends everything.")
        with console.status("") as status:
            try:
                await _trade(regulars, rate, pipeline, status)
            except* StackError as errors:
                raise _first(errors) from None


async def _trade(regulars: Supervisor, rate: float, pipeline: Pipeline, status: Status) -> None:
    """Customers, mails and the line at the bottom, side by side."""
    seen: Counter[str] = Counter()
    # Message ids begin with the seed: another run's must not be taken for repetitions.
    seed = f"{int(time()):x}"
    async with Sender(regulars.url("ingest")) as sender, asyncio.TaskGroup() as tasks:
        tasks.create_task(keep_open(sender, seed, rate, lambda sent: seen.update(events=sent)))
        tasks.create_task(
            read_mails(regulars.url(MAIL), sender, lambda new: seen.update(mails=new))
        )
        tasks.create_task(_say(pipeline, seen, status))


async def _say(pipeline: Pipeline, seen: Counter[str], status: Status) -> None:
    """Keep the line at the bottom true."""
    async for look in pipeline.looks(_LOOK_S):
        waiting = sum(look.lags.values())
        status.update(
            f"{seen['events']:,} events sent, {seen['mails']:,} mails arrived, "
            f"{waiting:,} records wait"
        )


def _first(error: BaseException) -> BaseException:
    """The first error of a group of groups."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error

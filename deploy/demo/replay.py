"""Replays the CDNOW purchase log through ingest, and checks the reports against its totals."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from time import monotonic

import httpx
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table
from rich.text import Text

from deploy.demo import cdnow
from deploy.demo.environment import READER
from deploy.demo.pipeline import Look, Pipeline
from deploy.demo.sending import Sender
from deploy.local.errors import StackError
from services.runtime.settings import Settings

BATCH = 250
CONNECTIONS = 4
_LOOK_S = 0.5


@dataclass(frozen=True)
class Addresses:
    """Where the replay sends to and asks."""

    ingest: str
    reporting: str
    settings: Settings


async def replay(where: Addresses, console: Console) -> bool:
    """Send everything, wait until all of it is counted, show the table; True if all is right.

    A second time nothing changes: every event carries the same messageId again.
    """
    purchases = cdnow.read()
    batches = list(cdnow.batches(purchases, BATCH))
    events = sum(map(len, batches))
    started = monotonic()
    console.print(
        f"Replaying {len(purchases):,} CDNOW purchases of {cdnow.KNOWN.customers:,} customers."
    )
    with _progress(console) as progress:
        sent = progress.add_task("sent", total=events, lags="")
        async with Pipeline(where.settings) as pipeline, Sender(where.ingest, CONNECTIONS) as out:
            watching = asyncio.create_task(_watch(pipeline, progress, sent))
            queue = iter(batches)

            async def feed() -> None:
                for batch in queue:
                    await out.send(batch)
                    progress.update(sent, advance=len(batch))

            try:
                await asyncio.gather(*(feed() for _ in range(CONNECTIONS)))
            finally:
                watching.cancel()
                await asyncio.gather(watching, return_exceptions=True)
            took = monotonic() - started
            await pipeline.quiet(lambda look: progress.update(sent, lags=_lags(look)))
    console.print(
        f"{events:,} events accepted in {took:.1f} s ({events / took:,.0f}/s), "
        f"through all stages after {monotonic() - started:.1f} s."
    )
    return show(cdnow.totals(purchases), await reported(where.reporting), console)


async def reported(url: str) -> cdnow.Totals:
    """What the reporting API answers for the days of the log."""
    span = {"from": cdnow.FIRST_DAY.isoformat(), "to": cdnow.LAST_DAY.isoformat()}
    headers = {"Authorization": f"Bearer {READER}"}
    async with httpx.AsyncClient(base_url=url, headers=headers, trust_env=False) as client:
        try:
            response = await client.get("/v1/summary", params=span)
            response.raise_for_status()
        except httpx.HTTPError as error:
            raise StackError(f"reporting at {url} does not answer: {error}") from error
    said = response.json()
    dollars = (Decimal(sum_["amount"]) for sum_ in said["revenue"] if sum_["currency"] == "USD")
    return cdnow.Totals(said["customers"], said["orders"], sum(dollars, Decimal(0)))


def show(sent: cdnow.Totals, reported: cdnow.Totals, console: Console) -> bool:
    """Print what is known beside what is reported; True when all three agree."""
    table = Table(title="CDNOW, January 1997 to June 1998", title_justify="left")
    table.add_column("")
    for heading in ("known", "sent", "reporting API"):
        table.add_column(heading, justify="right")
    table.add_column("")
    known = _shown(cdnow.KNOWN)
    for name, value in known.items():
        row = (value, _shown(sent)[name], _shown(reported)[name])
        same = len(set(row)) == 1
        table.add_row(name, *row, "[green]equal" if same else "[red]different")
    console.print(table)
    right = cdnow.KNOWN == sent == reported
    if not right:
        console.print("[red]The reports differ from what is known.")
    return right


def _shown(totals: cdnow.Totals) -> Mapping[str, str]:
    return {
        "customers": f"{totals.customers:,}",
        "orders": f"{totals.orders:,}",
        "revenue": f"${totals.revenue:,.2f}",
    }


async def _watch(pipeline: Pipeline, progress: Progress, task: TaskID) -> None:
    async for look in pipeline.looks(_LOOK_S):
        progress.update(task, lags=_lags(look))


def _lags(look: Look) -> str:
    """What waits before each stage."""
    return "   ".join(f"{stage} [bold]{lag:,}[/]" for stage, lag in look.lags.items())


class _Rate(ProgressColumn):
    """Events accepted a second."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.finished_speed or task.speed or 0:,.0f}/s", style="progress.data.speed")


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        _Rate(),
        TimeElapsedColumn(),
        TextColumn("waiting: {task.fields[lags]}"),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )

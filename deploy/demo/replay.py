"""Replays the CDNOW purchase log through ingest, and checks the reports against its totals."""

import asyncio
from collections.abc import Iterable, Mapping
from decimal import Decimal
from time import monotonic

import httpx
from rich.console import Console
from rich.table import Table

from deploy.demo import cdnow
from deploy.demo.board import Board
from deploy.demo.environment import READER
from deploy.demo.pipeline import Pipeline
from deploy.demo.sending import Sender
from deploy.demo.supervisor import Supervisor
from deploy.local.errors import StackError

BATCH = 250
CONNECTIONS = 4
_LOOK_S = 0.5


async def replay(regulars: Supervisor, console: Console) -> bool:
    """Send everything, wait until all of it is counted, show the table; True if all is right.

    A second time nothing changes: every event carries the same messageId again.
    """
    purchases = cdnow.read()
    batches = list(cdnow.batches(purchases, BATCH))
    events = sum(map(len, batches))
    console.print(
        f"Replaying {len(purchases):,} CDNOW purchases of {cdnow.KNOWN.customers:,} customers."
    )
    started = monotonic()
    board = Board(events)
    with board.on(console):
        async with Pipeline(regulars.settings) as pipeline:
            watching = asyncio.create_task(_watch(pipeline, board))
            try:
                await _send(batches, regulars.url("ingest"), board)
            finally:
                watching.cancel()
                await asyncio.gather(watching, return_exceptions=True)
            took = monotonic() - started
            await pipeline.quiet(board.show)
    console.print(
        f"{events:,} events accepted in {took:.1f} s ({events / took:,.0f}/s), "
        f"through all stages after {monotonic() - started:.1f} s."
    )
    return compare(cdnow.totals(purchases), await reported(regulars.url("reporting")), console)


async def _send(batches: Iterable[list[cdnow.Event]], url: str, board: Board) -> None:
    """Over several connections at once: no customer is in two batches."""
    queue = iter(batches)

    async def feed(sender: Sender) -> None:
        for batch in queue:
            await sender.send(batch)
            board.sent(len(batch))

    async with Sender(url, CONNECTIONS) as sender:
        await asyncio.gather(*(feed(sender) for _ in range(CONNECTIONS)))


async def _watch(pipeline: Pipeline, board: Board) -> None:
    async for look in pipeline.looks(_LOOK_S):
        board.show(look)


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


def compare(sent: cdnow.Totals, reported: cdnow.Totals, console: Console) -> bool:
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

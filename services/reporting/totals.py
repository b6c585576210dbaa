"""Totals for the API: a range of days, and the business gauges of /metrics."""

import asyncio
from typing import Any

import structlog

from services.reporting.model import Range
from services.reporting.rules import customers, revenue, summary
from services.reporting.store import Reports
from services.runtime import metrics
from services.runtime.mongo import PyMongoError

log = structlog.get_logger()

AMOUNTS = ("revenue", "refunds", "cancellations", "net_revenue")


async def totals(reports: Reports, asked: Range) -> dict[str, Any]:
    """The members of ``answers.Summary``; of all time when ``asked`` has no bounds."""
    sales, people, fresh_at = await asyncio.gather(
        reports.read(revenue.TABLE, asked, by_period=False),
        reports.read(customers.TABLE, asked, by_period=False),
        reports.fresh_at([revenue.TABLE.topic]),
    )
    return {**summary.summary(sales, people), "fresh_at": fresh_at}


async def refresh(reports: Reports, seconds: float) -> None:
    """Keep the business gauges at what the tables say, until cancelled.

    They are read from the tables and not counted up in a worker, so that they are exact
    and stay so over restarts, merges, refunds and erasures.
    """
    while True:
        try:
            gauge(await totals(reports, Range()))
        except PyMongoError as error:
            log.warning("gauges not refreshed", error=type(error).__name__)
        await asyncio.sleep(seconds)


def gauge(total: dict[str, Any]) -> None:
    """Set the gauges. Prometheus knows only floats: for exact money ask the API."""
    metrics.REPORT_PEOPLE.set(total["people"])
    metrics.REPORT_CUSTOMERS.set(total["customers"])
    metrics.REPORT_ORDERS.set(total["orders"])
    metrics.REPORT_CANCELLED_ORDERS.set(total["cancelled_orders"])
    metrics.REPORT_MONEY.clear()  # a currency may be gone again
    for kind in AMOUNTS:
        for money in total[kind]:
            metrics.REPORT_MONEY.labels(kind, money["currency"]).set(float(money["amount"]))
    if total["fresh_at"] is not None:
        metrics.REPORT_FRESH.set(total["fresh_at"].timestamp())

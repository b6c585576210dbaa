"""The HTTP API of reporting: tables as JSON or CSV, totals, and the present hour."""

import asyncio
import csv
import io
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, FastAPI, Header, Query, Request, Response

from services.reporting.answers import ColumnInfo, Live, Summary, TableInfo, TableRows
from services.reporting.model import Range, Table
from services.reporting.rules import activity, revenue, summary, tables
from services.reporting.rules.money import day
from services.reporting.rules.shown import BadPeriod, bound, csv_cell, oldest, shown
from services.reporting.settings import ReportingSettings
from services.reporting.store import Reports
from services.reporting.totals import refresh, totals
from services.runtime.http import Page, Problem, create_api, require
from services.runtime.mongo import Client, connect, silent

MAX_ROWS = 50_000

Bound = Annotated[
    str | None,
    Query(examples=["2026-01-31"], description="A UTC day or an RFC 3339 instant; included."),
]
From = Annotated[
    str | None,
    Query(
        alias="from",
        examples=["2026-01-01"],
        description="A UTC day or an RFC 3339 instant; included.",
    ),
]
Currency = Annotated[
    str | None, Query(pattern="^[A-Za-z]{3}$", description="ISO 4217; all when left out.")
]
Limit = Annotated[
    int, Query(ge=1, le=MAX_ROWS, description="At most so many rows: the latest, or the top ones.")
]
Format = Annotated[
    Literal["json", "csv"] | None, Query(description="Else by the Accept header, else JSON.")
]
Clock = Callable[[], datetime]


def create_app(settings: ReportingSettings | None = None) -> FastAPI:
    """The API, which reads the database that the worker writes."""
    settings = settings or ReportingSettings()
    clients = list[Client]()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        client = connect(settings)
        clients[:] = [client]
        reports = app.state.reports = Reports(client[settings.database("reporting")])
        refreshing = asyncio.create_task(refresh(reports, settings.reporting_gauge_seconds))
        try:
            yield
        finally:
            refreshing.cancel()
            with suppress(asyncio.CancelledError):
                await refreshing
            client.close()

    async def ready() -> str | None:
        return await silent(clients[0])

    app = create_api(
        name="reporting",
        summary="Report tables, exact to the cent, current within a second.",
        settings=settings,
        lifespan=lifespan,
        ready=ready,
    )
    app.include_router(routes())
    return app


def routes(clock: Clock = lambda: datetime.now(UTC)) -> APIRouter:
    """The routes under /v1; every role may read."""
    router = APIRouter(prefix="/v1", tags=["reports"], dependencies=[require("reader")])

    @router.get("/tables", summary="Which tables are there?")
    async def list_tables() -> Page[TableInfo]:
        return Page(items=[_info(table) for table in tables.ALL])

    @router.get(
        "/tables/{name}",
        summary="The rows of a table",
        response_model=TableRows,
        responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}}},
    )
    async def show_table(  # one argument a query parameter
        request: Request,
        name: str,
        start: From = None,
        to: Bound = None,
        currency: Currency = None,
        limit: Limit = 1_000,
        format: Format = None,
        accept: Annotated[str, Header(include_in_schema=False)] = "",
    ) -> Any:
        """Rows of the asked days (or minutes), oldest first, or the top ones first.

        CSV has a header line with the columns' names and tells `fresh_at` and `truncated` in
        the headers `Fresh-At` and `Truncated`. Text that a spreadsheet would take for a
        formula gets an apostrophe in front.
        """
        table = tables.BY_NAME.get(name)
        if table is None:
            raise Problem(404, "Not Found", "There is no table of this name: see /v1/tables.")
        asked = _asked(table, start, to, clock())
        asked = replace(asked, currency=_currency(table, currency), limit=limit)
        answer = await _answer(request.app.state.reports, table, asked)
        if format == "csv" or (format is None and "text/csv" in accept):
            return _csv(table, answer)
        return answer

    @router.get("/summary", summary="Totals of a range of days, or of all time")
    async def show_summary(
        request: Request,
        start: From = None,
        to: Bound = None,
    ) -> Summary:
        asked = _asked(revenue.TABLE, start, to, clock())
        return Summary(**await totals(request.app.state.reports, asked))

    @router.get("/live", summary="The last 60 minutes, and today")
    async def show_live(request: Request) -> Live:
        reports: Reports = request.app.state.reports
        now = clock()
        hour = Range(start=summary.since(now), limit=MAX_ROWS)
        seen = await reports.read(activity.BY_MINUTE, hour)
        today = await totals(reports, Range(start=day(now), end=day(now)))
        return Live(
            **summary.live(seen, now),
            orders_today=today["orders"],
            revenue_today=today["revenue"],
            new_people_today=today["people"],
            new_customers_today=today["customers"],
            fresh_at=await reports.fresh_at(["profile.interactions", "profile.changes"]),
        )

    return router


def _info(table: Table[Any]) -> TableInfo:
    return TableInfo(
        name=table.name,
        title=table.title,
        description=table.description,
        topic=table.topic,
        columns=[ColumnInfo(**asdict(column)) for column in table.columns],
        keeps_hours=table.keep_hours,
    )


def _asked(table: Table[Any], start: str | None, to: str | None, now: datetime) -> Range:
    """The asked range in the table's periods; 422 naming the parameter that does not fit."""
    bounds: dict[str, str | None] = {}
    for name, value in (("from", start), ("to", to)):
        try:
            bounds[name] = None if value is None else bound(value, table, end=name == "to")
        except BadPeriod:
            detail = "A date (2026-01-31) or an instant with an offset (2026-01-31T10:05:00Z)."
            raise _unfit(name, detail, "bad_period") from None
    first, last = bounds["from"], bounds["to"]
    if first is not None and last is not None and first > last:
        raise _unfit("to", "It lies before `from`.", "empty_range")
    kept = oldest(table, now)
    return Range(start=max(first or "", kept) if kept else first, end=last)


def _currency(table: Table[Any], currency: str | None) -> str | None:
    if currency is not None and not any(column.name == "currency" for column in table.keys):
        raise _unfit("currency", f"{table.name} holds no money.", "no_currency")
    return currency and currency.upper()


def _unfit(name: str, detail: str, code: str) -> Problem:
    errors = [{"at": f"query.{name}", "detail": detail, "code": code}]
    return Problem(
        422, "Unprocessable Content", f"`{name}` does not fit. {detail}", extra={"errors": errors}
    )


async def _answer(reports: Reports, table: Table[Any], asked: Range) -> TableRows:
    more = replace(asked, limit=asked.limit + 1)
    rows = shown(table, await reports.read(table, more), asked)
    kept = rows[-asked.limit :] if table.by_period else rows[: asked.limit]
    return TableRows(
        columns=_info(table).columns,
        rows=kept,
        truncated=len(rows) > len(kept),
        fresh_at=await reports.fresh_at([table.topic]),
    )


def _csv(table: Table[Any], answer: TableRows) -> Response:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")  # RFC 4180
    writer.writerow(column.name for column in table.columns)
    for row in answer.rows:
        writer.writerow(csv_cell(column.unit, row[column.name]) for column in table.columns)
    headers = {
        "Content-Disposition": f'attachment; filename="{table.name}.csv"',
        "Truncated": str(answer.truncated).lower(),
    }
    if answer.fresh_at is not None:
        headers["Fresh-At"] = answer.fresh_at.isoformat().replace("+00:00", "Z")
    return Response(text.getvalue(), media_type="text/csv", headers=headers)

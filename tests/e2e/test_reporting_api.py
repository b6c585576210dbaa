"""The reporting API on a real MongoDB: what a client sees of the tables."""

import csv
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio
from prometheus_client import REGISTRY

from schemas.messages import Order, Refund
from services.reporting.api import create_app
from services.reporting.handler import ReportingHandler
from services.reporting.model import Range
from services.reporting.settings import ReportingSettings
from services.reporting.store import Reports, Tables
from services.reporting.totals import gauge, totals
from services.runtime.keys import digest
from services.runtime.mongo import connect, transaction
from services.runtime.turn import Turn
from tests.reporting import NOW, Log, money

pytestmark = pytest.mark.broker

TODAY = datetime.now(UTC)


def order(order_id: str, revenue: str, at: datetime, **fields: Any) -> Order:
    fields = {"currency": "USD", "ordered_at": at, "updated_at": at, **fields}
    return Order(order_id=order_id, revenue=money(revenue), **fields)


@pytest_asyncio.fixture
async def api(stack: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an API whose worker has counted a few people and events."""
    namespace = f"t{uuid4().hex[:8]}."
    settings = ReportingSettings(
        mongo_url=stack.mongo_url, namespace=namespace, tokens={digest("reader"): "reader"}
    )
    client = connect(settings)
    database = client[settings.database("reporting")]
    await Tables(database).prepare()
    log = Log()
    refund = Refund(message_id="r", amount=money("2.50"), at=NOW)
    records = [
        log.changed("p1", 1, first_seen=NOW, orders=[order("o1", "10", NOW, refunds=[refund])]),
        log.changed("p2", 1, first_seen=NOW, orders=[order("o2", "900", NOW, currency="JPY")]),
        log.changed("p3", 1, first_seen=TODAY, orders=[order("o3", "0.99", TODAY)]),
        log.seen("p3", "=cmd", TODAY),
        log.seen("p3", "Order Completed", TODAY),
    ]
    async with await client.start_session() as session, transaction(session):
        turn = Turn(now=TODAY, session=session, records=records)
        await ReportingHandler(Tables(database)).handle(turn)
    app = create_app(settings)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app),
            base_url="http://reporting",
            headers={"Authorization": "Bearer reader"},
        ) as http,
    ):
        yield http
    await client.drop_database(database.name)
    client.close()


async def test_the_tables_are_listed_with_their_columns(api: httpx.AsyncClient) -> None:
    listed = (await api.get("/v1/tables")).json()
    assert listed["next"] is None
    assert [table["name"] for table in listed["items"]] == [
        "revenue_by_day",
        "customers",
        "top_products",
        "events_by_minute",
        "events_by_day",
        "segment_sizes",
        "message_funnel",
        "message_reasons",
    ]
    assert listed["items"][0]["columns"][:2] == [
        {"name": "day", "unit": "day", "title": "Day", "description": "In UTC."},
        {
            "name": "currency",
            "unit": "currency code",
            "title": "Currency",
            "description": "ISO 4217.",
        },
    ]


async def test_rows_are_objects_with_the_tables_columns(api: httpx.AsyncClient) -> None:
    asked = {"from": "2036-01-31", "to": "2036-01-31T23:00:00Z", "currency": "usd"}
    answer = (await api.get("/v1/tables/revenue_by_day", params=asked)).json()
    assert answer["rows"] == [
        {
            "day": "2036-01-31",
            "currency": "USD",
            "orders": 1,
            "revenue": "10.00",
            "refunds": "2.50",
            "refunded_extras": "0.00",
            "cancelled_orders": 0,
            "cancellations": "0.00",
            "net_revenue": "7.50",
            "average_order_value": "10.00",
        }
    ]
    assert list(answer["rows"][0]) == [column["name"] for column in answer["columns"]]
    assert answer["truncated"] is False
    fresh_at = datetime.fromisoformat(answer["fresh_at"])
    assert abs(fresh_at - TODAY) < timedelta(milliseconds=1)


async def test_the_limit_keeps_the_latest_days_and_says_so(api: httpx.AsyncClient) -> None:
    answer = (await api.get("/v1/tables/revenue_by_day", params={"limit": 1})).json()
    assert [row["currency"] for row in answer["rows"]] == ["USD"]
    assert [row["day"] for row in answer["rows"]] == ["2036-01-31"]
    assert answer["truncated"] is True


@pytest.mark.parametrize(
    ("params", "headers"), [({"format": "csv"}, {}), ({}, {"Accept": "text/csv"})]
)
async def test_a_table_downloads_as_csv(
    api: httpx.AsyncClient, params: dict[str, str], headers: dict[str, str]
) -> None:
    answer = await api.get("/v1/tables/events_by_day", params=params, headers=headers)
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["truncated"] == "false"
    assert list(csv.DictReader(answer.text.splitlines())) == [
        {"day": TODAY.date().isoformat(), "event": "'=cmd", "events": "1"},
        {"day": TODAY.date().isoformat(), "event": "Order Completed", "events": "1"},
    ]


async def test_the_summary_adds_up_all_time_or_a_range(api: httpx.AsyncClient) -> None:
    whole = (await api.get("/v1/summary")).json()
    assert (whole["people"], whole["customers"], whole["orders"]) == (3, 3, 3)
    assert whole["revenue"] == [
        {"amount": "900", "currency": "JPY"},
        {"amount": "10.99", "currency": "USD"},
    ]
    part = (await api.get("/v1/summary", params={"from": "2036-01-31"})).json()
    assert (part["people"], part["orders"]) == (2, 2)
    assert part["net_revenue"] == [
        {"amount": "900", "currency": "JPY"},
        {"amount": "7.50", "currency": "USD"},
    ]


async def test_live_shows_the_present_hour_and_day(api: httpx.AsyncClient) -> None:
    live = (await api.get("/v1/live")).json()
    assert len(live["minutes"]) == 60
    assert sum(item["events"] for item in live["minutes"]) == 2
    assert live["top_events"][0] == {"event": "=cmd", "events": 1}
    assert live["orders_today"] == 1
    assert live["revenue_today"] == [{"amount": "0.99", "currency": "USD"}]


@pytest.mark.parametrize(
    ("path", "params", "named"),
    [
        ("tables/revenue_by_day", {"from": "yesterday"}, "query.from"),
        ("tables/revenue_by_day", {"to": "2026-02-30"}, "query.to"),
        ("tables/revenue_by_day", {"from": "2026-02-02", "to": "2026-02-01"}, "query.to"),
        ("tables/revenue_by_day", {"currency": "dollars"}, "query.currency"),
        ("tables/customers", {"currency": "USD"}, "query.currency"),
        ("tables/revenue_by_day", {"limit": "0"}, "query.limit"),
        ("tables/revenue_by_day", {"format": "xml"}, "query.format"),
        ("summary", {"from": "2026-01-01T00:00:00"}, "query.from"),
    ],
)
async def test_a_parameter_that_does_not_fit_is_named(
    api: httpx.AsyncClient, path: str, params: dict[str, str], named: str
) -> None:
    answer = await api.get(f"/v1/{path}", params=params)
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert [error["at"] for error in answer.json()["errors"]] == [named]


async def test_an_unknown_table_is_404_and_no_token_401(api: httpx.AsyncClient) -> None:
    assert (await api.get("/v1/tables/secrets")).status_code == 404
    for path in ("tables", "tables/customers", "summary", "live"):
        answer = await api.get(f"/v1/{path}", headers={"Authorization": ""})
        assert answer.status_code == 401, path


async def test_operations_and_documentation_are_open(api: httpx.AsyncClient) -> None:
    for path in ("/health/live", "/health/ready", "/metrics", "/openapi.json"):
        assert (await api.get(path, headers={"Authorization": ""})).status_code == 200, path
    document = (await api.get("/openapi.json")).json()
    content = document["paths"]["/v1/tables/{name}"]["get"]["responses"]["200"]["content"]
    assert set(content) == {"application/json", "text/csv"}


async def test_the_gauges_are_what_the_tables_say(api: httpx.AsyncClient) -> None:
    reports: Reports = api._transport.app.state.reports  # type: ignore[attr-defined]
    gauge(await totals(reports, Range()))

    def value(name: str, **labels: str) -> float | None:
        return REGISTRY.get_sample_value(f"regulars_report_{name}", labels)

    assert (value("orders"), value("customers"), value("people")) == (3, 3, 3)
    assert value("money", kind="revenue", currency="USD") == 10.99

"""The tables on a real MongoDB: what the worker writes is what the API reads."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio

from schemas.messages import MessageChanged, Order, OrderLine, SegmentChanged
from services.reporting.handler import ReportingHandler
from services.reporting.model import Range
from services.reporting.rules import tables
from services.reporting.rules.shown import shown
from services.reporting.store import Reports, Tables
from services.runtime.mongo import Database, connect, transaction
from services.runtime.settings import Settings
from services.runtime.turn import Record, Turn
from tests.reporting import NOW, Log, money

pytestmark = pytest.mark.broker


@pytest_asyncio.fixture
async def database(stack: Any) -> AsyncIterator[Database]:
    client = connect(Settings(mongo_url=stack.mongo_url))
    made = client[f"reporting_{uuid4().hex[:8]}"]
    await Tables(made).prepare()
    yield made
    await client.drop_database(made.name)
    client.close()


async def run(database: Database, *records: Record) -> Turn:
    """One turn by a worker that has nothing cached, in a transaction."""
    async with await database.client.start_session() as session, transaction(session):
        turn = Turn(now=NOW, session=session, records=records)
        await ReportingHandler(Tables(database)).handle(turn)
    return turn


async def read(database: Database, name: str, **asked: Any) -> list[dict[str, Any]]:
    table, part = tables.BY_NAME[name], Range(**asked)
    return shown(table, await Reports(database).read(table, part), part)


def order(order_id: str, revenue: str, days: int = 0, **fields: Any) -> Order:
    at = NOW + timedelta(days=days)
    fields = {"currency": "USD", "ordered_at": at, "updated_at": at, **fields}
    return Order(order_id=order_id, revenue=money(revenue), **fields)


async def test_revenue_adds_up_over_partitions_to_the_cent_and_changes_with_its_orders(
    database: Database,
) -> None:
    log = Log(partitions=3)
    people = [
        log.changed(f"p{n}", 1, first_seen=NOW, orders=[order(f"o{n}", "0.10")]) for n in range(7)
    ]
    await run(database, *people)
    await run(database, log.changed("p0", 2, first_seen=NOW, orders=[order("o0", "1E+3", 1)]))
    rows = await read(database, "revenue_by_day")
    assert [(row["day"], row["orders"], row["revenue"]) for row in rows] == [
        ("2036-01-31", 6, "0.60"),
        ("2036-02-01", 1, "1000.00"),
    ]
    totals = await Reports(database).read(tables.OVER_PEOPLE[0], Range(), by_period=False)
    assert totals[0]["revenue"] == money("1000.60")
    ranged = Range(start="2036-02-01", end="2036-02-01")
    [row] = await Reports(database).read(tables.OVER_PEOPLE[0], ranged, by_period=False)
    assert (row["orders"], row["revenue"]) == (1, money(1000))


async def test_what_cancels_out_is_no_row(database: Database) -> None:
    log = Log()
    await run(database, log.changed("p1", 1, first_seen=NOW, orders=[order("o", "9.99")]))
    await run(database, log.changed("p1", 2, merged_into="p2"))
    assert await read(database, "revenue_by_day") == []
    assert await read(database, "customers") == []


async def test_an_aborted_turn_leaves_no_trace(database: Database) -> None:
    record = Log().changed("p1", 1, first_seen=NOW, orders=[order("o", "9.99")])

    async def abort() -> None:
        async with await database.client.start_session() as session, transaction(session):
            turn = Turn(now=NOW, session=session, records=[record])
            await ReportingHandler(Tables(database)).handle(turn)
            raise RuntimeError("killed before the commit")

    with pytest.raises(RuntimeError):
        await abort()
    assert [await database[name].count_documents({}) for name in ("rows", "people")] == [0, 0]


async def test_products_are_one_row_each_under_the_name_most_sold_by(database: Database) -> None:
    def line(name: str, quantity: int) -> list[OrderLine]:
        return [OrderLine(product_id="p/1", name=name, price=money("3.99"), quantity=quantity)]

    log = Log()
    await run(
        database,
        log.changed("p1", 1, orders=[order("o1", "1", products=line("Tea", 1))]),
        log.changed("p2", 1, orders=[order("o2", "1", days=1, products=line("Green tea", 2))]),
        log.changed("p3", 1, orders=[order("o3", "1", products=line("Tea", 1), currency="JPY")]),
    )
    tea = {"product_id": "p/1", "name": "Green tea", "currency": "USD"}
    yen = {"product_id": "p/1", "name": "Tea", "currency": "JPY"}
    assert await read(database, "top_products") == [
        {**tea, "units": 3, "revenue": "11.97"},
        {**yen, "units": 1, "revenue": "3.99"},
    ]
    assert await read(database, "top_products", limit=1) == [
        {**tea, "units": 3, "revenue": "11.97"}
    ]
    assert await read(database, "top_products", end="2036-01-31", currency="USD") == [
        {**tea, "name": "Tea", "units": 1, "revenue": "3.99"}
    ]


async def test_the_limit_keeps_the_latest_minutes(database: Database) -> None:
    log = Log()
    await run(
        database,
        *(log.seen("p1", "Page Viewed", NOW - timedelta(minutes=n)) for n in range(3)),
        log.seen("p2", "Page Viewed", NOW),
        log.seen("p2", "Page Viewed", NOW - timedelta(hours=49)),
    )
    assert await read(database, "events_by_minute", limit=2) == [
        {"minute": "2036-01-31T11:59:00Z", "event": "Page Viewed", "events": 1},
        {"minute": "2036-01-31T12:00:00Z", "event": "Page Viewed", "events": 2},
    ]
    [row] = await read(database, "events_by_day", start="2036-01-29", end="2036-01-29")
    assert row["events"] == 1
    [forgotten] = await database["rows"].distinct("forget_at", {"period": "2036-01-31T12:00:00Z"})
    assert forgotten == NOW + timedelta(hours=49)


async def test_segments_and_messages_read_as_they_were_told(database: Database) -> None:
    log = Log()

    def entered(profile_id: str, days: int, change: Any = "entered") -> Record:
        body = SegmentChanged(
            profile_id=profile_id,
            segment="vip",
            definition_version=1,
            change=change,
            occurrence=1,
            at=NOW + timedelta(days=days),
            decided_at=NOW,
            profile_version=1,
        )
        return log.record("segment.changes", profile_id, body)

    def told(state: Any, n: int) -> Record:
        body = MessageChanged(
            change_id=f"m1/{state}/{n}",
            message_id="m1",
            profile_id="p1",
            campaign="a/b",
            campaign_version=1,
            state=state,
            at=NOW,
            reason="no_consent" if state == "skipped" else "",
        )
        return log.record("message.changes", "p1", body)

    await run(database, entered("p1", 0), entered("p2", 0), told("opened", 1))
    await run(database, entered("p1", 2, "exited"), told("opened", 2), told("skipped", 1))
    assert await read(database, "segment_sizes", start="2036-02-01") == [
        {"day": "2036-02-02", "segment": "vip", "entered": 0, "exited": 1, "size": 1}
    ]
    [row] = await read(database, "message_funnel")
    assert {name: value for name, value in row.items() if value} == {
        "campaign": "a/b",
        "opened": 1,
        "skipped": 1,
    }
    assert await read(database, "message_reasons") == [
        {"campaign": "a/b", "state": "skipped", "reason": "no_consent", "messages": 1}
    ]


async def test_freshness_is_told_by_topic(database: Database) -> None:
    reports = Reports(database)
    assert await reports.fresh_at(["profile.changes"]) is None
    await run(database, Log().changed("p1", 1))
    assert await reports.fresh_at(["profile.changes", "segment.changes"]) == NOW
    assert await reports.fresh_at(["segment.changes"]) is None

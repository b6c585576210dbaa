"""The rules of reporting: what people, events and messages add to the tables."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from schemas.messages import MessageChanged, Order, OrderLine, Refund, SegmentChanged
from services.reporting.model import InteractionView, Person, Range, RowId
from services.reporting.rules import activity, messages, money, revenue, tables
from services.reporting.rules.deltas import Deltas, contribute, decode, encode
from services.reporting.rules.shown import BadPeriod, bound, csv_cell, oldest, shown
from services.reporting.rules.summary import live, summary


def at(day: int, hour: int = 12, minute: int = 0) -> datetime:
    return datetime(2026, 1, day, hour, minute, tzinfo=UTC)


def order(**changed: Any) -> Order:
    fields: dict[str, Any] = {
        "order_id": "o1",
        "currency": "USD",
        "ordered_at": at(1),
        "updated_at": at(1),
        "revenue": Decimal("12.50"),
        **changed,
    }
    return Order(**fields)


def adds(person: Person, table: str, period: str) -> dict[tuple[str, ...], Any]:
    rows = contribute(tables.OVER_PEOPLE, person)
    return {
        row.key: cells for row, cells in rows.items() if (row.table, row.period) == (table, period)
    }


# Revenue


def test_an_order_is_booked_on_its_day_and_in_the_totals() -> None:
    rows = contribute((revenue.TABLE,), Person(orders=[order(), order(order_id="o2")]))
    booked = {"orders": 2, "revenue": Decimal("25.00")}
    assert rows == {
        RowId("revenue_by_day", "2026-01-01", ("USD",)): booked,
        RowId("revenue_by_day", "all", ("USD",)): booked,
    }


def test_currencies_are_never_added() -> None:
    person = Person(orders=[order(), order(order_id="o2", currency="JPY", revenue=Decimal(900))])
    assert adds(person, "revenue_by_day", "all") == {
        ("USD",): {"orders": 1, "revenue": Decimal("12.50")},
        ("JPY",): {"orders": 1, "revenue": Decimal(900)},
    }


def test_a_refund_counts_on_its_own_day_and_a_cancellation_takes_back_the_rest() -> None:
    changed = order(
        status="cancelled",
        cancelled_at=at(9),
        refunds=[Refund(message_id="r", amount=Decimal("2.50"), at=at(5))],
    )
    rows = contribute((revenue.TABLE,), Person(orders=[changed]))
    by_day = {row.period: cells for row, cells in rows.items()}
    assert by_day == {
        "2026-01-01": {"orders": 1, "revenue": Decimal("12.50")},
        "2026-01-05": {"refunds": Decimal("2.50"), "refunded_extras": 0},
        "2026-01-09": {"cancelled_orders": 1, "cancellations": Decimal("10.00")},
        "all": {
            "orders": 1,
            "revenue": Decimal("12.50"),
            "refunds": Decimal("2.50"),
            "refunded_extras": 0,
            "cancelled_orders": 1,
            "cancellations": Decimal("10.00"),
        },
    }


def test_a_cancellation_never_takes_back_more_than_is_left() -> None:
    refunds = [Refund(message_id="r", amount=Decimal(20), at=at(12))]  # with shipping; and later
    changed = order(status="cancelled", cancelled_at=at(9), refunds=refunds)
    rows = adds(Person(orders=[changed]), "revenue_by_day", "all")
    assert rows["USD",]["cancellations"] == 0


def test_a_refund_of_shipping_is_paid_back_but_takes_no_revenue() -> None:
    refunds = [
        Refund(message_id="r2", amount=Decimal(10), at=at(6)),
        Refund(message_id="r1", amount=Decimal(4), at=at(5)),
    ]
    [cells] = adds(Person(orders=[order(refunds=refunds)]), "revenue_by_day", "all").values()
    assert (cells["refunds"], cells["refunded_extras"]) == (14, Decimal("1.50"))
    assert revenue.derive(sold(**cells))["net_revenue"] == 0


def test_a_refund_takes_from_revenue_what_the_profile_says() -> None:
    refunds = [
        Refund(message_id="r1", amount=Decimal("5.95"), at=at(5), revenue=Decimal("5.00")),
        Refund(message_id="r2", amount=Decimal("8.93"), at=at(6), revenue=Decimal("7.50")),
    ]
    [cells] = adds(Person(orders=[order(refunds=refunds)]), "revenue_by_day", "all").values()
    assert (cells["refunds"], cells["refunded_extras"]) == (Decimal("14.88"), Decimal("2.38"))
    assert revenue.derive(sold(**cells))["net_revenue"] == 0


def test_the_day_is_the_utc_day() -> None:
    offset = datetime.fromisoformat("2026-01-01T23:30:00-05:00")
    person = Person(orders=[order(ordered_at=offset)])
    assert ("USD",) in adds(person, "revenue_by_day", "2026-01-02")


@pytest.mark.parametrize("amount", ["NaN", "Infinity", "1e15", "-1e400", "sNaN"])
def test_an_order_that_no_table_can_add_exactly_is_left_out(amount: str) -> None:
    person = Person(orders=[order(revenue=Decimal(amount)), order(order_id="o2")])
    assert adds(person, "revenue_by_day", "all") == {
        ("USD",): {"orders": 1, "revenue": Decimal("12.50")}
    }


# Customers and products


def test_a_person_counts_once_when_first_seen_and_once_when_first_buying() -> None:
    person = Person(
        first_seen=at(1),
        orders=[order(ordered_at=at(7)), order(ordered_at=at(3), order_id="o2")],
    )
    rows = contribute(tables.OVER_PEOPLE[1:2], person)
    assert {row.period: cells for row, cells in rows.items()} == {
        "2026-01-01": {"new_people": 1, "with_orders": 1},
        "2026-01-03": {"new_customers": 1},
        "all": {"new_people": 1, "with_orders": 1, "new_customers": 1},
    }


def test_who_only_cancelled_is_no_customer() -> None:
    person = Person(first_seen=at(1), orders=[order(status="cancelled")])
    assert adds(person, "customers", "all") == {(): {"new_people": 1}}


def test_products_of_cancelled_orders_do_not_count() -> None:
    lines = [
        OrderLine(product_id="p/1", name="Tea", price=Decimal("3.99"), quantity=3),
        OrderLine(product_id="p2", price=None, quantity=1),
        OrderLine(product_id="p3", price=Decimal("NaN"), quantity=1),
        OrderLine(product_id="p4", price=Decimal(1), quantity=10**30),
    ]
    sold = order(products=lines)
    gone = order(order_id="o2", products=lines, status="cancelled")
    assert adds(Person(orders=[sold, gone]), "top_products", "2026-01-01") == {
        ("p/1", "Tea", "USD"): {"units": 3, "revenue": Decimal("11.97")},
        ("p2", "", "USD"): {"units": 1, "revenue": Decimal(0)},
    }


# Events, memberships, messages


def test_an_event_counts_in_its_minute_and_on_its_day() -> None:
    rows = contribute(tables.OVER_EVENTS, InteractionView(at(1, 10, 5), "Order Completed"))
    assert rows == {
        RowId("events_by_minute", "2026-01-01T10:05:00Z", ("Order Completed",)): {"events": 1},
        RowId("events_by_day", "2026-01-01", ("Order Completed",)): {"events": 1},
        RowId("events_by_day", "all", ("Order Completed",)): {"events": 1},
    }


def test_a_replayed_event_does_not_fill_minutes_that_are_forgotten() -> None:
    kept = activity.kept(tables.OVER_EVENTS, at(1), at(1) + timedelta(hours=48, seconds=1))
    assert [table.name for table in kept] == ["events_by_day"]
    assert activity.kept(tables.OVER_EVENTS, at(1), at(3)) == list(tables.OVER_EVENTS)


def test_a_segment_change_is_an_entry_or_an_exit() -> None:
    change = SegmentChanged(
        profile_id="p",
        segment="vip",
        definition_version=1,
        change="exited",
        occurrence=1,
        at=at(4),
        decided_at=at(5),
        profile_version=3,
    )
    rows = contribute(tables.OVER_SEGMENTS, change)
    assert rows[RowId("segment_sizes", "2026-01-04", ("vip",))] == {"exited": 1}


def step(state: Any, day: int, change_id: str = "", reason: str = "") -> MessageChanged:
    return MessageChanged(
        change_id=change_id or f"m1/{state}",
        message_id="m1",
        profile_id="p",
        campaign="welcome",
        campaign_version=1,
        state=state,
        at=at(day),
        reason=reason,
    )


def test_a_message_counts_once_in_each_state_on_the_day_it_first_reached_it() -> None:
    told = None
    for change in (step("sent", 1), step("opened", 3, "b"), step("opened", 2, "a")):
        told = messages.fold(told, change)
    assert told is not None
    assert messages.fold(told, step("opened", 9, "c")) is told
    rows = contribute(tables.OVER_MESSAGES, told)
    assert {row.period: cells for row, cells in rows.items()} == {
        "2026-01-01": {"sent": 1},
        "2026-01-02": {"opened": 1},
        "all": {"sent": 1, "opened": 1},
    }


def test_a_skipped_message_counts_by_reason() -> None:
    told = messages.fold(None, step("skipped", 1, reason="no_consent"))
    rows = contribute(tables.OVER_MESSAGES, told)
    key = ("welcome", "skipped", "no_consent")
    assert rows[RowId("message_reasons", "2026-01-01", key)] == {"messages": 1}


# Adding up


def test_subtracting_a_stored_contribution_leaves_nothing() -> None:
    added = contribute(tables.OVER_PEOPLE, Person(first_seen=at(1), orders=[order()]))
    deltas = Deltas()
    deltas.add(3, added)
    deltas.subtract(3, decode(encode(added)))
    assert deltas.settle() == {}


def test_sums_are_exact_where_floats_and_28_digits_are_not() -> None:
    large, small = Decimal("999999999999999.000000001"), Decimal("0.000000001")
    total: Any = Decimal(0)
    for _ in range(1_000):
        total = money.plus(total, large)
    total = money.plus(total, small)
    assert money.minus(total, money.times(large, 1_000)) == small


# What a reader sees


@pytest.mark.parametrize(
    ("amount", "currency", "shown_as"),
    [
        ("12.5", "USD", "12.50"),
        ("900", "JPY", "900"),
        ("1E+3", "JPY", "1000"),
        ("1.25", "KWD", "1.250"),
        ("0.00125", "USD", "0.00125"),
        ("-0.00", "USD", "0.00"),
        ("-3", "USD", "-3.00"),
        ("2500315.63", "USD", "2500315.63"),
        ("12345678901234567890123.45", "USD", "12345678901234567890123.45"),
    ],
)
def test_money_shows_the_currencys_digits_and_more_only_where_there_are_more(
    amount: str, currency: str, shown_as: str
) -> None:
    assert money.text(Decimal(amount), currency) == shown_as


def sold(**cells: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "day": "2026-01-01",
        "currency": "USD",
        "orders": 0,
        "revenue": 0,
        "refunds": 0,
        "refunded_extras": 0,
        "cancelled_orders": 0,
        "cancellations": 0,
    }
    return {**fields, **cells}


def test_net_revenue_and_the_average_are_derived_in_the_order_of_the_columns() -> None:
    stored = sold(orders=3, revenue=Decimal("10.00"), refunds=Decimal("2.50"))
    [row] = shown(revenue.TABLE, [stored], Range())
    assert row == {
        "day": "2026-01-01",
        "currency": "USD",
        "orders": 3,
        "revenue": "10.00",
        "refunds": "2.50",
        "refunded_extras": "0.00",
        "cancelled_orders": 0,
        "cancellations": "0.00",
        "net_revenue": "7.50",
        "average_order_value": "3.33",
    }
    assert list(row) == [column.name for column in revenue.TABLE.columns]


def test_there_is_no_average_of_no_orders() -> None:
    [row] = shown(revenue.TABLE, [sold(refunds=Decimal(1))], Range())
    assert row["average_order_value"] is None


def test_a_segments_size_counts_on_from_before_the_range() -> None:
    def change(day: str, segment: str, entered: int, exited: int) -> dict[str, Any]:
        return {"day": day, "segment": segment, "entered": entered, "exited": exited}

    stored = [
        change("2026-01-01", "vip", 5, 0),
        change("2026-01-02", "quiet", 4, 1),
        change("2026-01-03", "vip", 2, 1),
        change("2026-01-04", "vip", 0, 6),
    ]
    rows = shown(tables.BY_NAME["segment_sizes"], stored, Range(start="2026-01-03"))
    assert rows == [
        {**change("2026-01-03", "quiet", 0, 0), "size": 3},
        {**change("2026-01-03", "vip", 2, 1), "size": 6},
        {**change("2026-01-04", "vip", 0, 6), "size": 0},
    ]


def test_a_date_bounds_its_whole_day_and_an_instant_its_period() -> None:
    daily, by_minute = revenue.TABLE, activity.BY_MINUTE
    assert bound("2026-01-31", daily, end=True) == "2026-01-31"
    assert bound("2026-01-31", by_minute, end=False) == "2026-01-31"
    assert bound("2026-01-31", by_minute, end=True) == "2026-01-31T23:59:59Z"
    assert bound("2026-01-31T23:30:00-01:00", daily, end=True) == "2026-02-01"
    assert bound("2026-01-31T10:05:59Z", by_minute, end=False) == "2026-01-31T10:05:00Z"


@pytest.mark.parametrize(
    "value", ["", "yesterday", "2026-13-01", "2026-02-30", "2026-01-01T10:00:00", "31.01.2026"]
)
def test_what_is_no_date_is_refused(value: str) -> None:
    with pytest.raises(BadPeriod):
        bound(value, revenue.TABLE, end=False)


def test_only_whole_minutes_are_shown_of_a_table_that_forgets() -> None:
    assert oldest(activity.BY_MINUTE, at(3, 10, 5)) == "2026-01-01T10:05:00Z"
    assert oldest(revenue.TABLE, at(3)) is None


def test_a_spreadsheet_never_runs_a_name_as_a_formula() -> None:
    assert csv_cell("text", "=HYPERLINK(1)") == "'=HYPERLINK(1)"
    assert csv_cell("amount", "-3.00") == "-3.00"
    assert csv_cell("text", None) == ""


def test_the_summary_holds_a_sum_a_currency() -> None:
    sales = [
        sold(orders=2, revenue=Decimal("25"), refunds=Decimal("5")),
        sold(currency="JPY", orders=1, revenue=Decimal(900)),
    ]
    people = [{"new_people": 4, "with_orders": 2, "new_customers": 2}]
    assert summary(sales, people) == {
        "people": 4,
        "customers": 2,
        "orders": 3,
        "cancelled_orders": 0,
        "revenue": [
            {"amount": "900", "currency": "JPY"},
            {"amount": "25.00", "currency": "USD"},
        ],
        "refunds": [{"amount": "0", "currency": "JPY"}, {"amount": "5.00", "currency": "USD"}],
        "cancellations": [
            {"amount": "0", "currency": "JPY"},
            {"amount": "0.00", "currency": "USD"},
        ],
        "net_revenue": [
            {"amount": "900", "currency": "JPY"},
            {"amount": "20.00", "currency": "USD"},
        ],
        "average_order_value": [
            {"amount": "900", "currency": "JPY"},
            {"amount": "12.50", "currency": "USD"},
        ],
    }
    assert summary([], [])["orders"] == 0


def test_the_present_hour_has_sixty_minutes_with_or_without_events() -> None:
    now = at(2, 10, 30)
    seen = [
        {"minute": "2026-01-02T10:30:00Z", "event": "Page Viewed", "events": 3},
        {"minute": "2026-01-02T10:30:00Z", "event": "Order Completed", "events": 1},
        {"minute": "2026-01-02T09:31:00Z", "event": "Page Viewed", "events": 2},
        {"minute": "2026-01-02T09:30:00Z", "event": "Page Viewed", "events": 9},
    ]
    answer = live(seen, now)
    assert len(answer["minutes"]) == 60
    assert answer["minutes"][0] == {"minute": "2026-01-02T09:31:00Z", "events": 2}
    assert answer["minutes"][-1] == {"minute": "2026-01-02T10:30:00Z", "events": 4}
    assert answer["top_events"] == [
        {"event": "Page Viewed", "events": 5},
        {"event": "Order Completed", "events": 1},
    ]


def test_every_table_says_what_it_holds() -> None:
    names = [table.name for table in tables.ALL]
    assert len(set(names)) == len(names)
    for table in tables.ALL:
        columns = [column.name for column in table.columns]
        assert len(set(columns)) == len(columns), table.name
        assert table.description.endswith("."), table.name
        assert set(table.rank) <= {column.name for column in table.measures}

"""What the console writes: numbers, money, times, rules; and how it sums for charts."""

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from services.console import figures, words
from services.console.answers import Amount
from services.console.charts import revenue, steep
from services.console.figures import Bucket
from services.console.reported import Minute

D = Decimal


@pytest.mark.parametrize(
    ("amount", "said"),
    [
        ("2500315.63", "2,500,315.63\u00a0USD"),
        ("12.5", "12.50\u00a0USD"),
        ("1200", "1,200\u00a0USD"),
        ("-0.05", "-0.05\u00a0USD"),
        ("1E+3", "1,000\u00a0USD"),
    ],
)
def test_money_is_exact_and_grouped(amount: str, said: str) -> None:
    assert words.money(Amount(D(amount), "USD")) == said


def test_times_are_said_in_utc() -> None:
    berlin = timezone(timedelta(hours=1))
    assert words.moment(datetime(2026, 1, 1, 0, 30, tzinfo=berlin)) == "31 Dec 2025, 23:30 UTC"


def test_durations_use_the_largest_unit_without_a_rest() -> None:
    said = [words.duration(seconds) for seconds in (1, 90, 5_400, 86_400, 7 * 86_400)]
    assert said == ["1 second", "90 seconds", "90 minutes", "1 day", "7 days"]


def test_a_rule_reads_as_indented_sentences() -> None:
    tree = {
        "all": [
            {"fact": "last_order_at", "op": "older_than", "seconds": 182 * 86_400},
            {"not": {"fact": "consent.email", "op": "equals", "value": "granted"}},
            {
                "event": "Product Viewed",
                "where": [{"property": "category", "op": "equals", "value": "shoes"}],
                "within_seconds": 3_600,
                "op": "gte",
                "value": 3,
            },
        ]
    }
    assert list(words.rule(tree)) == [
        (0, "All of these:"),
        (1, "Last order is longer ago than 182 days"),
        (1, "Not:"),
        (2, "Consent for email is granted"),
        (1, "Number of “Product Viewed” where category is shoes in the last hour is at least 3"),
    ]


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ({"fact": "devices.type", "op": "equals", "value": "tablet"}, "Device's type is tablet"),
        ({"fact": "preferred_hour", "op": "lt", "value": 9}, "Preferred hour is less than 9"),
        (
            {"fact": "revenue_gross", "currency": "EUR", "op": "gte", "value": "12.50"},
            "Revenue before refunds is at least 12.50 EUR",
        ),
    ],
)
def test_facts_read_as_people_say_them(condition: dict[str, object], said: str) -> None:
    assert words.condition(condition) == said


def test_days_are_summed_exactly_and_within_one_currency() -> None:
    rows = [
        {"day": "2026-03-01", "currency": "USD", "revenue": "0.10", "refunds": "0"},
        {"day": "2026-03-01", "currency": "USD", "revenue": "0.20", "refunds": "0.05"},
        {"day": "2026-03-01", "currency": "EUR", "revenue": "7", "refunds": "0"},
    ]
    found = figures.by_day(rows, ("revenue", "refunds"), currency="USD")
    assert found == {date(2026, 3, 1): (D("0.30"), D("0.05"))}


def test_a_long_silence_becomes_one_gap_and_no_sum_changes() -> None:
    start = date(1997, 1, 6)
    points = {start + timedelta(days=day): (D("1.50"),) for day in range(540)}
    points[date(2026, 11, 22)] = (D(4),)
    grain, made = figures.buckets(points, start, date(2026, 11, 22), squeeze=True)
    assert grain == "week"
    assert [one for one in made if one.gap] == [
        Bucket(date(1998, 7, 6), date(2026, 11, 15), (D(0),), gap=True)
    ]
    assert sum(one.values[0] for one in made) == D("1.50") * 540 + 4
    assert made[-1] == Bucket(date(2026, 11, 16), date(2026, 11, 22), (D(4),))


def test_without_a_gap_every_day_of_a_span_has_its_bar() -> None:
    today = date(2026, 3, 1)
    first, last = figures.window("month", {}, today)
    grain, made = figures.buckets({today: (D(1),)}, first, last)
    assert (grain, len(made), made[0].first, made[-1].last) == ("day", 30, first, today)
    assert first == date(2026, 1, 31)


@pytest.mark.parametrize(("days", "span"), [(20, "month"), (5, "all"), (200, "month")])
def test_the_span_shown_first_is_the_shortest_with_something_to_see(days: int, span: str) -> None:
    today = date(2026, 3, 1)
    points = {today - timedelta(days=ago): (D(1), D(0)) for ago in range(days)}
    assert figures.best_span(points, today) == span


def test_sales_that_ended_a_while_ago_are_shown_over_the_year() -> None:
    today = date(2026, 3, 1)
    points = {today - timedelta(days=ago): (D(1),) for ago in range(100, 300)}
    assert figures.best_span(points, today) == "year"


def test_a_bar_is_as_high_as_the_revenue_and_its_tip_exact() -> None:
    day = date(2026, 3, 1)
    options = revenue("day", [Bucket(day, day, (D("2500315.63"), D("0.63")))], "USD")
    kept, back = (series["data"][0] for series in options["series"])
    assert kept["value"] + back["value"] == pytest.approx(2500315.63)
    assert kept["tip"] == "1 Mar 2026<br><b>2,500,315.63</b> USD<br>0.63 USD taken back"


def test_one_towering_minute_asks_for_a_logarithmic_scale() -> None:
    at = datetime(2026, 3, 1, tzinfo=UTC)
    assert not steep([Minute(at, events) for events in (0, 5, 9, 7)])
    assert steep([Minute(at, events) for events in (0, 5, 900, 7)])


@pytest.mark.parametrize(
    ("event", "said"),
    [
        ({"properties": {"order_id": "A1", "total": "12.50", "currency": "USD"}},
         "order A1 · 12.50 USD"),
        ({"properties": {"name": "Shoe", "price": 3}}, "Shoe · 3"),
        ({"traits": {"email": "a@b.example", "plan": "gold"}}, "email, plan"),
        ({"properties": "no object"}, ""),
        ({"properties": {"name": "x" * 500}}, "x" * 80),
    ],
)  # fmt: skip
def test_a_line_of_the_timeline_names_what_matters(event: dict[str, object], said: str) -> None:
    assert words.detail(event) == said

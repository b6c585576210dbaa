"""What definitions may say, how they are refused, and what the operators mean."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from schemas.messages import (
    MAX_WINDOW,
    ComputedValue,
    Consent,
    Device,
    Identifier,
    Money,
    Profile,
)
from schemas.topics import PROFILE_PARTITIONS
from services.profile.build.rules.aggregates import MONEY as BUILD_MONEY
from services.segmentation.definitions import Stored
from services.segmentation.model import (
    Heard,
    Outlook,
    Person,
    Segment,
    Standing,
    instant,
    micros,
)
from services.segmentation.render import segment as shown
from services.segmentation.rules.compile import compile_segment, evaluate, reasons
from services.segmentation.rules.computed import body_of, key_of, traits_of
from services.segmentation.rules.dump import dump, encode
from services.segmentation.rules.moment import Moment
from services.segmentation.rules.parse import parse
from services.segmentation.rules.plan import Plan
from services.segmentation.rules.vocabulary import MONEY
from services.segmentation.rules.wording import duration
from services.segmentation.shapes import Definition

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
MONTH = 30 * 86_400


def problems(rule: Any, **body: Any) -> list[tuple[str, str]]:
    """What is wrong with a rule: (path, message)."""
    found = parse({"name": "n", "rule": rule, **body})
    assert isinstance(found, list)
    return [(one.path, one.message) for one in found]


def segment(rule: Any) -> Segment:
    found = parse({"name": "n", "rule": rule})
    assert isinstance(found, Segment), found
    return found


def ask(rule: Any, now: datetime = NOW, **person: Any) -> tuple[bool | None, datetime | None]:
    """Membership of a person and the next flip."""
    compiled = compile_segment("s", 1, segment(rule))
    verdict = evaluate(compiled, Moment(Person(**person), micros(now)))
    return verdict.member, None if verdict.next_flip is None else instant(verdict.next_flip)


def key(rule: Any) -> str:
    [found] = traits_of(segment(rule).rule)
    return found


def ms(*ago: int) -> list[int]:
    """Times so many seconds before now."""
    return [int((NOW - timedelta(seconds=seconds)).timestamp() * 1000) for seconds in ago]


# -- definitions -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "path", "message"),
    [
        (None, "$.rule", "must be an object"),
        ([], "$.rule", "must be an object"),
        ({}, "$.rule", "must have exactly one of all, any, not, trait, fact, event"),
        ({"all": [], "any": []}, "$.rule", "must have exactly one of"),
        ({"all": []}, "$.rule.all", "must be a list with at least one part"),
        ({"any": [{"trait": "a", "op": "exists"}, 7]}, "$.rule.any[1]", "must be an object"),
        ({"not": {"trait": "a", "op": "is"}}, "$.rule.not.op", "must be one of equals"),
        ({"trait": "a", "op": "exists", "typo": 1}, "$.rule.typo", "is unknown"),
        ({"trait": "", "op": "exists"}, "$.rule.trait", "must not be empty"),
        ({"trait": "a", "op": "gt", "value": "9"}, "$.rule.value", "must be a number"),
        ({"trait": "a", "op": "gt", "value": True}, "$.rule.value", "must be a number"),
        ({"trait": "a", "op": "gt", "value": 10**15}, "$.rule.value", "must be a number"),
        ({"trait": "a", "op": "equals", "value": None}, "$.rule.value", "must be a number, true"),
        ({"trait": "a", "op": "equals", "value": {}}, "$.rule.value", "must be a number, true"),
        ({"trait": "a", "op": "equals", "value": "x" * 501}, "$.rule.value", "must be a number, t"),
        ({"trait": "a", "op": "in", "value": []}, "$.rule.value", "must be a list of 1 to 500"),
        ({"trait": "a", "op": "in", "value": ["x", None]}, "$.rule.value[1]", "must be a number"),
        ({"trait": "a", "op": "before", "value": "soon"}, "$.rule.value", "must be a date"),
        (
            {"trait": "a", "op": "older_than", "value": 3, "seconds": 1},
            "$.rule.value",
            "does not belong here",
        ),
        ({"trait": "a", "op": "older_than", "seconds": 0}, "$.rule.seconds", "must be whole sec"),
        ({"trait": "a", "op": "equals", "value": 1, "seconds": 5}, "$.rule.seconds", "does not"),
        ({"fact": "age", "op": "gt", "value": 1}, "$.rule.fact", "must be one of order_count"),
        ({"fact": "devices.price", "op": "exists"}, "$.rule.fact", "must name one of type"),
        ({"fact": "counters.", "op": "gt", "value": 1}, "$.rule.fact", "must be one of"),
        ({"fact": "revenue", "op": "gt", "value": 1}, "$.rule.currency", "is required"),
        (
            {"fact": "revenue", "op": "gt", "value": 1, "currency": "usd"},
            "$.rule.currency",
            "must be an ISO 4217 code",
        ),
        (
            {"fact": "order_count", "op": "gt", "value": 1, "currency": "USD"},
            "$.rule.currency",
            "does not belong here",
        ),
        (
            {"fact": "revenue", "op": "gt", "value": "12,50", "currency": "USD"},
            "$.rule.value",
            "must be a number",
        ),
        ({"fact": "last_seen", "op": "gt", "value": 1}, "$.rule.op", "must be one of exists"),
        ({"event": "x", "op": "gte", "value": -1}, "$.rule.value", "must be a whole number"),
        ({"event": "x", "op": "gte", "value": 1.5}, "$.rule.value", "must be a whole number"),
        (
            {"event": "x", "op": "gte", "value": MAX_WINDOW, "within_seconds": 60},
            "$.rule.value",
            "must be a whole number from 0 to 999",
        ),
        (
            {"event": "x", "op": "gte", "value": 1, "within_seconds": "1d"},
            "$.rule.within_seconds",
            "must be whole seconds",
        ),
        (
            {"event": "x", "aggregate": "sum", "op": "gte", "value": 1},
            "$.rule.property",
            "is required",
        ),
        (
            {"event": "x", "property": "p", "op": "gte", "value": 1},
            "$.rule.property",
            "is for other aggregates",
        ),
        (
            {"event": "x", "aggregate": "sum", "property": "revenue", "op": "gt", "value": 1},
            "$.rule.currency",
            "is required",
        ),
        (
            {
                "event": "x",
                "aggregate": "sum",
                "property": "quantity",
                "currency": "USD",
                "op": "gt",
                "value": 1,
            },
            "$.rule.currency",
            "does not belong here",
        ),
        (
            {
                "all": [
                    {
                        "event": "x",
                        "op": "gte",
                        "value": 1,
                        "where": [{"property": "p", "op": "is"}],
                    }
                ]
            },
            "$.rule.all[0].where[0].op",
            "must be one of equals",
        ),
    ],
)
def test_a_definition_that_does_not_fit_is_refused_with_its_place(
    rule: Any, path: str, message: str
) -> None:
    [first, *others] = problems(rule)

    assert first[0] == path
    assert first[1].startswith(message)
    assert others == []


def test_all_problems_are_told_at_once() -> None:
    rule = {"all": [{"trait": "a", "op": "is"}, {"fact": "x", "op": "gt"}, {"both": 1}]}

    found = parse({"name": " ", "description": 7, "rule": rule, "more": 1})

    assert isinstance(found, list)
    assert [one.path for one in found] == [
        "$.more",
        "$.name",
        "$.description",
        "$.rule.all[0].op",
        "$.rule.all[1].fact",
        "$.rule.all[2]",
    ]


@pytest.mark.parametrize("body", [None, 7, "x", [], {}])
def test_a_body_that_is_no_definition_is_refused(body: Any) -> None:
    assert isinstance(parse(body), list)


def test_depth_and_size_are_bounded() -> None:
    leaf = {"trait": "a", "op": "exists"}
    deep: Any = leaf
    for _ in range(9):
        deep = {"not": deep}
    segment(deep)
    assert problems({"not": deep}) == [("$.rule" + ".not" * 10, "is nested deeper than 10 levels")]

    segment({"all": [{"any": [leaf] * 50}, {"any": [leaf] * 50}]})
    [(path, message)] = problems({"all": [{"any": [leaf] * 50}, {"any": [leaf] * 51}]})
    assert path == "$.rule.all[1].any[50]"
    assert "at most 100" in message


def test_the_same_definition_is_dumped_in_one_form() -> None:
    short = segment({"event": "x", "op": "gte", "value": 1})
    long = segment(
        {
            "value": 1,
            "op": "gte",
            "where": [],
            "property": None,
            "within_seconds": None,
            "aggregate": "count",
            "event": "x",
        }
    )

    assert dump(short) == dump(long)


@pytest.mark.parametrize("aggregate", ["sum", "average", "min", "max"])
def test_a_threshold_is_dumped_exactly(aggregate: str) -> None:
    exact = "123456789012345.123456789"
    rule = {"event": "x", "aggregate": aggregate, "property": "n", "op": "gt", "value": exact}
    assert dump(segment(rule))["rule"]["value"] == exact


def test_every_accepted_definition_fits_the_documented_shape() -> None:
    rule = {
        "all": [
            {"any": [{"trait": "a", "op": "in", "value": [1, "x", True]}]},
            {"not": {"fact": "revenue", "currency": "USD", "op": "gte", "value": "9.90"}},
            {"fact": "consent.email", "op": "equals", "value": "granted"},
            {
                "event": "x",
                "aggregate": "sum",
                "property": "quantity",
                "where": [{"property": "p", "op": "exists"}],
                "op": "lt",
                "value": 4,
            },
        ]
    }
    body = msgspec.json.decode(msgspec.json.encode(dump(segment(rule))))

    shown = Definition.model_validate(body).model_dump(by_alias=True, exclude_unset=True)

    assert shown == body


# -- computed traits ---------------------------------------------------------------------------


def test_conditions_that_need_the_same_history_share_a_computed_trait() -> None:
    where = [
        {"property": "category", "op": "equals", "value": "shoes"},
        {"property": "price", "op": "exists"},
    ]
    one = {"event": "Product Viewed", "where": where, "op": "gte", "value": 3}
    two = {"event": " product viewed", "where": [*where[::-1], where[0]], "op": "lt", "value": 9}

    [(name, trait)] = traits_of(segment({"any": [one, {"not": two}]}).rule).items()

    assert name == key_of(trait)
    assert len(name) == 19
    assert name.startswith("ct_")
    assert msgspec.json.decode(msgspec.json.encode(body_of(trait))) == {
        "event": "product viewed",
        "where": [
            {"property": "category", "op": "equals", "value": "shoes"},
            {"property": "price", "op": "exists"},
        ],
    }


@pytest.mark.parametrize(
    ("op", "spellings"),
    [
        ("gt", (10, 10.0, Decimal("10.0"), Decimal("1E+1"))),
        ("equals", (10.5, Decimal("10.50"))),
        ("in", (["b", 1.0, "a"], ["a", 1, "b", "b"])),
        ("between", ([1, 9.5], [Decimal("1.0"), Decimal("9.50")])),
        ("exists", (True, None)),
    ],
)
def test_a_condition_is_kept_in_one_spelling_so_that_segments_share_its_history(
    op: str, spellings: tuple[Any, ...]
) -> None:
    def stored(value: Any) -> bytes:
        where = [{"property": "price", "op": op, "value": value}]
        if value is None:
            del where[0]["value"]
        rule = {"event": "Product Viewed", "where": where, "op": "gte", "value": 3}
        return encode(dump(segment(rule)))

    [body] = {stored(value) for value in spellings}
    [name] = traits_of(Stored(key="keen", version=1, body=body, at=0).segment().rule)
    assert name.startswith("ct_")


def test_keys_do_not_change_from_release_to_release() -> None:
    assert key({"event": "Order Completed", "op": "gte", "value": 1}) == "ct_ed61062dc8281dd7"


def test_another_window_is_another_computed_trait() -> None:
    windows = (None, 60, 3600)
    keys = {key({"event": "x", "within_seconds": w, "op": "gte", "value": 1}) for w in windows}
    assert len(keys) == 3


def test_both_services_agree_on_which_properties_are_money() -> None:
    assert MONEY == BUILD_MONEY


# -- operators ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("op", "value", "trait", "holds"),
    [
        ("equals", "DE", "DE", True),
        ("equals", "DE", "de", False),
        ("equals", 12, "12", True),
        ("equals", 12, " 12.0 ", True),
        ("equals", 0.1, Decimal("0.10"), True),
        ("equals", 1, True, False),
        ("equals", True, 1, False),
        ("equals", True, True, True),
        ("equals", "vip", ["new", "vip"], True),
        ("equals", "x", None, False),
        ("not_equals", "x", None, True),
        ("not_equals", "vip", ["new", "vip"], False),
        ("in", ["a", 2], "2", True),
        ("in", ["a", 2], "b", False),
        ("contains", "ERL", "Berlin", True),
        ("contains", "b", ["a", "abc"], True),
        ("contains", "1", 100, False),
        ("starts_with", "be", "Berlin", True),
        ("gt", 5, "5.01", True),
        ("gt", 5, True, False),
        ("lte", 5, Decimal("1e30"), False),
        ("lt", 5, {"a": 1}, False),
        ("exists", True, 0, True),
        ("exists", True, None, False),
        ("exists", False, None, True),
        ("exists", True, [], False),
        ("before", "2026-03-01", "2026-02-28T23:59:59Z", True),
        ("before", "2026-03-01", "2026-03-01T01:00:00+02:00", True),
        ("after", "2026-03-01", "2026-03-01", False),
        ("after", "2026-03-01", "tomorrow", False),
    ],
)
def test_an_operator_compares_as_documented(op: str, value: Any, trait: Any, holds: bool) -> None:
    rule = {"trait": "t", "op": op, "value": value}
    assert ask(rule, traits={"t": trait}) == (holds, None)


def test_a_dotted_trait_walks_into_objects_and_lists() -> None:
    rule = {"trait": "address.city", "op": "equals", "value": "Berlin"}

    assert ask(rule, traits={"address": {"city": "Berlin"}})[0]
    assert ask(rule, traits={"address": [{"city": "Bern"}, {"city": "Berlin"}]})[0]
    assert ask(rule, traits={"address.city": "Berlin"})[0]
    assert not ask(rule, traits={"address": "Berlin"})[0]


@pytest.mark.parametrize(
    ("rule", "person"),
    [
        ({"fact": "order_count", "op": "gte", "value": 2}, {"order_count": 2}),
        (
            {"fact": "revenue", "currency": "EUR", "op": "gt", "value": "9.99"},
            {"revenue": [Money(Decimal("1000"), "USD"), Money(Decimal("10.00"), "EUR")]},
        ),
        ({"fact": "revenue", "currency": "EUR", "op": "equals", "value": 0}, {}),
        (
            {"fact": "counters.product viewed", "op": "equals", "value": 3},
            {"counters": {"Product Viewed": 2, "PRODUCT VIEWED": 1}},
        ),
        (
            {"fact": "consent.email", "op": "in", "value": ["granted"]},
            {"consent": {"email": Consent(state="granted", at=NOW, message_id="m")}},
        ),
        (
            {"fact": "identifiers.email", "op": "contains", "value": "@shop"},
            {"identifiers": [Identifier("user_id", "1"), Identifier("email", "a@shop.test")]},
        ),
        (
            {"fact": "first_seen", "op": "before", "value": "2026-01-01"},
            {"first_seen": NOW - timedelta(90)},
        ),
        ({"not": {"fact": "last_order_at", "op": "exists"}}, {}),
        (
            {"fact": "average_order_value", "currency": "EUR", "op": "gte", "value": "12.50"},
            {"average_order_value": [Money(Decimal("12.50"), "EUR")]},
        ),
        (
            {"fact": "revenue_gross", "currency": "EUR", "op": "in", "value": ["3"]},
            {"revenue_gross": [Money(Decimal("3.00"), "EUR")]},
        ),
        (
            {"fact": "days_between_orders", "op": "lt", "value": 30.5},
            {"days_between_orders": Decimal("30.49")},
        ),
        (
            {"fact": "favourite_category", "op": "equals", "value": "tea"},
            {"favourite_category": "tea"},
        ),
        (
            {"fact": "favourite_brand", "op": "starts_with", "value": "ida"},
            {"favourite_brand": "Ida B"},
        ),
        ({"fact": "preferred_channel", "op": "in", "value": ["sms"]}, {"preferred_channel": "sms"}),
        ({"fact": "preferred_hour", "op": "gte", "value": 18}, {"preferred_hour": 18}),
        ({"fact": "locale", "op": "starts_with", "value": "en"}, {"locale": "en-GB"}),
        ({"fact": "time_zone", "op": "contains", "value": "europe/"}, {"time_zone": "Europe/Rome"}),
        (
            {"fact": "devices.type", "op": "equals", "value": "tablet"},
            {"devices": [Device("mobile", "iOS", "", "", NOW), Device("tablet", "", "", "", NOW)]},
        ),
        (
            {"fact": "devices.model", "op": "exists", "value": False},
            {"devices": [Device("mobile", "iOS", "", "", NOW)]},
        ),
    ],
)
def test_facts_are_known_of_everyone(rule: Any, person: dict[str, Any]) -> None:
    assert ask(rule, **person)[0] is True


@pytest.mark.parametrize(
    "rule",
    [
        {"fact": "average_order_value", "currency": "EUR", "op": "lt", "value": "12.50"},
        {"fact": "days_between_orders", "op": "lt", "value": 30},
        {"fact": "preferred_hour", "op": "in", "value": [0, 1]},
        {"fact": "favourite_category", "op": "exists"},
        {"fact": "devices.os", "op": "equals", "value": ""},
    ],
)
def test_a_fact_that_somebody_lacks_compares_with_nothing(rule: Any) -> None:
    assert ask(rule)[0] is False


def test_a_score_computed_elsewhere_is_a_trait_whose_parts_can_be_asked() -> None:
    score = {"value": Decimal("0.83"), "model": "churn", "version": "2026-03"}
    rule = {
        "all": [
            {"trait": "churn.value", "op": "gte", "value": 0.8},
            {"trait": "churn.version", "op": "equals", "value": "2026-03"},
        ]
    }
    assert ask(rule, traits={"churn": score})[0]
    assert not ask(rule, traits={"churn": score | {"version": "2026-02"}})[0]
    assert not ask(rule, traits={"churn": score | {"value": Decimal("0.79")}})[0]


# -- time --------------------------------------------------------------------------------------


def test_no_order_for_30_days_as_a_fact_flips_at_its_instant() -> None:
    rule = {"fact": "last_order_at", "op": "older_than", "seconds": MONTH}
    ordered = NOW - timedelta(days=29)
    flip = ordered + timedelta(days=30)

    assert ask(rule, last_order_at=ordered) == (False, flip)
    assert ask(rule, flip - timedelta(microseconds=1), last_order_at=ordered) == (False, flip)
    assert ask(rule, flip, last_order_at=ordered) == (True, None)
    assert ask(rule) == (False, None)


def test_no_order_for_30_days_as_a_count_includes_who_never_ordered() -> None:
    rule = {"event": "Order Completed", "within_seconds": MONTH, "op": "equals", "value": 0}
    day = 86_400
    two = {key(rule): ComputedValue(times=ms(20 * day, 10 * day))}

    assert ask(rule, computed={key(rule): ComputedValue(times=[])}) == (True, None)
    assert ask(rule, computed=two) == (False, NOW + timedelta(days=20))
    assert ask(rule, NOW + timedelta(days=20), computed=two) == (True, None)
    assert ask(rule) == (None, None)


def test_a_window_is_open_at_its_start() -> None:
    rule = {"event": "x", "within_seconds": 60, "op": "gte", "value": 1}
    value = {key(rule): ComputedValue(times=ms(60))}

    assert ask(rule, NOW - timedelta(milliseconds=1), computed=value) == (True, NOW)
    assert ask(rule, NOW, computed=value) == (False, None)


def test_a_sum_never_adds_across_currencies() -> None:
    rule = {
        "event": "Order Completed",
        "aggregate": "sum",
        "property": "revenue",
        "currency": "USD",
        "op": "gte",
        "value": "30.00",
    }
    mixed = {"USD": Decimal("29.99"), "EUR": Decimal("500")}
    assert ask(rule, computed={key(rule): ComputedValue(sums=mixed)})[0] is False

    windowed = {**rule, "within_seconds": 3600}
    value = ComputedValue(
        times=ms(900, 600, 300),
        values=[Decimal("20.00"), Decimal("500"), Decimal("10.00")],
        currencies=["USD", "EUR", "USD"],
    )
    assert ask(windowed, computed={key(windowed): value}) == (True, NOW + timedelta(seconds=2700))


def test_what_one_part_decides_need_not_wait_for_the_others() -> None:
    waiting = {"event": "x", "op": "gte", "value": 1}
    german = {"trait": "country", "op": "equals", "value": "DE"}

    assert ask({"all": [waiting, german]}, traits={})[0] is False
    assert ask({"any": [waiting, german]}, traits={"country": "DE"})[0] is True
    assert ask({"all": [waiting, german]}, traits={"country": "DE"})[0] is None
    assert ask({"not": waiting})[0] is None


def test_a_flip_is_not_announced_while_another_part_decides() -> None:
    lapsed = {"fact": "last_order_at", "op": "older_than", "seconds": MONTH}
    german = {"trait": "country", "op": "equals", "value": "DE"}

    assert ask({"all": [german, lapsed]}, last_order_at=NOW) == (False, None)
    assert ask({"all": [german, lapsed]}, last_order_at=NOW, traits={"country": "DE"}) == (
        False,
        NOW + timedelta(seconds=MONTH),
    )


def test_of_several_parts_that_time_can_change_the_first_counts() -> None:
    young = {"fact": "first_seen", "op": "newer_than", "seconds": 600}
    fresh = {"fact": "last_seen", "op": "newer_than", "seconds": 60}
    person = {"first_seen": NOW, "last_seen": NOW}

    assert ask({"all": [young, fresh]}, **person) == (True, NOW + timedelta(seconds=60))
    assert ask({"any": [{"not": young}, {"not": fresh}]}, **person) == (
        False,
        NOW + timedelta(seconds=60),
    )
    assert ask({"any": [young, fresh]}, **person) == (True, NOW + timedelta(seconds=600))


def test_a_date_at_the_end_of_the_calendar_is_no_crash() -> None:
    assert ask({"trait": "t", "op": "before", "value": "0001-01-01T00:00:00+14:00"})[0] is False
    rule = {"trait": "until", "op": "newer_than", "seconds": MONTH}
    holds, flip = ask(rule, traits={"until": "9999-12-31T23:59:59Z"})
    assert holds
    assert flip == datetime.max.replace(tzinfo=UTC)


# -- reasons -----------------------------------------------------------------------------------


def test_reasons_say_what_was_compared() -> None:
    rule = {
        "all": [
            {"trait": "country", "op": "in", "value": ["DE", "AT"]},
            {"not": {"fact": "last_order_at", "op": "newer_than", "seconds": MONTH}},
            {"event": "Product Viewed", "within_seconds": 604_800, "op": "gte", "value": 3},
            {
                "event": "Order Completed",
                "aggregate": "sum",
                "property": "revenue",
                "currency": "USD",
                "where": [{"property": "coupon", "op": "equals", "value": "X"}],
                "op": "gt",
                "value": 5,
            },
        ]
    }
    counted = key({"event": "Product Viewed", "within_seconds": 604_800, "op": "gte", "value": 3})
    person = Person(
        traits={"country": "FR"},
        last_order_at=NOW - timedelta(days=3),
        computed={counted: ComputedValue(times=ms(9, 5, 1))},
    )

    found = reasons(compile_segment("s", 1, segment(rule)), person, micros(NOW))

    assert [(one.condition, one.actual, one.holds) for one in found] == [
        ('country in ("DE", "AT")', "FR", False),
        ("last_order_at newer than 30 days", "2026-02-26T12:00:00Z", True),
        ("count of Product Viewed in 7 days >= 3", 3, True),
        (
            'sum of revenue in USD of Order Completed where coupon = "X" > 5 (not computed yet)',
            None,
            False,
        ),
    ]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (1, "1 second"),
        (90, "90 seconds"),
        (3600, "1 hour"),
        (129_600, "36 hours"),
        (MONTH, "30 days"),
    ],
)
def test_durations_are_told_in_the_largest_whole_unit(seconds: int, words: str) -> None:
    assert duration(seconds) == words


# -- the plan ----------------------------------------------------------------------------------


def test_a_change_touches_only_the_segments_that_read_it() -> None:
    rules = {
        "country": {"trait": "country", "op": "exists"},
        "city": {"trait": "address.city", "op": "exists"},
        "orders": {"fact": "order_count", "op": "gt", "value": 0},
        "mail": {"fact": "identifiers.email", "op": "exists"},
        "seen": {"fact": "last_seen", "op": "older_than", "seconds": 60},
        "views": {"fact": "counters.Product Viewed", "op": "gt", "value": 0},
        "consent": {"fact": "consent.email", "op": "exists"},
    }
    plan = Plan([compile_segment(name, 1, segment(rule)) for name, rule in rules.items()])

    def touched(*changed: str) -> set[str]:
        return {one.key for one in plan.touched(changed, [])} - {"seen"}

    assert [one.key for one in plan.touched([], [])] == ["seen"]  # every event changes it
    assert touched("traits.country") == {"country"}
    assert touched("traits.address") == {"city"}
    assert touched("traits") == {"country", "city"}
    assert touched("orders") == {"orders"}
    assert touched("identifiers.user_id") == {"mail"}
    assert touched("counters.PRODUCT VIEWED") == {"views"}
    assert touched("consent.email", "unheard.of") == {"consent"}
    assert touched("consent.sms") == set()


def test_a_plans_fingerprint_follows_its_versions() -> None:
    rule = segment({"trait": "a", "op": "exists"})

    def fingerprint(**versions: int) -> str:
        return Plan([compile_segment(key, v, rule) for key, v in versions.items()]).fingerprint

    assert fingerprint(a=1, b=1) == fingerprint(b=1, a=1)
    assert len({fingerprint(), fingerprint(a=1), fingerprint(a=2), fingerprint(a=1, b=1)}) == 4


def test_a_segment_says_what_it_waits_for_and_when_everybody_was_asked() -> None:
    viewed = {"event": "Product Viewed", "within_seconds": 3600, "op": "gte", "value": 2}
    both = segment({"any": [viewed, {"event": "Cart Viewed", "op": "exists", "value": True,
                                     "aggregate": "last", "property": "coupon"}]})  # fmt: skip
    stored = Stored(key="keen", version=2, body=encode(dump(both)), at=0)
    waits = next(key for key, trait in traits_of(stored.segment().rule).items()
                 if trait.window_seconds)  # fmt: skip

    def state(*outlooks: Outlook) -> tuple[str, list[str]]:
        told = shown(stored, {"keen": 7}, outlooks)
        return told.state, [one.condition for one in told.waiting_for]

    def partition(version: int, *waiting: str, done: bool = True) -> Outlook:
        return Outlook(done=done, heard={"keen": Heard(version=version, waits=waiting)})

    every = [partition(2)] * PROFILE_PARTITIONS
    assert state(*every) == ("ready", [])
    assert state(*every[1:]) == ("evaluating", [])
    assert state(*every[1:], partition(1, waits)) == ("evaluating", [])
    assert state(*every[1:], partition(2, done=False)) == ("evaluating", [])
    condition = "count of Product Viewed in 1 hour >= 2"
    assert state(*every[1:], partition(2, waits)) == ("waiting", [condition])


def test_a_person_has_the_fields_of_a_published_profile() -> None:
    theirs = {field.name: field.type for field in msgspec.structs.fields(Profile)}
    ours = {field.name: field.type for field in msgspec.structs.fields(Person)}
    assert ours.items() <= theirs.items()
    assert Standing(profile_id="p").read() is None

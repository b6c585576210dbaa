"""Tracking plans: what may stand in one, and what becomes of events that do not fit."""

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from pydantic import ValidationError

from schemas.validation import Fault
from services.ingest.model import Accepted, Receipt, Shared
from services.ingest.plans.directory import Plans
from services.ingest.plans.judge import PlanJudge, Violation
from services.ingest.plans.model import Plan, check_plan
from services.ingest.plans.shapes import PlanBody
from services.ingest.plans.tally import MOST_RULES, OTHERS, Day, Row, Tallies
from services.ingest.rules import accept
from services.ingest.sources.model import Source
from tests.ingesting import Published, Shelf, client_of

NOW = datetime(2026, 3, 14, 9, 30, tzinfo=UTC)
ORDER = {
    "type": "object",
    "required": ["order_id", "total"],
    "properties": {
        "order_id": {"type": "string", "pattern": "^o-[0-9]+$"},
        "total": {"type": ["number", "string"]},
        "products": {
            "items": {"$ref": "#/$defs/line"},
        },
    },
    "$defs": {"line": {"properties": {"price": {"type": "number"}}, "required": ["price"]}},
}


class Counted:
    """A tally that keeps what it is told."""

    def __init__(self) -> None:
        self.violations: list[Violation] = []

    def count(self, plan: str, violation: Violation) -> None:
        assert plan == "shop"
        self.violations.append(violation)


def plan(**said: Any) -> Plan:
    made = PlanBody.model_validate(said).plan()
    assert check_plan(made) == []
    return made


def judged(
    made: Plan, event: dict[str, Any], counted: Counted | None = None
) -> dict[str, Any] | Fault:
    judge = PlanJudge("shop", made, counted or Counted())
    receipt = Receipt("web", NOW, lambda: "made-up", None, judge)
    said = {"type": "track", "userId": "ada", "messageId": "m"} | event
    outcome = accept(json.dumps(said).encode(), None, Shared(), receipt)
    if not isinstance(outcome, Accepted):
        return outcome[0]
    value: dict[str, Any] = json.loads(outcome.value)
    return value


def order(**properties: Any) -> dict[str, Any]:
    return {"event": "Order Completed", "properties": {"order_id": "o-1"} | properties}


GOOD = order(total="12.50", products=[{"price": 1.25}])
BAD = order(order_id="Ada", total=5, products=[{"price": 1}, {"price": "1.50"}, {}])


def test_an_event_that_fits_is_taken_as_if_there_were_no_plan() -> None:
    counted = Counted()
    value = judged(
        plan(mode="block", events={"order COMPLETED ": {"schema": ORDER}}), GOOD, counted
    )
    assert isinstance(value, dict)
    assert "flags" not in value
    assert counted.violations == []


def test_block_refuses_and_says_where_and_which_rule_but_no_value() -> None:
    refused = judged(plan(mode="block", events={"Order Completed": {"schema": ORDER}}), BAD)
    assert refused == Fault(
        "plan_violation",
        "/order_id: pattern; /products/1/price: type; /products/2/price: required",
    )


def test_warn_flags_and_allow_counts_only() -> None:
    found = {
        Violation("Order Completed", "/order_id", "pattern"),
        Violation("Order Completed", "/products/*/price", "type"),
        Violation("Order Completed", "/products/*/price", "required"),
    }
    for mode, flags in (("warn", ["plan_violation"]), ("allow", None)):
        counted = Counted()
        made = plan(mode="block", events={"Order Completed": {"schema": ORDER, "mode": mode}})
        value = judged(made, BAD, counted)
        assert isinstance(value, dict)
        assert value.get("flags") == flags
        assert set(counted.violations) == found
        assert len(counted.violations) == len(found)


def test_a_warning_stands_beside_other_flags() -> None:
    value = judged(
        plan(events={"Order Completed": {"schema": False}}),
        order(tax=9, total=1, revenue=1, shipping=0),
    )
    assert isinstance(value, dict)
    assert value["flags"] == ["amounts_disagree", "plan_violation"]


def test_the_plan_sees_properties_in_the_contracts_form() -> None:
    sloppy = {"event": "order completed", "properties": {"orderId": " o-1", "Total": 5}}
    assert isinstance(
        judged(plan(mode="block", events={"Order Completed": {"schema": ORDER}}), sloppy), dict
    )


@pytest.mark.parametrize(
    ("policy", "outcome"), [("allow", None), ("warn", ["plan_violation"]), ("block", "refused")]
)
def test_an_event_that_the_plan_does_not_name_meets_its_policy(policy: str, outcome: Any) -> None:
    counted = Counted()
    made = plan(unknown_events=policy, events={"Order Completed": {"schema": ORDER}})
    value = judged(made, {"event": "Loyalty Card Scanned"}, counted)
    if outcome == "refused":
        assert value == Fault("plan_violation", "unknown_event: the plan does not name this event.")
    else:
        assert isinstance(value, dict)
        assert value.get("flags") == outcome
    expected = [] if outcome is None else [Violation("Loyalty Card Scanned", "", "unknown_event")]
    assert counted.violations == expected
    page = judged(made, {"type": "page", "name": "Home"})
    assert isinstance(page, dict)
    assert "flags" not in page


def test_traits_of_a_person_are_promised_too() -> None:
    made = plan(mode="block", calls={"identify": {"schema": {"required": ["email"]}}})
    person = {"type": "identify", "traits": {"name": "Ada"}}
    assert judged(made, person) == Fault("plan_violation", "/email: required")
    assert isinstance(judged(made, person | {"traits": {"email": "a@b.example"}}), dict)


def test_names_that_may_be_somebodys_are_not_repeated() -> None:
    counted = Counted()
    schema = {
        "properties": {"a": {"properties": {"b": {}}, "additionalProperties": False}},
        "additionalProperties": {"type": "number"},
    }
    properties = {"ada@shop.example": "x", "a": {"+49301234567": 1, "colour": 2}}
    made = plan(mode="block", events={"Sent": {"schema": schema}})
    refused = judged(made, {"event": "Sent", "properties": properties}, counted)
    assert isinstance(refused, Fault)
    assert "ada" not in refused.detail
    assert "4930" not in refused.detail
    assert {one.pointer for one in counted.violations} == {"/*", "/a/*", "/a/colour"}


def test_exact_numbers_of_any_size_are_judged() -> None:
    schema = {"properties": {"a": {"multipleOf": 0.01, "maximum": 1e300}}}
    made = plan(mode="block", events={"Sent": {"schema": schema}})
    for text in ("19.99", "1e299", "123456789012345678901234567890", "-0.0", "1E-3"):
        event = (
            b'{"type":"track","event":"Sent","userId":"u","properties":{"a":'
            + text.encode()
            + b"}}"
        )
        judge = PlanJudge("shop", made, Counted())
        outcome = accept(event, None, Shared(), Receipt("web", NOW, lambda: "m", None, judge))
        assert isinstance(outcome, Accepted) == (text != "1E-3"), text


TOWER = {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(40)} | {"d40": {}}


@pytest.mark.parametrize(
    ("schema", "code"),
    [
        ({"type": "text"}, "bad_schema"),
        ({"pattern": "(?=a)b"}, "bad_schema"),
        ({"pattern": r"(a)\1"}, "bad_schema"),
        ({"pattern": "("}, "bad_schema"),
        ({"pattern": "(a{1000}){1000}"}, "bad_schema"),
        ({"patternProperties": {"(?!a)": {}}}, "bad_schema"),
        ({"$schema": "http://json-schema.org/draft-07/schema#"}, "bad_schema"),
        ({"$ref": "https://shop.example/schema"}, "bad_ref"),
        ({"$ref": "#"}, "bad_ref"),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}, "bad_ref"),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"items": {"$ref": "#/$defs/a"}}}}, "bad_ref"),
        ({"$ref": "#/$defs/missing"}, "bad_ref"),
        ({"$ref": 7}, "bad_ref"),
        ({"$id": "https://shop.example/"}, "bad_ref"),
        ({"$dynamicRef": "#a"}, "bad_ref"),
        ({"$ref": "#/$defs/d0", "$defs": TOWER}, "schema_too_large"),
        ({"enum": ["x" * 70_000]}, "schema_too_large"),
    ],
)
def test_a_schema_that_could_cost_or_reach_too_much_is_refused(schema: Any, code: str) -> None:
    body = PlanBody.model_validate({"events": {"Sent": {"schema": schema}}})
    [misfit] = check_plan(body.plan())
    assert (misfit.at, misfit.fault.code) == ("events.Sent.schema", code)


def test_a_deep_schema_is_refused() -> None:
    schema: dict[str, Any] = {}
    for _ in range(50):
        schema = {"items": schema}
    [misfit] = check_plan(PlanBody.model_validate({"events": {"Sent": {"schema": schema}}}).plan())
    assert misfit.fault.code == "schema_too_large"


def test_a_plan_has_its_limits() -> None:
    many = {f"Event {n}": {"schema": True} for n in range(301)}
    large = {f"Event {n}": {"schema": {"description": "x" * 60_000}} for n in range(5)}
    twice = {"Order Completed": {"schema": True}, "order completed": {"schema": True}}
    for events, code in ((many, "too_many_events"), (large, "plan_too_large"), (twice, "twice")):
        [misfit] = check_plan(PlanBody.model_validate({"events": events}).plan())
        assert misfit.fault.code == code
    with pytest.raises(ValidationError):
        PlanBody.model_validate({"events": {"A": {"schema": {}, "modes": "block"}}})
    with pytest.raises(ValueError, match="name"):
        PlanBody.model_validate({"events": {" ": {"schema": {}}}}).plan()


def test_violations_are_counted_by_rule_and_day_and_stored_again_after_trouble() -> None:
    now = [NOW]
    tallies = Tallies(lambda: now[0])
    total = Violation("Order Completed", "/total", "required")
    tallies.count("shop", total)
    tallies.count("shop", total)
    day = NOW.replace(hour=0, minute=0)
    first = Day("shop", day, [Row("Order Completed", "/total", "required", 2, NOW)])
    assert tallies.changed() == [first]
    assert tallies.changed() == []
    tallies.give_back([first])
    assert tallies.changed() == [first]
    now[0] = NOW.replace(day=15)
    tallies.count("shop", total)
    [second] = tallies.changed()
    assert (second.day.day, second.rows[0].count) == (15, 1)


def test_rules_beyond_a_number_are_counted_together() -> None:
    tallies = Tallies(lambda: NOW)
    for number in range(MOST_RULES + 3):
        tallies.count("shop", Violation(f"Event {number}", "", "unknown_event"))
    [day] = tallies.changed()
    assert len(day.rows) == MOST_RULES + 1
    assert msgspec.structs.astuple(day.rows[-1])[:4] == (*msgspec.structs.astuple(OTHERS), 3)


def publish(published: Published, **said: Any) -> None:
    published.put_plan("shop", msgspec.to_builtins(plan(**said)))


def test_a_source_is_judged_by_its_plan_as_it_now_stands() -> None:
    published = Published()
    plans = Plans(Counted(), published)
    source = Source(name="web", plan="shop")
    assert plans.of(source) is None
    publish(published, unknown_events="warn")
    first = plans.of(source)
    assert first is not None
    assert plans.of(source) is first
    assert plans.of(Source(name="web")) is None
    publish(published, unknown_events="block")
    assert plans.of(source) is not first
    published.put_plan("shop", {"events": {"Sent": {"schema": {"type": "nonsense"}}}})
    assert plans.of(source) is None


async def test_a_blocked_event_is_refused_at_the_door_and_its_neighbour_taken() -> None:
    published, shelf = Published(), Shelf()
    published.put(Source(name="web", plan="shop"))
    publish(published, mode="block", events={"Order Completed": {"schema": ORDER}})
    batch = [
        {"type": "track", "userId": "u", "messageId": f"m{n}"} | one
        for n, one in enumerate((BAD, GOOD))
    ]
    async with client_of(shelf, published=published) as client:
        response = await client.post("/v1/batch", json={"batch": batch})
        metrics = (await client.get("/metrics")).text
    answer = response.json()
    assert (response.status_code, answer["accepted"]) == (200, 1)
    assert [one["code"] for one in answer["rejected"]] == ["plan_violation"]
    assert (
        'regulars_ingest_plan_violations_total{event="Order Completed",plan="shop",rule="pattern"}'
        in metrics
    )

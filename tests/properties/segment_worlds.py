"""Random rules and people, and a slow and simple judge of them (no shared code)."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from hypothesis import strategies as st

from schemas.messages import ComputedValue, Consent, Identifier, Money
from services.segmentation.model import Person, Segment
from services.segmentation.rules.computed import key_of, trait_of, traits_of
from services.segmentation.rules.parse import parse

START = datetime(2026, 1, 10, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
SPANS = (60, 300, 600, 1800)
EVENTS = ("Product Viewed", "Order Completed")

spans = st.sampled_from(SPANS)
minutes = st.integers(-40, 40)
instants = minutes.map(lambda offset: START + offset * MINUTE)
compare = st.sampled_from(["equals", "not_equals", "gt", "gte", "lt", "lte"])
texts = st.sampled_from(["DE", "de", "Berlin", "7", ""])
scalars = st.one_of(texts.filter(bool), st.integers(-3, 9), st.booleans())

trait_names = st.sampled_from(["country", "age", "age", "since", "address.city", "tags"])


def _trait(op: str, **more: Any) -> Any:
    fields = {key: value for key, value in more.items() if not key.startswith("_")}
    return st.fixed_dictionaries({"trait": trait_names, "op": st.just(op), **fields})


trait_conditions = st.one_of(
    _trait("equals", value=scalars),
    _trait("not_equals", value=scalars),
    _trait("in", value=st.lists(scalars, min_size=1, max_size=3)),
    _trait("contains", value=st.sampled_from(["e", "VIP", "ber"])),
    _trait("starts_with", value=st.sampled_from(["d", "Be"])),
    _trait("exists", value=st.booleans()),
    st.builds(
        lambda name, op, value: {"trait": name, "op": op, "value": value},
        trait_names,
        st.sampled_from(["gt", "gte", "lt", "lte"]),
        st.integers(-3, 9),
    ),
    st.builds(
        lambda op, at: {"trait": "since", "op": op, "value": at.isoformat()},
        st.sampled_from(["before", "after"]),
        instants,
    ),
    st.builds(
        lambda op, span: {"trait": "since", "op": op, "seconds": span},
        st.sampled_from(["older_than", "newer_than"]),
        spans,
    ),
)
fact_conditions = st.one_of(
    st.builds(
        lambda fact, op, value: {"fact": fact, "op": op, "value": value},
        st.sampled_from(["order_count", "interactions", "counters.product viewed"]),
        compare,
        st.integers(0, 4),
    ),
    st.builds(
        lambda op, value: {"fact": "revenue", "currency": "USD", "op": op, "value": value},
        compare,
        st.sampled_from(["0", "10.00", "19.99"]),
    ),
    st.builds(
        lambda fact, op, span: {"fact": fact, "op": op, "seconds": span},
        st.sampled_from(["last_order_at", "first_seen", "last_seen"]),
        st.sampled_from(["older_than", "newer_than"]),
        spans,
    ),
    st.builds(
        lambda op, value: {"fact": "consent.email", "op": op, "value": value},
        st.sampled_from(["equals", "not_equals"]),
        st.sampled_from(["granted", "denied"]),
    ),
    st.just({"fact": "identifiers.email", "op": "exists"}),
)
counts = st.builds(
    lambda event, window, op, value: {
        "event": event,
        "within_seconds": window,
        "op": op,
        "value": value,
    },
    st.sampled_from(EVENTS),
    st.none() | spans,
    compare,
    st.integers(0, 4),
)
sums = st.builds(
    lambda window, op, value: {
        "event": "Order Completed",
        "aggregate": "sum",
        "property": "revenue",
        "currency": "USD",
        "within_seconds": window,
        "op": op,
        "value": value,
    },
    st.none() | spans,
    compare,
    st.sampled_from(["0", "5.50", "20"]),
)
AMOUNTS_OF = ("average", "min", "max")
VALUES_OF = ("first", "last", "most_frequent", "unique_list")
items = st.sampled_from(["Ox", "oxen", "7", 7, Decimal("2.5"), 1, True])
_asked = st.one_of(
    st.builds(
        lambda op, value: {"op": op, "value": value},
        st.sampled_from(["equals", "not_equals"]),
        items,
    ),
    st.builds(lambda value: {"op": "in", "value": value}, st.lists(items, min_size=1)),
    st.just({"op": "starts_with", "value": "ox"}),
    st.builds(lambda value: {"op": "exists", "value": value}, st.booleans()),
    st.builds(lambda value: {"op": "gte", "value": value}, st.sampled_from([2, 7])),
)


@st.composite
def aggregated(draw: Any, aggregate: str) -> dict[str, Any]:
    """A rule that is one condition with this aggregate of a property."""
    rule = {"event": "Order Completed", "aggregate": aggregate, "property": "brand"}
    rule["within_seconds"] = draw(st.none() | spans)
    if aggregate in VALUES_OF:
        return rule | draw(_asked)
    rule["op"] = draw(compare)
    if aggregate == "unique_count":
        return rule | {"value": draw(st.integers(0, 4))}
    value = draw(st.sampled_from(["0", "5.50", "7.745", "9.99", "11.83"]))
    return rule | {"property": "revenue", "currency": "USD", "value": value}


others = st.sampled_from([*AMOUNTS_OF, "unique_count", *VALUES_OF]).flatmap(aggregated)
rules = st.recursive(
    # Each kind as likely as the others, however many forms it has.
    st.sampled_from([trait_conditions, fact_conditions, counts, counts, sums, others]).flatmap(
        lambda kind: kind
    ),
    lambda parts: st.one_of(
        st.lists(parts, min_size=1, max_size=3).map(lambda some: {"all": some}),
        st.lists(parts, min_size=1, max_size=3).map(lambda some: {"any": some}),
        parts.map(lambda one: {"not": one}),
    ),
    max_leaves=6,
)

amounts = st.sampled_from([Decimal("-2.00"), Decimal("5.50"), Decimal("9.99"), Decimal("20.00")])


@st.composite
def computed_values(draw: Any, condition: Any, now: datetime) -> ComputedValue:
    """What profile could hold for a behaviour condition; a few times are yet to come."""
    aggregate = condition.aggregate
    if condition.within_seconds is None:
        if aggregate in ("count", "unique_count"):
            return ComputedValue(count=draw(st.integers(0, 5)))
        if aggregate == "unique_list":
            return ComputedValue(items=draw(st.lists(items, max_size=4)))
        if aggregate in ("first", "last", "most_frequent"):
            return ComputedValue(value=draw(st.none() | items))
        held = draw(st.dictionaries(st.sampled_from(["USD", "EUR"]), amounts))
        return ComputedValue(sums=held) if aggregate == "sum" else ComputedValue(amounts=held)
    offsets = draw(st.lists(st.integers(-2_000, 0) | st.integers(-90, 30), max_size=6))
    base = int(now.timestamp() * 1000)
    times = sorted(base + offset * 1000 + draw(st.integers(0, 3)) for offset in offsets)
    return draw(_entries(aggregate, times))


@st.composite
def windowed(draw: Any, aggregate: str) -> ComputedValue:
    """Several entries that leave one after the other, some at the same time."""
    base = int(START.timestamp() * 1000)
    steps = draw(st.lists(st.integers(0, 5), min_size=2, max_size=8))
    return draw(_entries(aggregate, sorted(base - 10_000 * step for step in steps)))


@st.composite
def _entries(draw: Any, aggregate: str, times: list[int]) -> ComputedValue:
    if aggregate == "count":
        return ComputedValue(times=times)
    size = len(times)
    if aggregate in ("sum", "average", "min", "max"):
        values = draw(st.lists(amounts, min_size=size, max_size=size))
        codes = draw(st.lists(st.sampled_from(["USD", "EUR"]), min_size=size, max_size=size))
        return ComputedValue(times=times, values=values, currencies=codes)
    return ComputedValue(times=times, items=draw(st.lists(items, min_size=size, max_size=size)))


@st.composite
def people(draw: Any, segments: Iterable[Segment], now: datetime = START) -> Person:
    """A person about whom some of the segments' computed traits may be missing."""
    computed = {}
    for condition in [one for segment in segments for one in behaviours(segment.rule)]:
        key = key_of(trait_of(condition))
        if key not in computed and draw(st.integers(0, 4)):
            computed[key] = draw(computed_values(condition, now))
    traits = draw(
        st.fixed_dictionaries(
            {},
            optional={
                "country": texts,
                "age": st.integers(-3, 9) | st.just("7") | st.just(Decimal("6.50")) | st.booleans(),
                "since": instants.map(datetime.isoformat) | st.just("yesterday"),
                "address": st.just({"city": "Berlin"}) | st.just([{"city": "Bern"}]) | st.just(1),
                "tags": st.lists(st.sampled_from(["vip", "de", 7, None]), max_size=3),
            },
        )
    )
    said = draw(st.none() | st.sampled_from(["granted", "denied", "withdrawn"]))
    return Person(
        profile_id="p",
        identifiers=draw(st.sampled_from([[], [Identifier("email", "a@example.com")]])),
        traits=traits,
        consent={} if said is None else {"email": Consent(state=said, at=START, message_id="m")},
        first_seen=draw(st.none() | instants),
        last_seen=draw(st.none() | instants),
        interactions=draw(st.integers(0, 4)),
        counters=draw(
            st.dictionaries(
                st.sampled_from(["Product Viewed", "product viewed", "x"]), st.integers(1, 3)
            )
        ),
        order_count=draw(st.integers(0, 4)),
        revenue=draw(
            st.sampled_from([[], [Money(Decimal("9"), "EUR"), Money(Decimal("10.00"), "USD")]])
        ),
        last_order_at=draw(st.none() | instants),
        computed=computed,
    )


def behaviours(node: Any) -> list[Any]:
    """The behaviour conditions of a rule tree."""
    if hasattr(node, "parts"):
        return [found for part in node.parts for found in behaviours(part)]
    if hasattr(node, "part"):
        return behaviours(node.part)
    return [node] if hasattr(node, "aggregate") else []


def segment_of(rule: dict[str, Any]) -> Segment:
    """The checked segment of a rule that is right."""
    segment = parse({"name": "a segment", "rule": rule})
    assert isinstance(segment, Segment), segment
    return segment


def keys_of(rule: dict[str, Any]) -> dict[str, Any]:
    """The computed traits of a rule."""
    return dict(traits_of(segment_of(rule).rule))


# -- the judge ---------------------------------------------------------------------------

_OPS = {
    "equals": lambda a, b: a == b,
    "not_equals": lambda a, b: a != b,
    "gt": lambda a, b: a > b,
    "gte": lambda a, b: a >= b,
    "lt": lambda a, b: a < b,
    "lte": lambda a, b: a <= b,
}


def judge(rule: dict[str, Any], person: Person, now: datetime) -> bool | None:
    """Membership by the book, on the JSON of the rule; None: not known yet."""
    if "all" in rule or "any" in rule:
        answers = [judge(part, person, now) for part in rule.get("all") or rule["any"]]
        wins = "any" in rule
        if wins in answers:
            return wins
        return None if None in answers else not wins
    if "not" in rule:
        answer = judge(rule["not"], person, now)
        return None if answer is None else not answer
    if "trait" in rule:
        return _judge_values(rule, _trait_values(person.traits, rule["trait"]), now)
    if "fact" in rule:
        return _judge_fact(rule, person, now)
    return _judge_behaviour(rule, person, now)


def _trait_values(traits: Any, name: str) -> list[Any]:
    values = [traits]
    for step in [name] if name in traits else name.split("."):
        flat = [one for value in values for one in (value if isinstance(value, list) else [value])]
        values = [value[step] for value in flat if isinstance(value, dict) and step in value]
    flat = [one for value in values for one in (value if isinstance(value, list) else [value])]
    return [value for value in flat if value is not None]


def _decimal(value: Any) -> Decimal | None:
    if isinstance(value, bool):
        return None
    try:
        return Decimal(value)
    except (ArithmeticError, TypeError, ValueError):
        return None


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    left, right = _decimal(a), _decimal(b)
    return bool(a == b if left is None or right is None else left == right)


def _date(value: Any) -> datetime | None:
    if isinstance(value, datetime):
        return value
    try:
        return datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None


def _judge_values(rule: dict[str, Any], values: list[Any], now: datetime) -> bool:
    op, value = rule["op"], rule.get("value")
    if op == "exists":
        return bool(values) is (value is not False)
    if op == "not_equals":
        return not any(_same(one, value) for one in values)
    if op == "equals":
        return any(_same(one, value) for one in values)
    if op == "in":
        return any(_same(one, choice) for one in values for choice in value)
    if op in ("contains", "starts_with"):
        low = [one.lower() for one in values if isinstance(one, str)]
        wanted = value.lower()
        return any(wanted in one if op == "contains" else one.startswith(wanted) for one in low)
    if op in ("before", "after", "older_than", "newer_than"):
        dates = [at for one in values if (at := _date(one)) is not None]
        if "seconds" in rule:
            limit = now - timedelta(seconds=rule["seconds"])
            return any((at <= limit) is (op == "older_than") for at in dates)
        limit = datetime.fromisoformat(value)
        return any(at < limit if op == "before" else at > limit for at in dates)
    known = [number for one in values if (number := _decimal(one)) is not None]
    return any(_OPS[op](number, value) for number in known)


def _judge_fact(rule: dict[str, Any], person: Person, now: datetime) -> bool:
    family, _, name = rule["fact"].partition(".")
    if family == "counters":
        counts = person.counters.items()
        value = sum(count for event, count in counts if event.lower() == name.lower())
        return bool(_OPS[rule["op"]](value, rule["value"]))
    if family == "consent":
        return _judge_values(rule, [c.state for n, c in person.consent.items() if n == name], now)
    if family == "identifiers":
        known = [one.value for one in person.identifiers if one.type == name]
        return _judge_values(rule, known, now)
    if family == "revenue":
        total = sum((m.amount for m in person.revenue if m.currency == rule["currency"]), Decimal())
        return bool(_OPS[rule["op"]](total, Decimal(rule["value"])))
    value = getattr(person, family)
    if "seconds" in rule:
        return _judge_values(rule, [] if value is None else [value], now)
    return bool(_OPS[rule["op"]](value, rule["value"]))


def _judge_behaviour(rule: dict[str, Any], person: Person, now: datetime) -> bool | None:
    [key] = keys_of(rule)
    value = person.computed.get(key)
    if value is None:
        return None
    aggregate = rule.get("aggregate", "count")
    found = _whole(aggregate, value)
    if rule.get("within_seconds") is not None:
        window = timedelta(seconds=rule["within_seconds"])
        times = [
            datetime(1970, 1, 1, tzinfo=UTC) + t * timedelta(milliseconds=1) for t in value.times
        ]
        inside = [now - window < at <= now for at in times]
        found = _inside(aggregate, value, inside)
    if isinstance(found, list):
        return _judge_values(rule, found, now)
    if found is None:
        return bool(rule["op"] == "not_equals")
    return bool(_OPS[rule["op"]](found, Decimal(rule["value"])))


def _whole(aggregate: str, value: ComputedValue) -> Any:
    if aggregate in ("count", "unique_count"):
        return value.count
    if aggregate == "sum":
        return (value.sums or {}).get("USD", Decimal(0))
    if aggregate in ("average", "min", "max"):
        return (value.amounts or {}).get("USD")
    if aggregate == "unique_list":
        return value.items
    return [] if value.value is None else [value.value]


def _inside(aggregate: str, value: ComputedValue, inside: list[bool]) -> Any:
    """The aggregate of the entries that are in the window."""
    if aggregate == "count":
        return sum(inside)
    if aggregate in ("sum", "average", "min", "max"):
        entries = zip(inside, value.values or [], value.currencies or [], strict=True)
        some = [amount for yes, amount, code in entries if yes and code == "USD"]
        if aggregate == "sum":
            return sum(some, Decimal(0))
        if not some:
            return None
        mean = (sum(some, Decimal(0)) / len(some)).quantize(Decimal("0.000001"), ROUND_HALF_EVEN)
        return {"average": mean, "min": min(some), "max": max(some)}[aggregate]
    held = [item for yes, item in zip(inside, value.items or [], strict=True) if yes]
    if aggregate == "unique_count":
        return len({(type(item), item) for item in held})
    if aggregate == "most_frequent":
        written = [str(item).lower() if not isinstance(item, str) else f'"{item}"' for item in held]
        best = sorted(written, key=lambda text: (-written.count(text), text))[:1]
        return [held[written.index(text)] for text in best]
    return {"first": held[:1], "last": held[-1:], "unique_list": held}[aggregate]


def edges(rule: dict[str, Any], person: Person) -> set[datetime]:
    """Every instant at which time could change anything, and some that it could not."""
    found = {person.first_seen, person.last_seen, person.last_order_at}
    found |= {_date(value) for value in [person.traits.get("since")]}
    for value in person.computed.values():
        epoch = datetime(1970, 1, 1, tzinfo=UTC)
        found |= {epoch + t * timedelta(milliseconds=1) for t in value.times or ()}
    whole = {at for at in found if at is not None}
    return whole | {at + timedelta(seconds=span) for at in whole for span in SPANS}

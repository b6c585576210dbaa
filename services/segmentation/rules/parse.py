"""From JSON to a checked definition, or to everything that is wrong with it, and back.

Definitions are data: nothing that a user typed is ever evaluated as code.
"""

import re
from typing import Any

from schemas.messages import PropertyCondition
from services.segmentation.model import (
    All,
    Any_,
    BehaviourCondition,
    FactCondition,
    Node,
    Not,
    Problem,
    Segment,
    TraitCondition,
)
from services.segmentation.rules import vocabulary as words
from services.segmentation.rules.fields import Fields
from services.segmentation.rules.vocabulary import Kind

_CURRENCY = re.compile(r"[A-Z]{3}")
_NODES = ("all", "any", "not", "trait", "fact", "event")


def parse(body: Any) -> Segment | list[Problem]:
    """The segment of a definition's body, or what is wrong with it, in order of appearance."""
    problems: list[Problem] = []
    fields = Fields(body, "$", problems)
    fields.only("name", "description", "rule")
    name = fields.text("name", longest=100)
    description = fields.text("description", longest=1_000, required=False) or ""
    rule = None
    if not isinstance(body, dict) or "rule" not in body:
        fields.fail("rule", "is required")
    else:
        rule = _Tree(problems).node(body["rule"], "$.rule", 1)
    if problems or name is None or rule is None:
        return problems
    return Segment(name=name, description=description, rule=rule)


class _Tree:
    """Walks one rule; counts its conditions."""

    def __init__(self, problems: list[Problem]) -> None:
        self._problems = problems
        self._conditions = 0

    def node(self, body: Any, path: str, depth: int) -> Node | None:
        """The node at ``path``; None after noting a problem."""
        if depth > words.MAX_DEPTH:
            self._problems.append(Problem(path, f"is nested deeper than {words.MAX_DEPTH} levels"))
            return None
        fields = Fields(body, path, self._problems)
        kinds = [kind for kind in _NODES if kind in fields.body]
        if len(kinds) != 1:
            if isinstance(body, dict):
                fields.fail("", f"must have exactly one of {', '.join(_NODES)}")
            return None
        if kinds[0] in ("all", "any"):
            return self._group(fields, kinds[0], depth)
        if kinds[0] == "not":
            fields.only("not")
            part = self.node(fields.body["not"], f"{path}.not", depth + 1)
            return None if part is None else Not(part)
        self._conditions += 1
        if self._conditions == words.MAX_CONDITIONS + 1:
            fields.fail("", f"is one condition too many: at most {words.MAX_CONDITIONS}")
        return {"trait": _trait, "fact": _fact, "event": _behaviour}[kinds[0]](fields)

    def _group(self, fields: Fields, kind: str, depth: int) -> Node | None:
        fields.only(kind)
        items = fields.body[kind]
        if not isinstance(items, list) or not items:
            fields.fail(kind, "must be a list with at least one part")
            return None
        if len(items) > words.MAX_CONDITIONS:
            fields.fail(kind, f"must have at most {words.MAX_CONDITIONS} parts")
            return None
        path = f"{fields.path}.{kind}"
        parts = [self.node(item, f"{path}[{i}]", depth + 1) for i, item in enumerate(items)]
        whole = tuple(part for part in parts if part is not None)
        return All(whole) if kind == "all" else Any_(whole)


def _trait(fields: Fields) -> Node | None:
    fields.only("trait", "op", "value", "seconds")
    name = fields.text("trait", longest=200)
    op = fields.choice("op", words.OPERATORS["trait"])
    if name is None or op is None:
        return None
    value, seconds = _operand(fields, op, "trait")
    return TraitCondition(trait=name, op=op, value=value, seconds=seconds)


def _fact(fields: Fields) -> Node | None:
    fields.only("fact", "op", "value", "seconds", "currency")
    name = fields.text("fact", longest=220)
    if name is None:
        return None
    family, _, rest = name.partition(".")
    kind = words.FAMILIES.get(family) if rest.strip() else words.FACTS.get(name)
    if kind is None:
        known = [*words.FACTS, *(f"{family}.<name>" for family in words.FAMILIES)]
        fields.fail("fact", f"must be one of {', '.join(known)}")
        return None
    if family == "devices" and rest not in words.DEVICE_PARTS:
        fields.fail("fact", f"must name one of {', '.join(words.DEVICE_PARTS)} of devices")
        return None
    currency = _currency(fields, needed=kind == "money", why="only money has one")
    op = fields.choice("op", words.OPERATORS[kind])
    if op is None:
        return None
    value, seconds = _operand(fields, op, kind)
    return FactCondition(fact=name, op=op, value=value, seconds=seconds, currency=currency)


def _behaviour(fields: Fields) -> Node | None:
    names = ("event", "aggregate", "property", "currency", "where", "within_seconds", "op", "value")
    fields.only(*names)
    event = fields.text("event", longest=200)
    aggregate: Any = "count"
    if "aggregate" in fields.body:
        aggregate = fields.choice("aggregate", words.AGGREGATES) or "count"
    property_ = fields.text("property", longest=200, required=aggregate != "count")
    if property_ is not None and aggregate == "count":
        fields.fail("property", "is for other aggregates: a count takes none (see where)")
    name = (property_ or "").rpartition(".")[2].lower()
    money = aggregate in words.NUMERIC and name in words.MONEY
    currency = _currency(fields, needed=money, why="only amounts of money have one")
    where = _where(fields)
    window = fields.seconds("within_seconds", required=False)
    numeric = aggregate in words.NUMERIC or aggregate in words.COUNTED
    op = fields.choice("op", words.COMPARISONS if numeric else words.VALUE_OPERATORS)
    if op is None:
        return None
    value = _threshold(fields, aggregate, op, windowed=window is not None)
    if event is None or value is None:
        return None
    return BehaviourCondition(
        event=event,
        aggregate=aggregate,
        property=property_,
        currency=currency,
        where=where,
        within_seconds=window,
        op=op,
        value=value,
    )


def _threshold(fields: Fields, aggregate: str, op: str, *, windowed: bool) -> Any:
    if aggregate in words.NUMERIC:
        return fields.amount("value")
    if aggregate in words.COUNTED:
        return fields.count("value", windowed=windowed)
    return _value(fields, op, "trait")


def _where(fields: Fields) -> tuple[PropertyCondition, ...]:
    items = fields.body.get("where")
    if items is None:
        return ()
    if not isinstance(items, list) or len(items) > words.MAX_WHERE:
        fields.fail("where", f"must be a list of at most {words.MAX_WHERE} conditions")
        return ()
    found = []
    for index, item in enumerate(items):
        inner = Fields(item, f"{fields.path}.where[{index}]", fields.problems)
        inner.only("property", "op", "value")
        name = inner.text("property", longest=200)
        op = inner.choice("op", words.PROPERTY_OPERATORS)
        if name is not None and op is not None:
            value, _ = _operand(inner, op, "trait")
            found.append(PropertyCondition(property=name, op=op, value=value))  # type: ignore[arg-type]
    return tuple(found)


def _currency(fields: Fields, *, needed: bool, why: str) -> str | None:
    value = fields.body.get("currency")
    if value is None:
        if needed:
            fields.fail("currency", "is required: amounts of currencies are never added")
        return None
    if not needed:
        fields.fail("currency", f"does not belong here: {why}")
        return None
    if not isinstance(value, str) or not _CURRENCY.fullmatch(value):
        fields.fail("currency", "must be an ISO 4217 code such as USD")
        return None
    return value


def _operand(fields: Fields, op: str, kind: Kind) -> tuple[Any, int | None]:
    """What ``op`` compares with: (value, seconds), of which at most one is given."""
    if op in ("older_than", "newer_than"):
        fields.absent("value", f"{op} takes seconds")
        return None, fields.seconds("seconds")
    fields.absent("seconds", "only older_than and newer_than take seconds")
    return _value(fields, op, kind), None


def _value(fields: Fields, op: str, kind: Kind) -> Any:
    if op == "exists":
        return fields.flag("value")
    if op in ("before", "after"):
        return fields.moment("value")
    if op in ("contains", "starts_with"):
        return fields.text("value", longest=words.MAX_TEXT)
    if op == "in":
        return fields.choices("value", kind)
    if op == "between":
        return fields.span("value")
    if kind == "money":
        return fields.amount("value")
    if op in ("gt", "gte", "lt", "lte"):
        return fields.number("value")
    return fields.scalar("value", kind)

"""Judges events by a compiled plan. What it finds names places and rules, never values."""

import re
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, Protocol

import jsonschema_rs
from msgspec import Struct

from schemas.messages import Event
from services.ingest.model import Verdict
from services.ingest.plans.bounds import compiled
from services.ingest.plans.model import Mode, Plan, Rule, Schema, Validator, folded

UNKNOWN = "unknown_event"
"""The rule that an event breaks which the plan does not name."""

_MOST = 20
"""Violations of one event that are looked at."""
_SHOWN = 5
_TOO_MANY = (
    jsonschema_rs.ValidationErrorKind.AdditionalProperties,
    jsonschema_rs.ValidationErrorKind.UnevaluatedProperties,
)
_TRAITS = frozenset({"identify", "group"})
_HARMLESS = re.compile(r"[A-Za-z_][A-Za-z0-9_ -]{0,39}")
"""A property's name that may be repeated: it cannot be an address or a number."""


class Violation(Struct, frozen=True):
    """One rule of a plan that an event broke."""

    event: str
    """The name of a track event, or the call."""
    pointer: str
    """Where (JSON pointer into the properties or traits); ``*`` for every place of a list."""
    rule: str
    """The schema's keyword, or ``unknown_event``."""


class Tally(Protocol):
    """Counts violations; must neither wait nor fail."""

    def count(self, plan: str, violation: Violation) -> None: ...


class _Compiled(Struct):
    name: str
    mode: Mode
    validator: Validator
    words: frozenset[str]
    """Every property that the schema names: these may be repeated."""


class PlanJudge:
    """``model.Judge`` of one plan. ``ValueError`` when a schema is none."""

    def __init__(self, name: str, plan: Plan, tally: Tally) -> None:
        self._name = name
        self._unknown = plan.unknown_events
        self._tally = tally
        self._events = {
            folded(event): _compile(event, rule, plan) for event, rule in plan.events.items()
        }
        self._calls = {call: _compile(call, rule, plan) for call, rule in plan.calls.items()}

    def __call__(self, event: Event) -> Verdict | None:
        """None when it fits, or when nothing shall follow."""
        if event.type == "track":
            found = self._events.get(folded(event.event or ""))
            if found is None:
                return self._unforeseen(event.event or "")
        elif event.type == "alias":
            return None
        else:
            found = self._calls.get(event.type)
            if found is None:
                return None
        said = event.traits if event.type in _TRAITS else event.properties
        return None if found.validator.is_valid(said) else self._broken(found, said)

    def _unforeseen(self, name: str) -> Verdict | None:
        if self._unknown == "allow":
            return None
        self._tally.count(self._name, Violation(name, "", UNKNOWN))
        return Verdict(self._unknown == "block", f"{UNKNOWN}: the plan does not name this event.")

    def _broken(self, rule: _Compiled, said: dict[str, Any]) -> Verdict | None:
        shown: list[str] = []
        counted: set[Violation] = set()
        for error in islice(rule.validator.iter_errors(said), _MOST):
            keyword = error.kind.name
            for path in _places(error):
                tokens = [_token(token, rule.words) for token in path]
                spread = ["*" if isinstance(token, int) else token for token in tokens]
                counted.add(Violation(rule.name, _pointer(spread), keyword))
                shown.append(f"{_pointer(tokens) or '/'}: {keyword}")
        for violation in counted:
            self._tally.count(self._name, violation)
        if rule.mode == "allow":
            return None
        more = f" and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else ""
        return Verdict(rule.mode == "block", "; ".join(shown[:_SHOWN]) + more)


def _compile(name: str, rule: Rule, plan: Plan) -> _Compiled:
    words = frozenset(_words(rule.schema))
    return _Compiled(name, rule.mode or plan.mode, compiled(rule.schema), words)


def _words(schema: Schema | Any) -> Iterator[str]:
    if isinstance(schema, dict):
        for keyword, value in schema.items():
            if keyword in ("properties", "dependentRequired") and isinstance(value, dict):
                yield from value
            elif keyword == "required" and isinstance(value, list):
                yield from (name for name in value if isinstance(name, str))
            yield from _words(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _words(value)


def _places(error: jsonschema_rs.ValidationError) -> list[list[str | int]]:
    """Where the rule is broken: a property that is missing or too many is a place itself."""
    kind = error.kind
    if isinstance(kind, jsonschema_rs.ValidationErrorKind.Required):
        return [[*error.instance_path, str(kind.property)]]
    if isinstance(kind, _TOO_MANY):
        return [[*error.instance_path, name] for name in kind.unexpected[:_SHOWN]]
    return [list(error.instance_path)]


def _token(token: str | int, words: frozenset[str]) -> str | int:
    if isinstance(token, int) or token in words or _HARMLESS.fullmatch(token):
        return token
    return "*"


def _pointer(tokens: Sequence[str | int]) -> str:
    """RFC 6901."""
    return "".join("/" + str(token).replace("~", "~0").replace("/", "~1") for token in tokens)

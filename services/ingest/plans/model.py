"""A tracking plan: a JSON Schema for each event, and what follows when one does not fit: pure."""

from collections.abc import Iterator
from typing import Any, Literal

import jsonschema_rs
import msgspec
from msgspec import Struct

from schemas.catalogue import canonical
from schemas.validation import Fault
from services.ingest.plans.bounds import check_schema

Mode = Literal["allow", "warn", "block"]
"""Count it; and flag the event; or refuse it."""
CallType = Literal["identify", "group", "page", "screen"]
NAME = r"^[a-z0-9][a-z0-9_-]{0,62}$"
MOST_EVENTS = 300
LARGEST_PLAN = 256 * 1024

Schema = dict[str, Any] | bool
Validator = jsonschema_rs.Draft202012Validator


class Rule(Struct, kw_only=True, frozen=True, omit_defaults=True):
    """What is promised of one event."""

    schema: Schema
    """Of ``properties``; of ``traits`` for identify and group."""
    mode: Mode | None = None
    """In place of the plan's."""


class Plan(Struct, kw_only=True, frozen=True, omit_defaults=True):
    """A tracking plan, as it is stored and published."""

    description: str = ""
    mode: Mode = "warn"
    unknown_events: Mode = "allow"
    """Of track events that ``events`` does not name."""
    events: dict[str, Rule] = {}
    """By the name of a track event, matched trimmed and case-insensitively."""
    calls: dict[CallType, Rule] = {}


class Misfit(Struct, frozen=True):
    """What is wrong with a plan, and where."""

    at: str
    fault: Fault


def check_plan(plan: Plan) -> list[Misfit]:
    """What is wrong with ``plan``; empty: nothing.

    Codes: plan_too_large, too_many_events, twice, and those of ``bounds.check_schema``.
    """
    if len(plan.events) > MOST_EVENTS:
        detail = f"A plan has at most {MOST_EVENTS} events."
        return [Misfit("events", Fault("too_many_events", detail))]
    if len(msgspec.json.encode(plan)) > LARGEST_PLAN:
        detail = f"A plan has at most {LARGEST_PLAN:,} bytes."
        return [Misfit("", Fault("plan_too_large", detail))]
    found: list[Misfit] = []
    seen: set[str] = set()
    for place, rule in _rules(plan):
        fault = check_schema(rule.schema)
        if fault is not None:
            found.append(Misfit(f"{place}.schema", fault))
    for name in plan.events:
        if folded(name) in seen:
            found.append(Misfit(f"events.{name}", Fault("twice", "The same event again.")))
        seen.add(folded(name))
    return found


def folded(name: str) -> str:
    """An event's name as it is compared."""
    return canonical(name).lower()


def _rules(plan: Plan) -> Iterator[tuple[str, Rule]]:
    for name, rule in plan.events.items():
        yield f"events.{name}", rule
    for call, rule in plan.calls.items():
        yield f"calls.{call}", rule

"""The bodies that the API of tracking plans takes and gives."""

from datetime import datetime
from typing import Any

import msgspec
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from schemas.validation import LONGEST_NAME
from services.ingest.plans.model import CallType, Mode, Plan
from services.ingest.register import Stored

_EXAMPLE: dict[str, JsonValue] = {
    "description": "What the web shop has promised.",
    "mode": "warn",
    "unknown_events": "warn",
    "events": {
        "Order Completed": {
            "mode": "block",
            "schema": {
                "type": "object",
                "required": ["order_id", "total", "currency"],
                "properties": {"order_id": {"type": "string", "pattern": "^[0-9]+$"}},
            },
        },
        "Loyalty Card Scanned": {"schema": {"required": ["store"]}},
    },
    "calls": {"identify": {"schema": {"required": ["email"]}}},
}


class RuleBody(BaseModel):
    """What is promised of one event."""

    model_config = ConfigDict(extra="forbid")

    promised: dict[str, JsonValue] | bool = Field(
        alias="schema",
        description="JSON Schema (draft 2020-12) of `properties`; of `traits` for identify, group.",
    )
    mode: Mode | None = Field(None, description="In place of the plan's.")


class PlanBody(BaseModel):
    """A tracking plan."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": _EXAMPLE})

    description: str = Field("", max_length=2_000)
    mode: Mode = Field("warn", description="`allow` counts, `warn` flags too, `block` refuses.")
    unknown_events: Mode = Field("allow", description="Of track events that are not named here.")
    events: dict[str, RuleBody] = Field({}, description="By the names of track events.")
    calls: dict[CallType, RuleBody] = {}

    def plan(self) -> Plan:
        """The plan itself; ``ValueError`` where a name is no event's."""
        if not all(name.strip() and len(name) <= LONGEST_NAME for name in self.events):
            raise ValueError("an event's name has 1 to 200 characters")
        said = self.model_dump(by_alias=True)
        return msgspec.convert(said, Plan)


class PlanAnswer(BaseModel):
    """A plan as it stands."""

    name: str
    version: int
    updated_at: datetime
    published: bool = Field(description="Whether every process is being told.")
    used_by: list[str] = Field(description="The sources that name it.")
    plan: dict[str, Any]


class PlanListed(BaseModel):
    """A plan in the list."""

    name: str
    version: int
    updated_at: datetime
    mode: Mode
    events: int
    used_by: list[str]


class ViolationRow(BaseModel):
    """A rule, and how often events broke it."""

    event: str = Field(description="The track event, or the call; empty: counted together.")
    pointer: str = Field(description="Where: JSON pointer, `*` for every place of a list.")
    rule: str = Field(description="The schema's keyword; `unknown_event`.")
    count: int
    last_seen: datetime


class ViolationsAnswer(BaseModel):
    """What became of a plan's promises."""

    plan: str
    days: int
    items: list[ViolationRow]


def plan_answer(stored: Stored[Plan], used_by: list[str]) -> PlanAnswer:
    """The answer that shows a plan."""
    return PlanAnswer(
        name=stored.name,
        version=stored.version,
        updated_at=stored.at,
        published=stored.published,
        used_by=used_by,
        plan=msgspec.to_builtins(stored.body),
    )

"""The API's documents, for OpenAPI and answers. ``rules.parse`` is what checks requests."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, RootModel, Tag

from schemas.messages import Aggregate, Comparison
from services.segmentation.rules import vocabulary as words

Scalar = bool | int | float | str
Operator = Literal[
    "equals",
    "not_equals",
    "gt",
    "gte",
    "lt",
    "lte",
    "in",
    "contains",
    "starts_with",
    "exists",
    "before",
    "after",
    "older_than",
    "newer_than",
]


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=True)


class AllOf(_Shape):
    """Holds when every part does."""

    all: list["Rule"] = Field(min_length=1, max_length=words.MAX_CONDITIONS)


class AnyOf(_Shape):
    """Holds when at least one part does."""

    any: list["Rule"] = Field(min_length=1, max_length=words.MAX_CONDITIONS)


class NotOf(_Shape):
    """Holds when its part does not."""

    not_: "Rule" = Field(alias="not")


class TraitCondition(_Shape):
    """Compares a trait. A dotted name walks into objects and lists.

    `older_than` and `newer_than` compare a date with now and take `seconds`; membership then
    changes by time alone. `not_equals` also holds where the trait is missing.
    """

    model_config = ConfigDict(
        json_schema_extra={"example": {"trait": "country", "op": "equals", "value": "DE"}}
    )
    trait: str
    op: Operator
    value: Scalar | list[Scalar] | None = None
    seconds: int | None = Field(None, ge=1, le=words.MAX_SECONDS)


class FactCondition(_Shape):
    """Compares what is known of everyone: `order_count`, `interactions`, `revenue` (with
    `currency`, as `revenue_gross` and `average_order_value`), `days_between_orders`,
    `first_seen`, `last_seen`, `first_order_at`, `last_order_at`, `favourite_category`,
    `favourite_brand`, `preferred_channel`, `preferred_hour`, `locale`, `time_zone`,
    `counters.<event>`, `consent.<channel>`, `identifiers.<type>`, `devices.<part>` (`type`,
    `os`, `browser` or `model`).
    """

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"fact": "last_order_at", "op": "older_than", "seconds": 2_592_000}
        }
    )
    fact: str
    op: Operator
    value: Scalar | list[Scalar] | None = None
    seconds: int | None = Field(None, ge=1, le=words.MAX_SECONDS)
    currency: str | None = Field(None, pattern="^[A-Z]{3}$")


class PropertyCondition(_Shape):
    """Compares a property of an event, as computed traits do.

    `in` takes a list, `between` the least and the greatest number, `before` and `after` a date.
    """

    property: str
    op: Comparison
    value: Scalar | list[Scalar] | None = None


class BehaviourCondition(_Shape):
    """Compares an aggregate of what happened within `within_seconds` before now, or over all time.

    * `count` of the events and `unique_count` of a `property`: whole numbers;
    * `sum`, `average`, `min`, `max` of a `property`: numbers, of money with a `currency`;
    * `first`, `last`, `most_frequent` of a `property`, and `unique_list`, of which one value
      that passes is enough: any operator of a trait but `older_than` and `newer_than`.

    Of nothing there is no average, min or max, and no value: then only `not_equals` holds.
    Within a window, a count and a unique count are exact up to 999; over all time a unique
    count above 1,000 is an estimate (3 % of standard error).
    """

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "event": "Product Viewed",
                "where": [{"property": "category", "op": "equals", "value": "shoes"}],
                "within_seconds": 604_800,
                "op": "gte",
                "value": 3,
            }
        }
    )
    event: str
    aggregate: Aggregate = "count"
    property: str | None = None
    currency: str | None = Field(None, pattern="^[A-Z]{3}$")
    where: list[PropertyCondition] = Field([], max_length=words.MAX_WHERE)
    within_seconds: int | None = Field(None, ge=1, le=words.MAX_SECONDS)
    op: Operator
    value: Scalar | list[Scalar] | None = None


def _kind(body: Any) -> str | None:
    known = ("all", "any", "not", "trait", "fact", "event")
    if isinstance(body, dict):
        return next((kind for kind in known if kind in body), None)
    return next((kind for kind in known if hasattr(body, kind)), "not")


class Rule(
    RootModel[
        Annotated[
            Annotated[AllOf, Tag("all")]
            | Annotated[AnyOf, Tag("any")]
            | Annotated[NotOf, Tag("not")]
            | Annotated[TraitCondition, Tag("trait")]
            | Annotated[FactCondition, Tag("fact")]
            | Annotated[BehaviourCondition, Tag("event")],
            Discriminator(_kind),
        ]
    ]
):
    """A tree of conditions, at most 10 levels deep and of at most 100 conditions."""


class Definition(_Shape):
    """A segment as a marketer writes it."""

    name: str = Field(min_length=1, max_length=100)
    description: str = Field("", max_length=1_000)
    rule: Rule


class WaitsFor(BaseModel):
    """A computed trait that not every profile has yet."""

    trait: str = Field(examples=["ct_0a1b2c3d4e5f6071"])
    condition: str
    """The condition of the rule that needs it."""


class Segment(Definition):
    """A segment as it stands."""

    key: str
    version: int
    """Rises by one with each change."""
    updated_at: datetime
    members: int
    """How many people are in it now."""
    state: Literal["waiting", "evaluating", "ready"] = Field(
        description="`waiting`: profiles are still being filled in with what the rule asks about, "
        "and until all of them are, nobody enters or leaves. `evaluating`: everybody is being "
        "asked. `ready`: whoever should be in it is."
    )
    waiting_for: list[WaitsFor] = Field([], description="Missing unless it is `waiting`.")


class Member(BaseModel):
    """A person who is in a segment."""

    profile_id: str
    since: datetime


class Membership(BaseModel):
    """A segment that a person is in."""

    segment: str
    since: datetime
    occurrence: int
    """How many times the person has entered it, this one included."""
    definition_version: int


class Reason(BaseModel):
    """One condition, with what was found."""

    condition: str
    actual: Any = None
    holds: bool


class Explanation(BaseModel):
    """Whether a person is in a segment, and why or why not."""

    profile_id: str
    """The id that the person has now, also when a former one was asked for."""
    segment: str
    definition_version: int
    profile_version: int
    member: bool
    """The membership as it was last decided."""
    since: datetime | None = None
    occurrences: int
    """How many times the person has entered the segment."""
    holds: bool | None
    """What the rule answers now; null while the segment waits for a computed trait."""
    evaluated_at: datetime
    next_flip: datetime | None
    """Before this instant time alone changes nothing; null: it never does."""
    reasons: list[Reason]


PUT_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["name", "rule"],
                    "properties": {
                        "name": {"type": "string", "maxLength": 100},
                        "description": {"type": "string", "maxLength": 1_000},
                        "rule": {"$ref": "#/components/schemas/Rule"},
                    },
                    "additionalProperties": False,
                },
                "example": {
                    "name": "Lapsing buyers in Germany",
                    "description": "Bought before, but nothing for 30 days.",
                    "rule": {
                        "all": [
                            {"trait": "country", "op": "equals", "value": "DE"},
                            {"fact": "last_order_at", "op": "older_than", "seconds": 2_592_000},
                        ]
                    },
                },
            }
        },
    }
}
"""What ``PUT`` takes, for OpenAPI: the route reads the body itself, for exact numbers."""

"""What the computed trait routes take and answer with."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from schemas.messages import Aggregate, Comparison

Scalar = str | int | float | bool


class PropertyCondition(BaseModel):
    """A comparison with one property of the event; dots walk into objects and lists.

    `in` takes a list of values, `between` the least and the greatest number (both included),
    `before` and `after` an ISO 8601 date or time.
    """

    model_config = ConfigDict(extra="forbid")
    property: str = Field(min_length=1, max_length=200, examples=["products.category"])
    op: Comparison
    value: Scalar | list[Scalar] | None = None


class ComputedTraitBody(BaseModel):
    """An aggregate over a person's events.

    Every aggregate but `count` is of a `property`. Amounts of money are kept apart by currency.
    `first`, `last`, `most_frequent`, `unique_list` and `unique_count` are of texts (up to 200
    characters), numbers, true and false.
    """

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "event": "Product Viewed",
                "aggregate": "most_frequent",
                "property": "category",
                "where": [{"property": "price", "op": "between", "value": [10, 50]}],
                "window_seconds": 2592000,
            }
        },
    )
    event: str = Field(min_length=1, max_length=200, description="Matched without case.")
    aggregate: Aggregate = "count"
    property: str | None = Field(
        None, min_length=1, max_length=200, description="What is aggregated."
    )
    where: list[PropertyCondition] = Field([], max_length=20)
    window_seconds: int | None = Field(
        None, ge=1, le=400 * 86_400, description="Null: over all time."
    )


class Filled(BaseModel):
    """How far the profiles are that were there when it was defined."""

    done: int = Field(description="Profiles that are up to the definitions in force.")
    of: int = Field(description="All profiles.")


class ComputedTraitDefinition(BaseModel):
    """A computed trait as it is defined now, and whether every profile has it.

    `computing`: profiles get it one by one, those that something happens to at once. When all
    have it, it is `ready`, and `readiness/<key>` on `control.definitions` says so.
    """

    key: str
    version: int
    updated_at: datetime
    published: bool = Field(description="Whether the workers were told of this version yet.")
    state: Literal["computing", "ready"]
    ready_since: datetime | None = Field(None, description="Null while it is computing.")
    profiles: Filled | None = Field(None, description="Null once it is ready.")
    definition: ComputedTraitBody

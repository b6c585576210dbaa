"""What the routes of traits take and answer with."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

SourceName = Annotated[str, Field(min_length=1, max_length=200)]


class TraitSourcesBody(BaseModel):
    """Which sources are believed with a trait, the most trusted first."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"sources": ["crm", "shop"]}}
    )
    sources: list[SourceName] = Field(
        max_length=100, description="Others come after all of these; empty: all are alike."
    )


class TraitSources(BaseModel):
    """Which sources are believed with a trait, as declared now."""

    name: str = Field(description="The trait; `*`: every trait that has none of its own.")
    version: int
    updated_at: datetime
    published: bool = Field(description="Whether the workers were told of this version yet.")
    sources: list[str]


class TraitWord(BaseModel):
    """One word on a trait."""

    value: Any = Field(description="As it was sent: a value, null for unset, or an operation.")
    at: datetime = Field(description="Event time.")
    received_at: datetime
    message_id: str
    source: str
    name: str = Field(description="The event that carried it.", examples=["Identify"])
    holds: bool = Field(description="Whether the profile shows it now.")

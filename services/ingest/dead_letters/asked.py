"""What the API of dead letters is asked."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from services.ingest.dead_letters.model import State
from services.ingest.dead_letters.repair import LONGEST

MOST_AT_ONCE = 500


class Replay(BaseModel):
    """How one letter is to be replayed."""

    model_config = ConfigDict(extra="forbid")
    body: dict[str, Any] | None = Field(None, description="In place of its own.")
    dry_run: bool = Field(False, description="Only say what would become of it.")


class Wanted(BaseModel):
    """Which letters: at least one of source, topic, reason and text; by default what is open."""

    model_config = ConfigDict(extra="forbid")
    source: str = ""
    topic: str = ""
    reason: str = ""
    text: Annotated[str, Field(max_length=200)] = ""
    state: list[State] = []
    start: datetime | None = Field(None, alias="from")
    end: datetime | None = Field(None, alias="to")


class Replays(BaseModel):
    """Which letters are to be replayed, and what is to be changed in each."""

    model_config = ConfigDict(extra="forbid")
    filter: Wanted
    patch: list[dict[str, Any]] | None = Field(
        None,
        max_length=100,
        description="JSON Patch (RFC 6902) for the body of each.",
        examples=[[{"op": "add", "path": "/properties/currency", "value": "EUR"}]],
    )
    expression: str | None = Field(
        None,
        max_length=LONGEST,
        description="In place of a patch: JMESPath that makes the new body out of the old.",
        examples=["merge(@, {properties: merge(properties, {order_id: properties.number})})"],
    )
    dry_run: bool = Field(False, description="Only show before, after and the verdict.")
    limit: int = Field(100, ge=1, le=MOST_AT_ONCE)
    cursor: str | None = Field(None, description="`next` of the answer before.")


class Dismissals(BaseModel):
    """Which letters are to be dismissed."""

    model_config = ConfigDict(extra="forbid")
    filter: Wanted
    dry_run: bool = Field(False, description="Only count them.")


class Identifier(BaseModel):
    """A name of the person."""

    type: str = Field(
        pattern=r"^[a-z_]{1,40}$",
        description="email, phone, user_id, anonymous_id, profile_id, or of an externalId.",
    )
    value: str = Field(min_length=1, max_length=512)


class Erase(BaseModel):
    """Whose dead letters are to be erased."""

    model_config = ConfigDict(extra="forbid")
    identifiers: list[Identifier] = Field(min_length=1, max_length=1_000)

"""The bodies that the API of sources takes and gives; what they do is in ``observations``."""

from datetime import datetime
from typing import Any

import msgspec
from pydantic import BaseModel, ConfigDict, Field, field_validator

from schemas.currencies import ACTIVE
from services.ingest.sources.model import LONGEST_SECRET, SECRET_OVERLAP, Kind, Source
from services.ingest.sources.register import Stored
from services.ingest.sources.seals import sealed_at

_LARGEST_OPTIONS = 16 * 1024
_MONTH = 31 * 86_400


class SourceBody(BaseModel):
    """What may be said of a source. Keys and secrets have addresses of their own."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"example": {"kind": "browser", "default_currency": "EUR"}},
    )

    kind: Kind = "server"
    enabled: bool = True
    options: dict[str, Any] = Field({}, description="Of the kind, at most 16 KB.")
    default_currency: str | None = Field(None, description="ISO 4217, where an event names none.")
    default_region: str | None = Field(
        None, pattern="^[A-Z]{2}$", description="ISO 3166, of telephone numbers without a prefix."
    )
    events_per_second: float | None = Field(
        None,
        ge=0.001,
        le=1_000_000,
        allow_inf_nan=False,
        description="In each process; none: no limit",
    )
    burst: int | None = Field(
        None,
        ge=1,
        le=10_000_000,
        description="Events at once, after a silence. None: 2,500, or those of a second.",
    )
    plan: str | None = Field(None, pattern="^[a-z0-9][a-z0-9_-]{0,62}$")

    @field_validator("default_currency")
    @classmethod
    def _is_currency(cls, value: str | None) -> str | None:
        if value is not None and value not in ACTIVE:
            raise ValueError("must be a currency of ISO 4217, such as EUR")
        return value

    @field_validator("options")
    @classmethod
    def _is_small(cls, value: dict[str, Any]) -> dict[str, Any]:
        try:
            text = msgspec.json.encode(value)
        except (ValueError, RecursionError, msgspec.MsgspecError):
            raise ValueError("must be JSON in UTF-8") from None
        if len(text) > _LARGEST_OPTIONS:
            raise ValueError(f"have at most {_LARGEST_OPTIONS:,} bytes")
        plain: dict[str, Any] = msgspec.json.decode(text)
        return plain


class KeyShown(BaseModel):
    """A write key, by which it can be told and not be used."""

    id: str
    hint: str = Field(description="The last characters of the key.")
    created_at: datetime
    expires_at: datetime | None = Field(description="Null: it does not end by itself.")


class SecretShown(BaseModel):
    """A secret; its value is never shown."""

    name: str
    set_at: datetime
    previous_until: datetime | None = Field(description="How long the value before is good, too.")


class Counted(BaseModel):
    """What a source sent in the last 24 hours, as far as it is stored."""

    accepted: int = 0
    duplicates: int = 0
    rejected: int = 0
    limited: int = 0
    last_seen: datetime | None = None


class SourceAnswer(SourceBody):
    """A source."""

    # What was stored under older rules can still be shown.
    default_currency: str | None = None
    kind: str = "server"  # type: ignore[assignment]
    name: str
    version: int = Field(description="Rises with each change; 0: known from the settings alone.")
    updated_at: datetime | None
    published: bool = Field(description="Whether every process has been told of this version.")
    static: bool = Field(description="Whether REGULARS_WRITE_KEYS gives it a key, too.")
    keys: list[KeyShown]
    secrets: list[SecretShown]


class SourceListed(SourceAnswer):
    """A source in a list."""

    last_day: Counted


class KeyBody(BaseModel):
    """How to rotate."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {}})

    overlap_seconds: int | None = Field(
        None,
        ge=0,
        le=_MONTH,
        description="End the older keys so much later; 0: at once. None: they stay.",
    )


class KeyMade(KeyShown):
    """A new write key. This is the only time that it is shown."""

    key: str
    published: bool = Field(description="False: it is stored, and works once Kafka is back.")


class SecretBody(BaseModel):
    """The new value. The one before stays good for an hour."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"value": "shpss_..."}})

    value: str = Field(min_length=1, max_length=LONGEST_SECRET)


def source_answer(stored: Stored, source: Source, *, static: bool) -> SourceAnswer:
    """A stored source."""
    return SourceAnswer(**_fields(source), **_standing(stored), static=static)


def static_answer(source: Source) -> SourceAnswer:
    """A source that only the settings name."""
    return SourceAnswer(**_fields(source), version=0, updated_at=None, published=True, static=True)


def _standing(stored: Stored) -> dict[str, Any]:
    return {
        "version": stored.version,
        "updated_at": stored.at,
        "published": stored.published,
    }


def _fields(source: Source) -> dict[str, Any]:
    return {
        **{name: getattr(source, name) for name in SourceBody.model_fields},
        "name": source.name,
        "keys": [
            KeyShown(id=key.id, hint=key.hint, created_at=key.created_at, expires_at=key.expires_at)
            for key in source.keys
        ],
        "secrets": [
            SecretShown(
                name=name,
                set_at=sealed_at(values[0]),
                previous_until=sealed_at(values[0]) + SECRET_OVERLAP if values[1:] else None,
            )
            for name, values in sorted(source.secrets.items())
        ],
    }

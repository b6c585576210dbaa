"""What the API tells of a source's doings: its counts, and its events as they came."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from services.ingest.sources.sighting import Sighting, Verdict, event_of, masked_text
from services.ingest.sources.summary import Summary


class RejectedCount(BaseModel):
    """Events refused for one reason."""

    code: str
    events: int


class StepShown(BaseModel):
    """One column of a chart."""

    at: datetime
    accepted: int
    rejected: int


class ActivityAnswer(BaseModel):
    """What became of a source's events, in all processes; about a second old."""

    source: str
    since: datetime
    until: datetime
    accepted: int
    duplicates: int = Field(description="Repetitions within one request.")
    limited: int = Field(description="Refused by its limit (429).")
    unavailable: int = Field(description="Not acknowledged by Kafka (503): sent again.")
    rejected: list[RejectedCount] = Field(description="The most frequent first.")
    last_seen: datetime | None
    step_seconds: int
    series: list[StepShown] = Field(description="Without gaps, the earliest first.")


class SightingShown(BaseModel):
    """One event as it came, and what was said of it."""

    id: str
    at: datetime
    verdict: Verdict
    code: str = Field(description="Why it was rejected.")
    detail: str
    message_id: str
    name: str = Field(description="The event's name.")
    event: Any = Field(description="As sent. Text where it is no JSON.")
    cut: bool = Field(description="Whether `event` is only the beginning of a larger one.")
    masked: bool = Field(description="Whether addresses and numbers are masked, for your role.")


def activity_answer(source: str, summary: Summary, last_seen: datetime | None) -> ActivityAnswer:
    """Summed counts."""
    return ActivityAnswer(
        source=source,
        since=summary.since,
        until=summary.until,
        accepted=summary.accepted,
        duplicates=summary.duplicates,
        limited=summary.limited,
        unavailable=summary.unavailable,
        rejected=[RejectedCount(code=c, events=n) for c, n in summary.rejected.items()],
        last_seen=last_seen,
        step_seconds=int(summary.step.total_seconds()),
        series=[
            StepShown(at=step.at, accepted=step.accepted, rejected=step.rejected)
            for step in summary.series
        ],
    )


def sighting_shown(sighting: Sighting, *, masked: bool) -> SightingShown:
    """An event as this reader may see it."""

    def seen(text: str) -> str:
        return masked_text(text) if masked else text

    event = event_of(sighting, masked=masked)
    return SightingShown(
        id=sighting.id,
        at=sighting.at,
        verdict=sighting.verdict,
        code=sighting.code,
        detail=seen(sighting.detail),
        message_id=seen(sighting.message_id),
        name=seen(sighting.name) or _named(event),
        event=event,
        cut=sighting.cut,
        masked=masked,
    )


def _named(event: Any) -> str:
    """What a refused event called itself."""
    said = event.get("event") or event.get("type") if isinstance(event, dict) else None
    return said[:200] if isinstance(said, str) else ""

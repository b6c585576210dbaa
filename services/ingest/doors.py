"""What every door of ingest shares: what it counts, and what it says when it took nothing."""

from collections.abc import Sequence

from services.ingest.handler import Limited, Unavailable
from services.ingest.model import Answer, Rejection
from services.ingest.sources.turnstile import too_many
from services.runtime import metrics
from services.runtime.problem import Problem


def count(answer: Answer, rejected: Sequence[Rejection] | None = None) -> None:
    """Count what became of a request's events; ``rejected`` where a door refuses some itself."""
    rejected = answer.rejected if rejected is None else rejected
    for outcome, number in (
        ("accepted", answer.accepted),
        ("duplicate", answer.duplicates),
        ("rejected", len(rejected)),
    ):
        if number:
            metrics.INGEST_EVENTS.labels(outcome).inc(number)
    for rejection in rejected:
        metrics.INGEST_REJECTED.labels(rejection.code).inc()


def nothing_taken(error: Limited | Unavailable, events: int, advice: str, seconds: int) -> Problem:
    """Count ``events`` that were not taken, and say so: 429 or 413, else ``unavailable``."""
    if isinstance(error, Limited):
        metrics.INGEST_EVENTS.labels("limited").inc(events)
        return too_many(error)
    metrics.INGEST_EVENTS.labels("unavailable").inc(events)
    return unavailable(f"{error} {advice}", "broker_unavailable", seconds)


def unavailable(detail: str, code: str, seconds: int) -> Problem:
    """503: nothing of this is known to be stored, so the same should come again."""
    return Problem(
        503,
        "Service Unavailable",
        detail,
        headers={"Retry-After": str(seconds)},
        extra={"code": code},
    )

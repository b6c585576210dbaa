"""Where every event passes, whichever door it came by: limited, counted, and shown."""

import math
from collections.abc import Callable
from datetime import datetime
from time import time

from services.ingest.handler import Limited
from services.ingest.model import Answer, Judged
from services.ingest.sources.activity import Activity
from services.ingest.sources.lens import Lens
from services.ingest.sources.limiter import Limiter, burst_of
from services.ingest.sources.model import Source
from services.runtime.problem import Problem


class Turnstile:
    """``handler.Turnstile``, for all requests of this process.

    ``now`` gives monotonic seconds.
    """

    def __init__(self, activity: Activity, lens: Lens, now: Callable[[], float]) -> None:
        self._activity = activity
        self._lens = lens
        self._limiter = Limiter()
        self._now = now

    def admit(self, source: Source, events: int, at: datetime) -> None:
        """Let all of them in; raises ``Limited`` and lets in none."""
        if source.events_per_second is None:
            return
        wait = self._limiter.take(source, events, self._now())
        if wait:
            self._activity.limited(source.name, events, at)
            raise Limited(wait, burst_of(source))

    def answered(self, source: Source, judged: Judged, answer: Answer) -> None:
        """Count what became of them."""
        self._activity.answered(source.name, answer, judged.at)
        if self._lens.watched:
            self._show(source.name, judged, acknowledged=True)

    def unavailable(self, source: Source, judged: Judged) -> None:
        """Count what Kafka did not acknowledge."""
        self._activity.unavailable(source.name, len(judged.texts), judged.at)
        if self._lens.watched:
            self._show(source.name, judged, acknowledged=False)

    def refused(self, source: Source, code: str, at: datetime) -> None:
        """Count a request that was refused before there were events, as one."""
        self._activity.refused(source.name, code, at)

    def _show(self, source: str, judged: Judged, *, acknowledged: bool) -> None:
        if self._lens.watches(source, self._now()):
            self._lens.see(source, judged, acknowledged=acknowledged)


def too_many(limited: Limited) -> Problem:
    """429 and when to come again; 413 for a batch that this source can never send.

    ``X-RateLimit-Reset`` is in milliseconds since 1970, as Segment's SDK for Node reads it
    (2.x; newer ones read ``Retry-After``).
    """
    if math.isinf(limited.seconds):
        return Problem(
            413,
            "Content Too Large",
            f"This source may send {limited.burst:,} events at once; none of these was taken.",
            extra={"code": "batch_over_burst"},
        )
    wait = math.ceil(limited.seconds)
    reset = math.ceil((time() + wait) * 1_000)
    return Problem(
        429,
        "Too Many Requests",
        "This source sends more events than it may; none of these was taken. "
        f"Send the same again after {wait} s.",
        headers={"Retry-After": str(wait), "X-RateLimit-Reset": str(reset)},
        extra={"code": "rate_limited"},
    )

"""How much a source may send: a token bucket of events for each source in this process.

A bucket holds at most ``burst`` events and fills at ``events_per_second``; a request takes
as many as it has events, or none of them. So a process takes, in any span of time, at most
``burst + events_per_second * seconds`` events of a source, and n processes n times as many.
"""

import math

from services.ingest.model import MAX_EVENTS
from services.ingest.sources.model import Source
from services.runtime.bucket import Bucket


def burst_of(source: Source) -> int:
    """The size of its bucket: as set, else one whole batch or a second's events."""
    rate = source.events_per_second or 0.0
    return source.burst if source.burst is not None else max(MAX_EVENTS, math.ceil(rate))


class Limiter:
    """The buckets of this process."""

    def __init__(self) -> None:
        self._buckets: dict[str, Bucket] = {}

    def take(self, source: Source, events: int, now: float) -> float:
        """Seconds to wait before ``events`` can be taken; 0.0: they are taken now."""
        rate = source.events_per_second
        if rate is None:
            return 0.0
        burst = burst_of(source)
        bucket = self._buckets.get(source.name)
        if bucket is None:
            bucket = self._buckets[source.name] = Bucket(left=burst, at=now)
        return bucket.take(events, rate, burst, now)

"""How often the link of a mail is used: a token bucket for each link in this process.

What a use of it says is said once for all (``records``), but each costs work, and most put a record
on a topic.
"""

from services.runtime.bucket import Bucket

BURST = 5
"""Uses at once: of a person who presses a button again and again."""
SECONDS = 60.0
"""After each of which one more is let through."""


class Limiter:
    """The buckets of the links that were used lately; the one used last comes last."""

    def __init__(self) -> None:
        self._buckets: dict[str, Bucket] = {}

    def take(self, message_id: str, now: float) -> float:
        """Seconds (monotonic) until the link of this message may be used; 0.0: it is used now."""
        bucket = self._buckets.pop(message_id, None) or Bucket(BURST, now)
        self._buckets[message_id] = bucket
        wait = bucket.take(1, 1 / SECONDS, BURST, now)
        while (oldest := next(iter(self._buckets))) != message_id:
            if self._buckets[oldest].at + BURST * SECONDS > now:
                break
            del self._buckets[oldest]  # It is full again.
        return wait

    def __len__(self) -> int:
        return len(self._buckets)

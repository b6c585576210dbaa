"""A token bucket: how much is let through, at once and in time. Pure; the clock is the caller's."""

import math

from msgspec import Struct


class Bucket(Struct):
    """What is left at an instant (monotonic seconds)."""

    left: float
    at: float

    def take(self, wanted: int, rate: float, burst: float, now: float) -> float:
        """Take ``wanted`` and answer 0.0, or take none and answer the seconds to wait.

        It holds at most ``burst`` and fills at ``rate`` a second. ``inf`` when more is wanted than
        it ever holds.
        """
        self.left = min(burst, self.left + (now - self.at) * rate)
        self.at = now
        if wanted <= self.left:
            self.left -= wanted
            return 0.0
        return math.inf if wanted > burst else (wanted - self.left) / rate

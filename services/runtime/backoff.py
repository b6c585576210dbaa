"""Capped exponential backoff with jitter, for trouble that passes."""

import random


class Backoff:
    """Delays in seconds: about 0.05, 0.1, 0.2 ... up to ``cap``, each halved at most by chance."""

    def __init__(self, first: float = 0.05, cap: float = 5.0) -> None:
        self._first = first
        self._cap = cap
        self._tries = 0

    def next(self) -> float:
        """The next delay."""
        delay = min(self._cap, self._first * 2.0 ** min(self._tries, 16))
        self._tries += 1
        return delay * random.uniform(0.5, 1.0)  # noqa: S311  # jitter, not a secret

    def reset(self) -> None:
        """It worked: start small again."""
        self._tries = 0

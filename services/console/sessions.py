"""Who is logged in. Tokens stay in this process's memory; a browser holds a random key only.

So a restart logs everybody out, and nothing that could be stolen lies on a disk.
"""

import secrets
from collections.abc import Callable
from time import monotonic

from services.runtime.keys import digest

COOKIE = "regulars_session"
MOST = 10_000
MOST_CHARACTERS = 500


class Sessions:
    """Tokens by session key, each for ``hours``; the oldest gives way beyond 10,000."""

    def __init__(self, hours: float, clock: Callable[[], float] = monotonic) -> None:
        self.seconds = hours * 3_600
        self._clock = clock
        self._tokens: dict[str, tuple[str, float]] = {}

    def open(self, token: str) -> str:
        """A new session's key, for the cookie."""
        while len(self._tokens) >= MOST:
            del self._tokens[next(iter(self._tokens))]
        key = secrets.token_urlsafe(32)
        # By digest, so that how long a look-up takes tells nothing about the keys.
        self._tokens[digest(key)] = (token, self._clock() + self.seconds)
        return key

    def token(self, key: str | None) -> str | None:
        """The token of a session; None when it is unknown or over."""
        found = self._tokens.get(digest(key)) if key else None
        if found is None:
            return None
        token, end = found
        if self._clock() < end:
            return token
        self.close(key)
        return None

    def close(self, key: str | None) -> None:
        """Forget a session."""
        if key:
            self._tokens.pop(digest(key), None)

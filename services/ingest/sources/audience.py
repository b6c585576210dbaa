"""Who watches events as they come: so many of a source at once, and so many in this process.

Each open stream asks the database about once a second and holds a connection, so however many
pages somebody leaves open, taking events is not slowed down.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from services.runtime.http import Problem

MOST_OF_A_SOURCE = 10
MOST = 50
RETRY_AFTER = 30


class Audience:
    """The open streams of this process."""

    def __init__(self, most_of_a_source: int = MOST_OF_A_SOURCE, most: int = MOST) -> None:
        self._most_of_a_source = most_of_a_source
        self._most = most
        self._open = Counter[str]()

    @contextmanager
    def seat(self, source: str) -> Iterator[None]:
        """A place while the block lasts.

        Raises ``Problem``: 429 when as many watch the source as may, 503 when as many watch
        any source of this process.
        """
        if self._open[source] >= self._most_of_a_source:
            detail = (
                f"{self._most_of_a_source} streams of this source are open. "
                "Close one, or ask `recent` every few seconds."
            )
            raise _full(429, "Too Many Requests", detail)
        if self._open.total() >= self._most:
            detail = f"{self._most} streams are open here. Ask `recent` every few seconds."
            raise _full(503, "Service Unavailable", detail)
        self._open[source] += 1
        try:
            yield
        finally:
            self._open[source] -= 1
            if not self._open[source]:
                del self._open[source]


def _full(status: int, title: str, detail: str) -> Problem:
    headers = {"Retry-After": str(RETRY_AFTER)}
    return Problem(status, title, detail, headers=headers, extra={"code": "too_many_streams"})

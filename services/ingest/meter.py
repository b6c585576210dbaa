"""What the hot routes count, told to Prometheus once a turn of the event loop.

Requests are answered in crowds, since many events share an acknowledgement; and where several
processes share their metrics each figure costs a microsecond to tell, ten of them a tenth of
what a single event costs.
"""

import asyncio

from services.runtime import metrics


class Meter:
    """The figures of this turn of the loop."""

    def __init__(self) -> None:
        self._armed = False
        self._accepted = 0
        self._pending: int | None = None
        self._sizes: list[int] = []
        self._acks: list[float] = []
        self._answers: dict[tuple[str, int], list[float]] = {}
        self._counter = metrics.INGEST_EVENTS.labels("accepted")

    def taken(self, events: int) -> None:
        """A request has so many events."""
        self._sizes.append(events)
        self._arm()

    def accepted(self, events: int) -> None:
        """So many events are acknowledged."""
        self._accepted += events
        self._arm()

    def pending(self, size: int) -> None:
        """So many bytes wait for the broker now."""
        self._pending = size
        self._arm()

    def acknowledged(self, seconds: float) -> None:
        """The acknowledgement of a request's events took so long."""
        self._acks.append(seconds)
        self._arm()

    def answered(self, route: str, status: int, seconds: float) -> None:
        """A request was answered, after so long."""
        times = self._answers.get((route, status))
        if times is None:
            times = self._answers[route, status] = []
        times.append(seconds)
        self._arm()

    def _arm(self) -> None:
        if not self._armed:
            self._armed = True
            asyncio.get_running_loop().call_soon(self.tell)

    def tell(self) -> None:
        """Tell Prometheus what has been counted since the last time."""
        self._armed = False
        if self._accepted:
            self._counter.inc(self._accepted)
            self._accepted = 0
        if self._pending is not None:
            metrics.INGEST_PENDING.set(self._pending)
            self._pending = None
        metrics.INGEST_BATCH.observe_all(self._sizes)
        metrics.INGEST_ACK.observe_all(self._acks)
        self._sizes.clear()
        self._acks.clear()
        for (route, status), times in self._answers.items():
            if times:
                metrics.HTTP_REQUESTS.labels("ingest", route, str(status)).inc(len(times))
                metrics.HTTP_SECONDS.labels("ingest", route).observe_all(times)
                times.clear()

"""What became of each source's events, counted in this process.

Counts are kept by hour and stored as they stand, so that storing them again changes
nothing: a database that is away costs freshness only, and accepting never waits for it.
"""

import warnings
from collections.abc import Callable, Collection
from datetime import datetime, timedelta

from msgspec import Struct, field
from prometheus_client import Counter

from services.ingest.model import Answer
from services.runtime import metrics

_HOUR = timedelta(hours=1)
_MINUTE = timedelta(minutes=1)


class Hour(Struct, kw_only=True):
    """One source's events in one hour, as one process counted them."""

    source: str
    hour: datetime
    """Its beginning."""
    last_seen: datetime
    accepted: int = 0
    duplicates: int = 0
    """Repetitions within one request."""
    limited: int = 0
    """Refused by the limiter (429)."""
    unavailable: int = 0
    """Not acknowledged by Kafka (503): the sender sends them again."""
    rejected: dict[str, int] = field(default_factory=dict)
    """By code."""
    minutes: dict[int, list[int]] = field(default_factory=dict)
    """By minute: accepted, rejected."""


class _Tally:
    """One source in this process, and its current minute."""

    def __init__(self, source: str, at: datetime) -> None:
        self._turn(source, at)
        self.stale = False
        """Whether there is something that is not stored yet."""
        self._counters: dict[tuple[str, str], Counter] = {}

    def go_on(self, at: datetime) -> None:
        """The current minute is that of ``at``."""
        if at - self.hour.hour >= _HOUR:
            self.tell()
            self._turn(self.hour.source, at)
        else:
            self._begin(at)

    def _turn(self, source: str, at: datetime) -> None:
        start = at.replace(minute=0, second=0, microsecond=0)
        self.hour = Hour(source=source, hour=start, last_seen=at)
        self._told = dict[tuple[str, str], int]()
        self._begin(at)

    def _begin(self, at: datetime) -> None:
        self.until = at.replace(second=0, microsecond=0) + _MINUTE
        """The end of the current minute."""
        self.minute = self.hour.minutes.setdefault(at.minute, [0, 0])

    def tell(self) -> None:
        """Tell Prometheus what has been counted since the last time."""
        hour = self.hour
        now = {
            ("accepted", ""): hour.accepted,
            ("duplicate", ""): hour.duplicates,
            ("limited", ""): hour.limited,
            ("unavailable", ""): hour.unavailable,
            ("rejected", ""): sum(hour.rejected.values()),
        } | {("rejected", code): events for code, events in hour.rejected.items()}
        for key, events in now.items():
            if more := events - self._told.get(key, 0):
                self._counter(*key).inc(more)
        self._told = now

    def forget(self) -> None:
        """The source is no more: nor are its metrics. It may come again in the same hour."""
        counters, self._counters = self._counters, {}
        with warnings.catch_warnings():
            # Where processes share their metrics these stay until the processes end.
            warnings.simplefilter("ignore", UserWarning)
            for outcome, code in counters:
                if code:
                    metrics.SOURCE_REJECTED.remove(self.hour.source, code)
                else:
                    metrics.SOURCE_EVENTS.remove(self.hour.source, outcome)

    def _counter(self, outcome: str, code: str) -> Counter:
        counter = self._counters.get((outcome, code))
        if counter is None:
            source = self.hour.source
            if code:
                counter = metrics.SOURCE_REJECTED.labels(source, code)
            else:
                counter = metrics.SOURCE_EVENTS.labels(source, outcome)
            self._counters[outcome, code] = counter
        return counter


class Activity:
    """Counts; ``changed`` gives what is to be stored. ``wake`` is told when there is something.

    Counting one request is a few additions: this stands in the way of every event.
    """

    def __init__(self, wake: Callable[[], None] = lambda: None) -> None:
        self._wake = wake
        self._tallies: dict[str, _Tally] = {}
        self._changed: dict[tuple[str, datetime], Hour] = {}

    def answered(self, source: str, answer: Answer, at: datetime) -> None:
        """Count a request that was answered."""
        tally = self._at(source, at)
        hour = tally.hour
        hour.accepted += answer.accepted
        tally.minute[0] += answer.accepted
        hour.duplicates += answer.duplicates
        for rejection in answer.rejected:
            _reject(tally, rejection.code)

    def refused(self, source: str, code: str, at: datetime) -> None:
        """Count a request that was refused whole, as one."""
        _reject(self._at(source, at), code)

    def limited(self, source: str, events: int, at: datetime) -> None:
        """Count events that the limiter did not let in."""
        self._at(source, at).hour.limited += events

    def unavailable(self, source: str, events: int, at: datetime) -> None:
        """Count events that Kafka did not acknowledge."""
        self._at(source, at).hour.unavailable += events

    def changed(self) -> list[Hour]:
        """What has changed since the last time; give it back if it could not be stored.

        Prometheus is told with it.
        """
        for tally in self._tallies.values():
            if tally.stale:
                tally.tell()
                tally.stale = False
                self._changed[tally.hour.source, tally.hour.hour] = tally.hour
        changed, self._changed = self._changed, {}
        return list(changed.values())

    def give_back(self, hours: Collection[Hour]) -> None:
        """They are still to be stored."""
        self._changed = {(one.source, one.hour): one for one in hours} | self._changed

    def keep(self, names: Collection[str]) -> None:
        """No metrics of any other source: their number is that of the configured ones."""
        for name in self._tallies.keys() - set(names):
            self._tallies[name].forget()

    def _at(self, source: str, at: datetime) -> _Tally:
        """The source's tally, at that minute, with something new in it."""
        tally = self._tallies.get(source)
        if tally is None:
            tally = self._tallies[source] = _Tally(source, at)
        elif at >= tally.until:
            # The hour that may end with this minute is stored whether or not it is stale.
            self._changed[source, tally.hour.hour] = tally.hour
            tally.go_on(at)
        tally.hour.last_seen = at
        if not tally.stale:
            tally.stale = True
            self._wake()
        return tally


def _reject(tally: _Tally, code: str) -> None:
    rejected = tally.hour.rejected
    rejected[code] = rejected.get(code, 0) + 1
    tally.minute[1] += 1

"""What became of each source's events, counted in this process.

Counts are kept by hour and stored as they stand, so that storing them again changes
nothing: a database that is away costs freshness only, and accepting never waits for it.
"""

from collections.abc import Collection
from datetime import datetime, timedelta

from msgspec import Struct, field
from prometheus_client import Counter

from services.ingest.model import Answer
from services.runtime import metrics

_HOUR = timedelta(hours=1)


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

    def minute(self, at: datetime) -> list[int]:
        """The counts of that minute, to be changed."""
        return self.minutes.setdefault(at.minute, [0, 0])


class _Tally:
    """One source in this process."""

    def __init__(self, source: str, at: datetime) -> None:
        self.hour = _hour(source, at)
        self._counters: dict[tuple[str, str], Counter] = {}

    def at(self, at: datetime) -> Hour:
        """The hour of that instant, which becomes the current one."""
        if at - self.hour.hour >= _HOUR:
            self.hour = _hour(self.hour.source, at)
        if at > self.hour.last_seen:
            self.hour.last_seen = at
        return self.hour

    def count(self, outcome: str, events: int, code: str = "") -> None:
        """Tell Prometheus."""
        counter = self._counters.get((outcome, code))
        if counter is None:
            source = self.hour.source
            if code:
                counter = metrics.SOURCE_REJECTED.labels(source, code)
            else:
                counter = metrics.SOURCE_EVENTS.labels(source, outcome)
            self._counters[outcome, code] = counter
        counter.inc(events)

    def forget(self) -> None:
        """The source is no more: nor are its metrics. It may come again in the same hour."""
        counters, self._counters = self._counters, {}
        for outcome, code in counters:
            if code:
                metrics.SOURCE_REJECTED.remove(self.hour.source, code)
            else:
                metrics.SOURCE_EVENTS.remove(self.hour.source, outcome)


class Activity:
    """Counts; ``changed`` gives what is to be stored."""

    def __init__(self) -> None:
        self._tallies: dict[str, _Tally] = {}
        self._changed: dict[tuple[str, datetime], Hour] = {}

    def answered(self, source: str, answer: Answer, at: datetime) -> None:
        """Count a request that was answered."""
        tally, hour = self._open(source, at)
        minute = hour.minute(at)
        if answer.accepted:
            hour.accepted += answer.accepted
            minute[0] += answer.accepted
            tally.count("accepted", answer.accepted)
        if answer.duplicates:
            hour.duplicates += answer.duplicates
            tally.count("duplicate", answer.duplicates)
        for rejection in answer.rejected:
            self._reject(tally, hour, minute, rejection.code)

    def refused(self, source: str, code: str, at: datetime) -> None:
        """Count a request that was refused whole, as one."""
        tally, hour = self._open(source, at)
        self._reject(tally, hour, hour.minute(at), code)

    def limited(self, source: str, events: int, at: datetime) -> None:
        """Count events that the limiter did not let in."""
        tally, hour = self._open(source, at)
        hour.limited += events
        tally.count("limited", events)

    def unavailable(self, source: str, events: int, at: datetime) -> None:
        """Count events that Kafka did not acknowledge."""
        tally, hour = self._open(source, at)
        hour.unavailable += events
        tally.count("unavailable", events)

    def changed(self) -> list[Hour]:
        """What has changed since the last time; give it back if it could not be stored."""
        changed, self._changed = self._changed, {}
        return list(changed.values())

    def give_back(self, hours: Collection[Hour]) -> None:
        """They are still to be stored."""
        self._changed = {(one.source, one.hour): one for one in hours} | self._changed

    def keep(self, names: Collection[str]) -> None:
        """No metrics of any other source: their number is that of the configured ones."""
        for name in self._tallies.keys() - set(names):
            self._tallies[name].forget()

    def _open(self, source: str, at: datetime) -> tuple[_Tally, Hour]:
        tally = self._tallies.get(source)
        if tally is None:
            tally = self._tallies[source] = _Tally(source, at)
        hour = tally.at(at)
        self._changed[source, hour.hour] = hour
        return tally, hour

    def _reject(self, tally: _Tally, hour: Hour, minute: list[int], code: str) -> None:
        hour.rejected[code] = hour.rejected.get(code, 0) + 1
        minute[1] += 1
        tally.count("rejected", 1)
        tally.count("rejected", 1, code)


def _hour(source: str, at: datetime) -> Hour:
    start = at.replace(minute=0, second=0, microsecond=0)
    return Hour(source=source, hour=start, last_seen=at)

"""A source's counts over a span of time, from those of its hours: pure."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta

from msgspec import Struct

from services.ingest.sources.activity import Hour

_MINUTE = timedelta(minutes=1)
_HOUR = timedelta(hours=1)
BY_MINUTE = timedelta(hours=2)
"""The longest span that is shown minute by minute."""


class Step(Struct, frozen=True):
    """One column of a chart."""

    at: datetime
    """Its beginning."""
    accepted: int = 0
    rejected: int = 0


class Summary(Struct, kw_only=True, frozen=True):
    """What became of a source's events."""

    since: datetime
    until: datetime
    accepted: int
    duplicates: int
    limited: int
    unavailable: int
    rejected: dict[str, int]
    """By code, the most frequent first."""
    step: timedelta
    series: list[Step]
    """Without gaps, from ``since`` to ``until``."""


def summed(hours: Iterable[Hour], now: datetime, span: timedelta) -> Summary:
    """The whole hours of ``span`` up to now; minute by minute where it is short."""
    hours = list(hours)
    rejected = Counter[str]()
    for hour in hours:
        rejected.update(hour.rejected)
    since = _start(now - span + _HOUR)
    step = _MINUTE if span <= BY_MINUTE else _HOUR
    return Summary(
        since=since,
        until=now,
        accepted=sum(hour.accepted for hour in hours),
        duplicates=sum(hour.duplicates for hour in hours),
        limited=sum(hour.limited for hour in hours),
        unavailable=sum(hour.unavailable for hour in hours),
        rejected=dict(sorted(rejected.items(), key=lambda pair: (-pair[1], pair[0]))),
        step=step,
        series=_series(hours, since, now, step),
    )


def _series(hours: list[Hour], since: datetime, now: datetime, step: timedelta) -> list[Step]:
    accepted, rejected = Counter[datetime](), Counter[datetime]()
    for hour in hours:
        if step == _HOUR:
            accepted[hour.hour] += hour.accepted
            rejected[hour.hour] += sum(hour.rejected.values())
            continue
        for minute, (taken, refused) in hour.minutes.items():
            at = hour.hour + minute * _MINUTE
            accepted[at] += taken
            rejected[at] += refused
    series = []
    at = since
    while at <= now:
        series.append(Step(at, accepted[at], rejected[at]))
        at += step
    return series


def _start(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)

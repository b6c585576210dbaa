"""However a source sends, a process takes at most ``burst + rate * seconds`` of its events."""

import math

from hypothesis import given
from hypothesis import strategies as st

from services.ingest.sources.limiter import Limiter
from services.ingest.sources.model import Source

SENDING = st.lists(st.tuples(st.integers(0, 16_000), st.integers(1, 400)), min_size=1, max_size=60)
"""Pauses in 1/16 s (exact in binary), and how many events are then sent at once."""


@given(rate=st.integers(1, 500), burst=st.integers(1, 300), sending=SENDING)
def test_never_more_than_the_burst_and_what_time_has_added(
    rate: int, burst: int, sending: list[tuple[int, int]]
) -> None:
    source = Source(name="web", events_per_second=float(rate), burst=burst)
    limiter = Limiter()
    now, taken = 1_000.0, list[tuple[float, int]]()
    for pause, events in sending:
        now += pause / 16
        if limiter.take(source, events, now) == 0.0:
            taken.append((now, events))
    for first, (start, _) in enumerate(taken):
        total = 0
        for at, events in taken[first:]:
            total += events
            assert total <= burst + rate * (at - start) + 1e-6


@given(rate=st.integers(1, 500), burst=st.integers(1, 300), sending=SENDING)
def test_after_the_wait_that_it_names_the_same_events_are_taken(
    rate: int, burst: int, sending: list[tuple[int, int]]
) -> None:
    source = Source(name="web", events_per_second=float(rate), burst=burst)
    limiter = Limiter()
    now = 1_000.0
    for pause, events in sending:
        now += pause / 16
        wait = limiter.take(source, events, now)
        if events > burst:
            assert wait == math.inf
        elif wait:
            assert limiter.take(source, events, now + wait * 0.9) > 0  # it is no longer than needed
            now += math.ceil(wait)  # as Retry-After says it
            assert limiter.take(source, events, now) == 0.0

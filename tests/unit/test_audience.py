"""Only so many watch a source, and a process, at once."""

from contextlib import ExitStack

import pytest

from services.ingest.sources.audience import Audience
from services.runtime.http import Problem


def refused(audience: Audience, source: str) -> tuple[int, str | None]:
    with pytest.raises(Problem) as caught, audience.seat(source):
        pass
    assert caught.value.extra == {"code": "too_many_streams"}
    return caught.value.status, (caught.value.headers or {}).get("Retry-After")


def test_a_source_has_so_many_seats_and_a_process_so_many_in_all() -> None:
    audience = Audience(most_of_a_source=2, most=3)
    with ExitStack() as seats:
        first = seats.enter_context(ExitStack())
        first.enter_context(audience.seat("web"))
        seats.enter_context(audience.seat("web"))
        assert refused(audience, "web") == (429, "30")
        seats.enter_context(audience.seat("app"))
        assert refused(audience, "till") == (503, "30")
        first.close()
        seats.enter_context(audience.seat("till"))
        assert refused(audience, "web") == (503, "30")
    with audience.seat("web"), audience.seat("web"):
        assert refused(audience, "web") == (429, "30")

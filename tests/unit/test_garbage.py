"""The collector of cycles: it waits while there is work, and tidies up in quiet times."""

import gc
import weakref
from collections.abc import Iterator

import pytest

from services.runtime import garbage


class Knot:
    """A cycle, which only the collector finds."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    threshold = gc.get_threshold()
    yield
    gc.set_threshold(*threshold)
    gc.unfreeze()


def knots(count: int) -> weakref.ref[Knot]:
    """Leave ``count`` cycles behind, and tell of the last one."""
    for _ in range(count - 1):
        Knot()
    return weakref.ref(Knot())


def test_a_turn_is_not_interrupted_by_what_it_leaves_behind() -> None:
    garbage.spare()
    left = knots(100_000)
    assert left() is not None


def test_what_was_left_behind_goes_in_a_quiet_moment() -> None:
    garbage.spare()
    left = knots(100_000)
    garbage.tidy()
    assert left() is None


def test_a_little_is_not_worth_a_pass() -> None:
    garbage.spare()
    left = knots(10)
    garbage.tidy()
    assert left() is not None

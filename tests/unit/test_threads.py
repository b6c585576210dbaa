"""A thread that waits for the interpreter has it within a millisecond."""

import sys

from services.runtime import threads


def test_a_thread_that_computes_lets_go_within_a_millisecond() -> None:
    before = sys.getswitchinterval()
    try:
        threads.share()
        assert sys.getswitchinterval() < 0.001
    finally:
        sys.setswitchinterval(before)

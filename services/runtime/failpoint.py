"""Failpoints: places in a turn at which a test has the process killed, or stopped.

``REGULARS_FAILPOINT=<step>:<count>`` sends SIGKILL to the process itself when it reaches
``<step>`` for the ``<count>``-th time, and ``<step>:<count>:stop`` sends SIGSTOP. Empty, as
everywhere but in fault tests, it is free.
"""

import os
import signal


class Failpoint:
    """Counts the steps of a turn and acts at the one it was told."""

    def __init__(self, setting: str = "") -> None:
        step, count, action, *_ = f"{setting}:::".split(":")
        self._step = step
        self._left = int(count or 1)
        self._signal = signal.SIGSTOP if action == "stop" else signal.SIGKILL

    def reached(self, step: str) -> None:
        """Called by the stage between its steps."""
        if step != self._step:
            return
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), self._signal)

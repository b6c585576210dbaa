"""Failpoints: places in a turn at which a test has the process killed or made to wait.

``REGULARS_FAILPOINT=<step>:<count>`` sends SIGKILL to the process itself when it reaches
``<step>`` for the ``<count>``-th time. Empty, as everywhere but in fault tests, it is free.
"""

import os
import signal


class Failpoint:
    """Counts the steps of a turn and dies at the one it was told."""

    def __init__(self, setting: str = "") -> None:
        step, _, count = setting.partition(":")
        self._step = step
        self._left = int(count or 1)

    def reached(self, step: str) -> None:
        """Called by the stage between its steps."""
        if step != self._step:
            return
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

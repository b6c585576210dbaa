"""Several processes that serve one address, so that an API may use more than one core.

The kernel spreads connections over them. They live and die together: when one ends by
itself, all end, and whoever supervises the service starts it anew.
"""

import multiprocessing
import os
import signal
import sys
import tempfile
from collections.abc import Callable
from multiprocessing.connection import wait

import structlog

METRICS = "PROMETHEUS_MULTIPROC_DIR"
"""The variable by which prometheus_client learns where all processes keep their figures."""

logger = structlog.get_logger()


def run(work: Callable[[], None], count: int) -> None:
    """Run ``work`` in ``count`` new processes until a signal ends them; exits with 1 on trouble.

    ``work`` must end on SIGTERM, and when ``orphaned`` says so.
    """
    with tempfile.TemporaryDirectory(prefix="regulars-metrics-") as directory:
        os.environ[METRICS] = directory
        context = multiprocessing.get_context("spawn")
        members = [context.Process(target=work) for _ in range(count)]
        ending = False

        def end(*_: object) -> None:
            nonlocal ending
            ending = True
            for member in members:
                if member.pid is not None:
                    member.terminate()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, end)
        for member in members:
            member.start()
        wait([member.sentinel for member in members])
        if not ending:
            logger.error("a process ended by itself, so all end")
            end()
        for member in members:
            member.join()
    if any(member.exitcode for member in members):
        sys.exit(1)


def orphaned() -> int | None:
    """A descriptor that can be read once the process that ran us is no more; None: no such."""
    parent = multiprocessing.parent_process()
    return None if parent is None else parent.sentinel

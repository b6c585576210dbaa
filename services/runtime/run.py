"""Running a worker in this process, until a signal ends it."""

import logging
import os
import sys

import faust
import mode.loop

from services.runtime import log, memory, threads
from services.runtime.settings import Settings


def run_worker(app: faust.App, settings: Settings) -> None:
    """Run until SIGTERM or SIGINT; exits with Faust's code."""
    mode.loop.use("uvloop")

    class Worker(faust.Worker):
        """Logs as every other process of ours does, not as Faust would."""

        def _setup_logging(self) -> None:
            log.configure(settings)
            for chatty in ("faust", "mode", "aiokafka"):
                logging.getLogger(chatty).setLevel(logging.WARNING)

    # It has no threads yet: they take it from this one.
    os.nice(settings.worker_niceness)
    memory.keep()
    threads.share()
    app.finalize()
    worker = Worker(app, quiet=True, redirect_stdouts=False)
    worker.spinner = None  # no terminal to draw on: the log is the output
    sys.exit(worker.execute_from_commandline())

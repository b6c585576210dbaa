"""Running a worker in this process, until a signal ends it."""

import sys

import faust
import mode.loop

from services.runtime import log
from services.runtime.settings import Settings
from services.runtime.stage import Stage
from services.runtime.worker import Blueprint, create_worker


def run_worker(blueprint: Blueprint, settings: Settings, make_stage: type[Stage] = Stage) -> None:
    """Run until SIGTERM or SIGINT; exits with Faust's code."""
    mode.loop.use("uvloop")
    log.configure(settings)
    app = create_worker(blueprint, settings, make_stage)
    app.finalize()
    worker = faust.Worker(app, loglevel="WARN", quiet=True, redirect_stdouts=False)
    sys.exit(worker.execute_from_commandline())

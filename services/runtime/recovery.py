"""What a stage does when a turn has failed: nothing was committed, and it is tried again."""

from contextlib import suppress

import structlog

from services.runtime import metrics
from services.runtime.checkpoints import Checkpoints
from services.runtime.intake import Intake
from services.runtime.mongo import PyMongoError
from services.runtime.pace import Pace
from services.runtime.timers import Timers
from services.runtime.turn import Handler
from services.runtime.waiting import Waiting

log = structlog.get_logger()


class Recovery:
    """Says why, has less tried next time, and lets go of what others have taken."""

    def __init__(
        self,
        name: str,
        handler: Handler,
        *,
        pace: Pace,
        waiting: Waiting,
        intake: Intake,
        checkpoints: Checkpoints,
        timers: Timers,
    ) -> None:
        self._name = name
        self._handler = handler
        self._pace = pace
        self._waiting = waiting
        self._intake = intake
        self._checkpoints = checkpoints
        self._timers = timers

    async def after(self, error: Exception, cause: str) -> float:
        """How many seconds to wait before the next attempt. ``cause`` is ``cause_of(error)``."""
        metrics.STAGE_RETRIES.labels(self._name, cause).inc()
        self._handler.lost(None)
        if cause == "failed":
            log.error("handler failed", stage=self._name, limit=self._pace.limit, exc_info=error)
        else:
            log.warning("turn failed", stage=self._name, cause=cause, error=type(error).__name__)
        seconds = self._pace.failed(cause, self._waiting.records)
        if cause in ("fenced", "unknown"):
            await self._resynchronise()
        return seconds

    async def _resynchronise(self) -> None:
        """Drop the partitions that others have taken; read our own checkpoints again."""
        owned = self._intake.owned
        epochs = dict[str, int]()
        with suppress(PyMongoError):
            epochs = await self._checkpoints.epochs(list(owned))
        lost = [id_ for id_, epoch in epochs.items() if epoch > owned[id_].epoch]
        if not lost:
            self._intake.again()
            return
        metrics.STAGE_FENCED.labels(self._name).inc()
        log.warning("fenced", stage=self._name, partitions=len(lost))
        self._handler.lost([owned[id_] for id_ in lost])
        self._intake.forget(lost)
        self._waiting.forget(lost)
        await self._timers.own(self._intake.owned)

"""The outbox of the last turn on its way to Kafka, while the next turn is handled."""

import asyncio
from collections.abc import Sequence
from time import monotonic

import structlog
from aiokafka.errors import KafkaError

from services.runtime import metrics
from services.runtime.backoff import Backoff
from services.runtime.failpoint import Failpoint
from services.runtime.publish import Publisher
from services.runtime.trouble import Unpublished
from services.runtime.turn import Output

log = structlog.get_logger()

_PATIENCE_SECONDS = 10.0


class Outbox:
    """Publishes one turn's records at a time. They are stored, so a crash loses none."""

    def __init__(self, stage: str, publisher: Publisher, failpoint: Failpoint) -> None:
        self._stage = stage
        self._publisher = publisher
        self._failpoint = failpoint
        self._task: asyncio.Task[None] | None = None

    def publish(self, outputs: Sequence[Output]) -> None:
        """Start publishing; ``published`` tells when it is done."""
        if outputs:
            self._task = asyncio.ensure_future(self._publish(outputs))

    async def published(self) -> None:
        """Wait until every record is acknowledged; raises ``Unpublished`` after a while."""
        if self._task is None:
            return
        await asyncio.wait({self._task}, timeout=_PATIENCE_SECONDS)
        if not self._task.done():
            raise Unpublished("Kafka does not acknowledge")
        self._task.result()
        self._task = None

    async def stop(self, seconds: float = 0.0) -> None:
        """Give it ``seconds`` more, then leave the rest to the next owner."""
        task, self._task = self._task, None
        if task is not None:
            await asyncio.wait({task}, timeout=seconds)
            task.cancel()

    async def _publish(self, outputs: Sequence[Output]) -> None:
        started, backoff = monotonic(), Backoff()
        while True:
            try:
                await self._publisher.publish(outputs)
                break
            except (KafkaError, OSError) as error:
                log.warning("publish failed", stage=self._stage, error=type(error).__name__)
                await asyncio.sleep(backoff.next())
        self._failpoint.reached("published")
        metrics.STAGE_TURN.labels(self._stage, "publish").observe(monotonic() - started)

"""The outbox of the last turn on its way to Kafka, while the next turn is handled."""

import asyncio
from collections.abc import Sequence
from time import monotonic

import structlog
from aiokafka.errors import KafkaError

from services.runtime import metrics
from services.runtime.backoff import Backoff
from services.runtime.checkpoints import Advance, Checkpoints
from services.runtime.failpoint import Failpoint
from services.runtime.mongo import PyMongoError
from services.runtime.publish import Packed, Publisher
from services.runtime.trouble import Unpublished
from services.runtime.turn import Output

log = structlog.get_logger()

_PATIENCE_SECONDS = 10.0

Packing = asyncio.Future[Packed]


class Outbox:
    """Publishes one turn's records at a time. They are stored, so a crash loses none."""

    def __init__(
        self, stage: str, publisher: Publisher, checkpoints: Checkpoints, failpoint: Failpoint
    ) -> None:
        self._stage = stage
        self._publisher = publisher
        self._checkpoints = checkpoints
        self._failpoint = failpoint
        self._task: asyncio.Task[None] | None = None

    def pack(self, advances: Sequence[Advance], at: int) -> Packing | None:
        """Start packing their records under the stamp ``at``, while they are being stored."""
        if not any(advance.outputs for advance in advances):
            return None
        packing = asyncio.ensure_future(self._publisher.pack(_outputs(advances), at))
        packing.add_done_callback(lambda done: done.cancelled() or done.exception())
        return packing

    def publish(self, advances: Sequence[Advance], packing: Packing | None) -> None:
        """Start publishing what is packed; ``published`` tells when it is done."""
        if packing is not None:
            self._task = asyncio.ensure_future(self._publish(advances, packing))

    async def published(self) -> None:
        """Wait until every record is acknowledged; raises ``Unpublished`` after a while.

        Raises ``Fenced`` when they could not be sent in time and are another worker's now.
        """
        if self._task is None:
            return
        await asyncio.wait({self._task}, timeout=_PATIENCE_SECONDS)
        if not self._task.done():
            raise Unpublished("Kafka does not acknowledge")
        self._task.result()
        self._task = None

    async def stop(self, seconds: float = 0.0) -> bool:
        """Give it ``seconds`` more, then leave the rest to the next owner; whether none is left."""
        task, self._task = self._task, None
        if task is None:
            return True
        await asyncio.wait({task}, timeout=seconds)
        task.cancel()
        (result,) = await asyncio.gather(task, return_exceptions=True)
        return result is None

    async def _publish(self, advances: Sequence[Advance], packing: Packing) -> None:
        started, backoff = monotonic(), Backoff()
        while True:
            try:
                await self._publisher.post(await packing)
                break
            except (KafkaError, OSError) as error:
                log.warning("publish failed", stage=self._stage, error=type(error).__name__)
            at = await self._again(advances, backoff)
            packing = asyncio.ensure_future(self._publisher.pack(_outputs(advances), at))
        self._failpoint.reached("published")
        metrics.STAGE_TURN.labels(self._stage, "publish").observe(monotonic() - started)

    async def _again(self, advances: Sequence[Advance], backoff: Backoff) -> int:
        """Wait a moment; the stamp for another attempt, if the records are still ours to send."""
        while True:
            await asyncio.sleep(backoff.next())
            try:
                return await self._checkpoints.stamp([advance.source for advance in advances])
            except PyMongoError as error:
                log.warning("no stamp", stage=self._stage, error=type(error).__name__)


def _outputs(advances: Sequence[Advance]) -> list[Output]:
    return [output for advance in advances for output in advance.outputs]

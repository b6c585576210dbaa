"""``regulars worker segmentation``: the handler on its stage. Wiring only."""

from typing import Any

import faust
from faust import Service

from services.runtime.worker import Blueprint, Parts, Wired
from services.runtime.worker import create_worker as host
from services.segmentation import store
from services.segmentation.handler import GROUP, KINDS, TOPICS, SegmentationHandler
from services.segmentation.settings import SegmentationSettings


class Watch(Service):
    """Gives a turn to each partition that is behind the definitions, also when all is idle."""

    abstract = False

    def __init__(
        self,
        handler: SegmentationHandler,
        parts: Parts,
        seconds: float,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._handler = handler
        self._complete = parts.complete
        self._definitions = parts.definitions
        self._seconds = seconds

    @Service.task
    async def _watch(self) -> None:
        while not self.should_stop:
            for source_id in self._handler.behind():
                self._complete(source_id, None)
            changed = self._definitions.changed(self._definitions.revision)
            await self.wait(changed, timeout=self._seconds)


def create_worker(settings: SegmentationSettings | None = None) -> faust.App:
    """The Faust app of the segmentation worker."""
    settings = settings or SegmentationSettings()
    configured = settings

    def wire(parts: Parts) -> Wired:
        handler = SegmentationHandler(
            store.People(parts.database),
            parts.definitions,
            cached=configured.segmentation_cached_people,
            chunk=configured.segmentation_sweep_chunk,
        )
        watch = Watch(handler, parts, configured.segmentation_watch_seconds)
        return Wired(
            handler=handler,
            prepare=lambda: store.prepare(parts.database),
            services=[watch],
        )

    blueprint = Blueprint(
        name=GROUP,
        database="segmentation",
        topics=TOPICS,
        port=settings.segmentation_worker_port,
        wire=wire,
        kinds=KINDS,
    )
    return host(blueprint, settings)

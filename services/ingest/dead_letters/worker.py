"""``regulars worker dead-letters``: the handler on its stage. Wiring only."""

from collections.abc import Callable
from typing import Any

import faust
import structlog
from faust import Service

from services.ingest.dead_letters.handler import NAME, TOPICS, DeadLetters, Limits
from services.ingest.dead_letters.store import Letters
from services.ingest.settings import IngestSettings
from services.runtime.mongo import PyMongoError
from services.runtime.worker import Blueprint, Parts, Wired
from services.runtime.worker import create_worker as host

log = structlog.get_logger()


class Watch(Service):
    """Gives a turn to each partition that has letters to replay."""

    abstract = False

    def __init__(
        self, letters: Letters, complete: Callable[[str, Any], None], seconds: float, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self._letters = letters
        self._complete = complete
        self._seconds = seconds

    @Service.task
    async def _watch(self) -> None:
        while not self.should_stop:
            try:
                for home in await self._letters.waiting():
                    self._complete(home, None)
            except PyMongoError as error:
                log.warning("replays not looked for", error=type(error).__name__)
            await self.sleep(self._seconds)


def create_worker(settings: IngestSettings | None = None) -> faust.App:
    """The Faust app of the dead-letters worker."""
    settings = settings or IngestSettings()
    limits = Limits(
        days=settings.dead_letters_days,
        letters=settings.dead_letters_per_source,
        bytes=settings.dead_letters_bytes_per_source,
    )
    seconds = settings.dead_letters_poll_seconds

    def wire(parts: Parts) -> Wired:
        letters = Letters(parts.database)
        watch = Watch(letters, parts.complete, seconds)
        return Wired(DeadLetters(letters, limits), letters.prepare, [watch])

    blueprint = Blueprint(
        name=NAME,
        database="ingest",
        topics=TOPICS,
        port=settings.dead_letters_worker_port,
        wire=wire,
    )
    return host(blueprint, settings)

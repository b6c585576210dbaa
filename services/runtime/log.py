"""Logs: one line an event on stderr, JSON for machines or text for people.

``structlog.get_logger()`` and the standard library's loggers (Kafka, Faust, Granian) come
out in the same form. Personal data never goes into a log: log ids of partitions, counts
and codes instead.
"""

import logging
import sys
from collections.abc import Callable
from time import monotonic

import structlog
from structlog.typing import Processor

from services.runtime.settings import Settings

_CHATTY = "aiokafka"
"""Whose clients say a hundred times a second that the broker is away."""
_AGAIN_S = 10.0


class Repetitions(logging.Filter):
    """Of what the Kafka client says, the same words once in ten seconds."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._said: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if not record.name.startswith(_CHATTY):
            return True
        now, words = self._clock(), (record.name, record.getMessage())
        if now - self._said.get(words, -_AGAIN_S) < _AGAIN_S:
            return False
        self._said = {said: at for said, at in self._said.items() if now - at < _AGAIN_S}
        self._said[words] = now
        return True


def configure(settings: Settings) -> None:
    """Set up logging for this process, by ``log_level`` and ``log_format``."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    render: list[Processor] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    if settings.log_format == "json":
        render += [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    else:
        # The plain trace, since a rich one shows local variables: people's data.
        plain = structlog.dev.plain_traceback
        render += [
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)
        ]

    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(Repetitions())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=render)
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level.upper())
    # aiokafka tells every step of a group's life at INFO.
    logging.getLogger("aiokafka").setLevel(max(root.level, logging.WARNING))
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(root.level),
        cache_logger_on_first_use=False,
    )

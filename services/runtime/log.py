"""Logs: one line an event on stderr, JSON for machines or text for people.

``structlog.get_logger()`` and the standard library's loggers (Kafka, Faust, Granian) come
out in the same form. Personal data never goes into a log: log ids of partitions, counts
and codes instead.
"""

import logging
import sys

import structlog
from structlog.typing import Processor

from services.runtime.settings import Settings


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

"""``regulars worker reporting``: the handler on its stage. Wiring only."""

import faust

from services.reporting.handler import GROUP, TOPICS, ReportingHandler
from services.reporting.settings import ReportingSettings
from services.reporting.store import Tables
from services.runtime.worker import Blueprint, Parts, Wired
from services.runtime.worker import create_worker as host


def create_worker(settings: ReportingSettings | None = None) -> faust.App:
    """The Faust app of the reporting worker."""
    settings = settings or ReportingSettings()
    cached_people = settings.reporting_cached_people

    def wire(parts: Parts) -> Wired:
        store = Tables(parts.database)
        return Wired(handler=ReportingHandler(store, cached_people), prepare=store.prepare)

    blueprint = Blueprint(
        name=GROUP,
        database="reporting",
        topics=TOPICS,
        port=settings.reporting_worker_port,
        wire=wire,
        rest_s=settings.reporting_rest_seconds,
    )
    return host(blueprint, settings)

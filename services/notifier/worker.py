"""``regulars worker notifier``: the handler on its stage, the sender beside it. Wiring only."""

from datetime import timedelta
from uuid import uuid4

import faust

from schemas.topics import EMAILS, SEGMENT_CHANGES
from services.notifier.campaigns import Campaigns
from services.notifier.handler import Notifier
from services.notifier.model import Retry
from services.notifier.profiles import Profiles
from services.notifier.sender import Sender
from services.notifier.settings import NotifierSettings
from services.notifier.store import Ledger
from services.runtime.worker import Blueprint, Parts, Wired
from services.runtime.worker import create_worker as host

GROUP = "notifier"


def create_worker(settings: NotifierSettings | None = None) -> faust.App:
    """The Faust app of the notifier's worker."""
    settings = settings or NotifierSettings()
    blueprint = Blueprint(
        name=GROUP,
        database="notifier",
        topics=(SEGMENT_CHANGES.name, EMAILS.name),
        port=settings.notifier_worker_port,
        wire=lambda parts: wire(settings, parts),
        kinds=("campaign",),
    )
    return host(blueprint, settings)


def wire(settings: NotifierSettings, parts: Parts) -> Wired:
    """The handler, and the sender that brings its results back to the stage.

    Raises ``ValueError`` when the settings have no secret.
    """
    ledger = Ledger(parts.database)
    campaigns = Campaigns(parts.definitions)
    sender = Sender(
        settings,
        ledger=ledger,
        campaigns=campaigns,
        profiles=Profiles(settings),
        complete=parts.complete,
        owner=uuid4().hex,
    )
    handler = Notifier(
        ledger,
        campaigns,
        sender,
        parts.complete,
        retry=Retry(
            limit=settings.notifier_retry_limit,
            first_seconds=settings.notifier_retry_first_seconds,
            cap_seconds=settings.notifier_retry_cap_seconds,
        ),
        grace=timedelta(seconds=settings.notifier_grace_seconds),
    )
    return Wired(handler=handler, prepare=ledger.prepare, services=(sender,))

"""``regulars worker notifier``: the handler on its stage, the sender beside it. Wiring only."""

from datetime import timedelta
from uuid import uuid4

import faust

from schemas.topics import CONSENT_REQUESTS, EMAILS, SEGMENT_CHANGES
from services.notifier import asking, confirmation
from services.notifier.campaigns import Campaigns
from services.notifier.handler import Notifier
from services.notifier.mail import usable_sender
from services.notifier.model import Retry
from services.notifier.profiles import Profiles
from services.notifier.sender import Sender
from services.notifier.settings import NotifierSettings
from services.notifier.store import Ledger
from services.notifier.templates import TemplateError, Templates
from services.runtime.worker import Blueprint, Parts, Wired
from services.runtime.worker import create_worker as host

GROUP = "notifier"


def create_worker(settings: NotifierSettings | None = None) -> faust.App:
    """The Faust app of the notifier's worker."""
    settings = settings or NotifierSettings()
    blueprint = Blueprint(
        name=GROUP,
        database="notifier",
        topics=(SEGMENT_CHANGES.name, CONSENT_REQUESTS.name, EMAILS.name),
        port=settings.notifier_worker_port,
        wire=lambda parts: wire(settings, parts),
        kinds=("campaign",),
    )
    return host(blueprint, settings)


def wire(settings: NotifierSettings, parts: Parts) -> Wired:
    """The handler, and the sender that brings its results back to the stage.

    Raises ``ValueError`` when the settings have no secret, or no usable confirmation mail.
    """
    check_letter(settings)
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
        confirm=asking.Terms(
            life=timedelta(days=settings.notifier_confirm_days),
            hourly=settings.notifier_confirm_hourly,
            daily=settings.notifier_confirm_daily,
            most=settings.notifier_confirm_most,
        ),
    )
    return Wired(handler=handler, prepare=ledger.prepare, services=(sender,))


def check_letter(settings: NotifierSettings) -> None:
    """Raise ``ValueError`` for a confirmation mail that could not be sent or would not help."""
    letter = confirmation.letter(settings).campaign
    if settings.notifier_confirm_from and not usable_sender(letter.from_):
        raise ValueError("REGULARS_NOTIFIER_CONFIRM_FROM is no address to send from")
    try:
        Templates(letter)
    except TemplateError as error:
        raise ValueError(f"the confirmation mail (REGULARS_NOTIFIER_CONFIRM_*): {error}") from None
    if "confirm_url" not in letter.text:
        raise ValueError("REGULARS_NOTIFIER_CONFIRM_TEXT has no {{ confirm_url }}")

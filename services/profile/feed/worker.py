"""``regulars worker profile-feed``: the handler on its stage, the sender beside it. Wiring only."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import faust
from faust import Service

from services.profile.feed.handler import NAME, TOPICS, Feed
from services.profile.feed.journal import Journal
from services.profile.feed.model import Patience, Subscription
from services.profile.feed.reader import Reader
from services.profile.feed.secrets import current
from services.profile.feed.sender import Sender
from services.profile.feed.store import Ledger, prepare
from services.profile.settings import ProfileSettings
from services.runtime.mongo import PyMongoError
from services.runtime.outbound import Limits
from services.runtime.seals import Seals
from services.runtime.worker import Blueprint, Parts, Wired
from services.runtime.worker import create_worker as host

_LOOK_SECONDS = 1.0


def create_worker(settings: ProfileSettings | None = None) -> faust.App:
    """The Faust app of the webhooks' worker."""
    settings = settings or ProfileSettings()
    blueprint = Blueprint(
        name=NAME,
        database="profile",
        topics=TOPICS,
        port=settings.profile_feed_worker_port,
        wire=lambda parts: wire(settings, parts),
    )
    return host(blueprint, settings)


def wire(settings: ProfileSettings, parts: Parts) -> Wired:
    """The handler; the sender, the journal and the reader that bring it their results."""
    seals = Seals([key.get_secret_value() for key in settings.secret_keys])
    ledger = Ledger(parts.database)
    journal = Journal(ledger)

    def secrets(subscription: Subscription) -> Sequence[str]:
        return current(seals, subscription.secrets, datetime.now(UTC))

    sender = Sender(
        directory=lambda: feed.subscriptions,
        secrets=secrets,
        complete=parts.complete,
        ledger=ledger,
        journal=journal,
        connections=settings.webhook_connections,
        limits=Limits(seconds=settings.webhook_seconds),
        allowed=settings.webhook_allowed,
    )
    feed = Feed(
        ledger,
        sender,
        parts.complete,
        Patience(
            waiting=settings.webhook_waiting,
            first_seconds=settings.webhook_retry_first_seconds,
            cap_seconds=settings.webhook_retry_cap_seconds,
            give_up=timedelta(days=settings.webhook_give_up_days),
        ),
    )
    reader = Reader(
        settings,
        behind=feed.behind,
        directory=lambda: feed.subscriptions,
        complete=parts.complete,
    )
    feed.room = reader.look
    return Wired(
        handler=feed,
        prepare=lambda: prepare(parts.database),
        services=(journal, sender, reader, Watch(feed, ledger)),
    )


class Watch(Service):
    """Has the handler look when subscriptions have changed."""

    abstract = False

    def __init__(self, feed: Feed, ledger: Ledger, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._feed = feed
        self._ledger = ledger

    @Service.timer(_LOOK_SECONDS)
    async def _look(self) -> None:
        try:
            revision = await self._ledger.revision()
        except PyMongoError:
            return  # the stage says so
        if revision != self._feed.revision:
            self._feed.ask_for_turns()

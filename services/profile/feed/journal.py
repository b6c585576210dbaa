"""The log of attempts, and since when an endpoint fails: beside the turns, for people to see."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol

import structlog
from faust import Service

from services.profile.feed.model import LOG_ENTRIES, Delivery, Entry, Outcome
from services.runtime.mongo import PyMongoError

log = structlog.get_logger()

_WRITE_SECONDS = 1.0


class Book(Protocol):
    """What is needed of the store."""

    async def note(self, subscription: str, entries: Sequence[Entry]) -> datetime | None:
        """Add attempts to the log; since when the endpoint fails, if it does."""


class Journal(Service):
    """Gathers attempts and writes them once a second."""

    abstract = False

    def __init__(self, book: Book, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._book = book
        self._unwritten = defaultdict[str, list[Entry]](list)
        self._failing: dict[str, datetime] = {}

    def note(self, delivery: Delivery, outcome: Outcome) -> None:
        """An attempt has been made."""
        self._add(entry_of(delivery, outcome), delivery.subscription)
        if outcome.kind == "delivered":
            self._failing.pop(delivery.subscription, None)
        else:
            self._failing.setdefault(delivery.subscription, outcome.at)

    def give_up(self, delivery: Delivery, at: datetime) -> None:
        """A delivery is not tried any more."""
        self._add(
            Entry(
                at=at,
                webhook_id=delivery.webhook_id,
                type=delivery.type,
                profile_id=delivery.profile_id,
                attempt=delivery.attempts,
                outcome="given_up",
            ),
            delivery.subscription,
        )

    def failing_since(self, subscription: str) -> datetime | None:
        """Since when nothing has arrived there, as far as is known here."""
        return self._failing.get(subscription)

    def _add(self, entry: Entry, subscription: str) -> None:
        entries = self._unwritten[subscription]
        entries.append(entry)
        del entries[:-LOG_ENTRIES]

    @Service.timer(_WRITE_SECONDS)
    async def _write_often(self) -> None:
        await self._write()

    async def on_stop(self) -> None:
        await self._write()

    async def _write(self) -> None:
        unwritten, self._unwritten = self._unwritten, defaultdict(list)
        for subscription, entries in unwritten.items():
            try:
                since = await self._book.note(subscription, entries)
            except PyMongoError as error:  # a log: not worth more than this
                log.warning("attempts not logged", error=type(error).__name__)
                continue
            if since is not None and subscription in self._failing:
                self._failing[subscription] = since


def entry_of(delivery: Delivery, outcome: Outcome) -> Entry:
    """One line of the log."""
    return Entry(
        at=outcome.at,
        webhook_id=delivery.webhook_id,
        type=delivery.type,
        profile_id=delivery.profile_id,
        attempt=outcome.attempt,
        outcome=outcome.kind,
        status=outcome.status,
        code=outcome.code,
        seconds=round(outcome.seconds, 3),
    )

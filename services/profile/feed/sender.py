"""The sender: takes deliveries to their endpoints, outside of any turn.

Each subscription has connections of its own, so that one that is slow delays nobody else. A
connection's place is free again only when a turn has stored what became of its delivery: so
whatever happens, no more are sent twice than there are connections.
"""

import asyncio
import random
import ssl
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from time import monotonic, time
from typing import Any, Protocol

from faust import Service

from schemas.validation import Fault
from services.profile.feed.journal import Journal
from services.profile.feed.model import Delivery, Outcome, Subscription
from services.profile.feed.signature import headers
from services.runtime import metrics
from services.runtime.mongo import PyMongoError
from services.runtime.outbound import Limits, Outbound, Reply

_TELL_AGAIN_SECONDS = 5.0
_TIDY_SECONDS = 60.0
_STOP_SECONDS = 20.0
_RETRY_AFTER = frozenset({429, 503})
_GONE = 410


class Ledger(Protocol):
    """What the sender needs of the store."""

    async def arrived(self, delivery_ids: Sequence[str]) -> None:
        """These need not be sent again; safe to repeat."""


class Held:
    """A delivery in the sender's hands, until a turn has stored what became of it."""

    __slots__ = ("delivery", "outcome", "sending", "told")

    def __init__(self, delivery: Delivery) -> None:
        self.delivery = delivery
        self.outcome: Outcome | None = None
        self.sending = False
        self.told = 0.0


class Channel:
    """What is in hand for one subscription, and its connections."""

    def __init__(self, outbound: Outbound) -> None:
        self.outbound = outbound
        self.held: dict[str, Held] = {}
        self.queue = deque[Held]()
        self.begun = set[str]()
        """Of those held, which take up a connection's place."""


class Sender(Service):
    """Sends what is offered."""

    abstract = False

    def __init__(
        self,
        *,
        directory: Callable[[], Mapping[str, Subscription]],
        secrets: Callable[[Subscription], Sequence[str]],
        complete: Callable[[str, Any], None],
        ledger: Ledger,
        journal: Journal,
        connections: int,
        limits: Limits,
        allowed: Sequence[str] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._directory = directory
        self._secrets = secrets
        self._complete = complete
        self._ledger = ledger
        self._journal = journal
        self._connections = connections
        self._limits = limits
        self._allowed = tuple(allowed)
        self._trust = ssl.create_default_context()
        self._sources = set[str]()
        self._channels: dict[str, Channel] = {}
        self._sending = set[asyncio.Task[None]]()

    # -- what the handler calls ----------------------------------------------------------

    def offer(self, deliveries: Iterable[Delivery]) -> None:
        """Send these now, those that are already in hand excepted."""
        for delivery in deliveries:
            channel = self._channel(delivery.subscription)
            if delivery.id not in channel.held:
                held = channel.held[delivery.id] = Held(delivery)
                channel.queue.append(held)
        for id_, channel in self._channels.items():
            self._begin(id_, channel)

    def settled(self, delivery_ids: Iterable[str]) -> None:
        """The ledger has what became of these attempts."""
        for id_ in delivery_ids:
            channel = self._channels.get(id_.partition("/")[0])
            held = channel.held.get(id_) if channel is not None else None
            if channel is not None and held is not None and held.outcome is not None:
                self._release(channel, held)

    def given_up(self, deliveries: Iterable[Delivery]) -> None:
        """These will not be tried again."""
        for delivery in deliveries:
            self._journal.give_up(delivery, datetime.now(UTC))
            metrics.WEBHOOKS.labels("given_up").inc()

    def own(self, sources: Collection[str]) -> None:
        """These sources are ours."""
        self._sources |= set(sources)

    def disown(self, sources: Collection[str]) -> None:
        """Others own these now: begin nothing more of them. What is under way comes to its end."""
        self._sources -= set(sources)
        for channel in self._channels.values():
            for held in [*channel.held.values()]:
                if held.delivery.source not in self._sources and not held.sending:
                    self._release(channel, held)

    def failing_since(self, subscription: str) -> datetime | None:
        """Since when nothing has arrived there; None where the last attempt has."""
        return self._journal.failing_since(subscription)

    # -- life ----------------------------------------------------------------------------

    @Service.timer(_TELL_AGAIN_SECONDS)
    async def _tell_again(self) -> None:
        """A completion is forgotten while partitions change hands."""
        for channel in self._channels.values():
            for held in channel.held.values():
                if held.outcome is not None and monotonic() - held.told > _TELL_AGAIN_SECONDS:
                    self._tell(held)

    @Service.timer(_TIDY_SECONDS)
    async def _tidy(self) -> None:
        """Close the connections to whom nothing is under way."""
        for id_, channel in [*self._channels.items()]:
            if not channel.held:
                del self._channels[id_]
                await channel.outbound.close()

    async def on_stop(self) -> None:
        """Let what is under way finish, and note what has arrived and no turn has stored."""
        if self._sending:
            await asyncio.wait(self._sending, timeout=_STOP_SECONDS)
        for task in self._sending:
            task.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)
        channels = [*self._channels.values()]
        arrived = [
            held.delivery.id
            for channel in channels
            for held in channel.held.values()
            if held.outcome is not None and held.outcome.kind == "delivered"
        ]
        with suppress(PyMongoError):  # then they are sent again
            await self._ledger.arrived(arrived)
        await asyncio.gather(*(channel.outbound.close() for channel in channels))

    # -- sending -------------------------------------------------------------------------

    def _channel(self, subscription: str) -> Channel:
        channel = self._channels.get(subscription)
        if channel is None:
            outbound = Outbound(self._allowed, self._limits, trust=self._trust)
            channel = self._channels[subscription] = Channel(outbound)
        return channel

    def _begin(self, id_: str, channel: Channel) -> None:
        """Begin as many as there are places; one at a time while nothing arrives."""
        subscription = self._directory().get(id_)
        places = 1 if self._journal.failing_since(id_) else self._connections
        while channel.queue and len(channel.begun) < places and not self.should_stop:
            held = channel.queue.popleft()
            if channel.held.get(held.delivery.id) is not held:
                continue  # disowned while it was queued
            if subscription is None or not subscription.enabled:
                del channel.held[held.delivery.id]
                continue
            channel.begun.add(held.delivery.id)
            held.sending = True
            task = asyncio.create_task(self._send(channel, held, subscription))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    async def _send(self, channel: Channel, held: Held, subscription: Subscription) -> None:
        delivery = held.delivery
        started = monotonic()
        try:
            reply = await post(channel.outbound, subscription, delivery, self._secrets)
        finally:
            held.sending = False
        outcome = outcome_of(delivery, reply, monotonic() - started)
        metrics.WEBHOOKS.labels(outcome.kind).inc()
        metrics.WEBHOOK_SECONDS.observe(outcome.seconds)
        self._journal.note(delivery, outcome)
        held.outcome = outcome
        if delivery.source in self._sources:
            self._tell(held)
        else:
            self._release(channel, held)

    def _tell(self, held: Held) -> None:
        held.told = monotonic()
        self._complete(held.delivery.source, held.outcome)

    def _release(self, channel: Channel, held: Held) -> None:
        id_ = held.delivery.id
        channel.held.pop(id_, None)
        channel.begun.discard(id_)
        self._begin(held.delivery.subscription, channel)


async def post(
    outbound: Outbound,
    subscription: Subscription,
    delivery: Delivery,
    secrets: Callable[[Subscription], Sequence[str]],
) -> Reply | Fault:
    """One attempt, signed at this moment."""
    keys = secrets(subscription)
    if not keys:
        return Fault("no_secret", "None of REGULARS_SECRET_KEYS opens the subscription's secret.")
    said = headers(keys, delivery.webhook_id, int(time()), delivery.body)
    return await outbound.request("POST", subscription.url, headers=said, body=delivery.body)


def outcome_of(delivery: Delivery, reply: Reply | Fault, seconds: float) -> Outcome:
    """What an answer means: 2xx is success, 410 the end, and everything else is tried again."""
    outcome = Outcome(
        delivery=delivery.id,
        subscription=delivery.subscription,
        attempt=delivery.attempts + 1,
        kind="failed",
        at=datetime.now(UTC),
        seconds=seconds,
        chance=random.random(),  # noqa: S311  # jitter, not a secret
    )
    if isinstance(reply, Fault):
        outcome.code = reply.code
        return outcome
    outcome.status = reply.status
    if 200 <= reply.status < 300:
        outcome.kind = "delivered"
        return outcome
    outcome.code = f"http_{reply.status}"
    if reply.status == _GONE:
        outcome.kind = "gone"
    elif reply.status in _RETRY_AFTER:
        asked = reply.headers.get("retry-after", "")
        outcome.wait = float(asked[:9]) if asked.isdecimal() else 0.0
    return outcome

"""What the turns of the webhooks need of others: what is stored, and who sends."""

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any, Protocol

from services.profile.feed.draft import Draft
from services.profile.feed.model import Delivery, LaneState, Subscription


class Ledger(Protocol):
    """Subscriptions, lanes and deliveries, within a turn's transaction."""

    async def revision(self, session: Any) -> int:
        """A number that rises with each change of a subscription."""

    async def subscriptions(self, session: Any) -> list[Subscription]:
        """All of them."""

    async def load(
        self, sources: Collection[str], session: Any
    ) -> tuple[list[LaneState], list[Delivery]]:
        """What is stored of these sources; deliveries by offset."""

    async def save(self, draft: Draft, now: datetime, session: Any) -> None:
        """Store what the turn has decided."""


class Outbound(Protocol):
    """The sender, as the handler sees it; nothing here waits."""

    def offer(self, deliveries: Iterable[Delivery]) -> None:
        """Send these now, those that are not already in hand excepted."""

    def settled(self, delivery_ids: Iterable[str]) -> None:
        """The ledger has what became of these attempts."""

    def given_up(self, deliveries: Iterable[Delivery]) -> None:
        """These will not be tried again."""

    def own(self, sources: Collection[str]) -> None:
        """These sources are ours."""

    def disown(self, sources: Collection[str]) -> None:
        """Others own these sources now."""

    def failing_since(self, subscription: str) -> datetime | None:
        """Since when nothing has arrived there; None where the last attempt has."""

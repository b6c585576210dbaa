"""What the routes of webhook subscriptions stand on: storage, seals, and a way out for tests."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from time import monotonic
from uuid import uuid4

import msgspec

from schemas.validation import Fault
from services.profile.feed.journal import entry_of
from services.profile.feed.model import MOST_SUBSCRIPTIONS, OVERLAP, TESTED, Delivery, Subscription
from services.profile.feed.rules import unheard
from services.profile.feed.secrets import current, new_secret
from services.profile.feed.sender import outcome_of, post
from services.profile.feed.shapes import SubscriptionBody, SubscriptionPatch, Tested
from services.profile.feed.subscriptions import Subscriptions
from services.profile.settings import ProfileSettings
from services.runtime.outbound import Limits, Outbound
from services.runtime.seals import Seals


class Office:
    """Creates, changes and tests subscriptions. Raises ``NoSecretKeys`` where it must seal."""

    def __init__(
        self,
        settings: ProfileSettings,
        subscriptions: Subscriptions,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.subscriptions = subscriptions
        self._seals = Seals([key.get_secret_value() for key in settings.secret_keys])
        self._clock = clock
        self._allowed = settings.webhook_allowed
        self._limits = Limits(seconds=settings.webhook_seconds)

    async def create(self, body: SubscriptionBody) -> tuple[Subscription, str] | Fault:
        """(the subscription, its secret)."""
        if refused := self.refusal(body.url) or _unheard(body.changed):
            return refused
        if len(await self.subscriptions.all()) >= MOST_SUBSCRIPTIONS:
            detail = f"There are {MOST_SUBSCRIPTIONS} subscriptions already: delete one."
            return Fault("too_many_subscriptions", detail)
        now, secret = _milliseconds(self._clock()), new_secret()
        subscription = Subscription(
            id=f"sub_{uuid4().hex}",
            url=body.url,
            types=tuple(body.types),
            changed=tuple(body.changed),
            segments=tuple(body.segments),
            description=body.description,
            created_at=now,
            enabled_at=now,
            secrets=(self._seals.seal(secret, now),),
        )
        await self.subscriptions.add(subscription)
        return subscription, secret

    async def change(
        self, subscription: Subscription, patch: SubscriptionPatch
    ) -> Subscription | Fault | None:
        """As it is then; None if it is gone."""
        values = patch.model_dump(exclude_none=True)
        if patch.url is not None and (refused := self.refusal(patch.url)):
            return refused
        if refused := _unheard(patch.changed or ()):
            return refused
        if patch.enabled is True and not subscription.enabled:
            values |= {"reason": "", "disabled_at": None, "enabled_at": self._clock()}
        if patch.enabled is False and subscription.enabled:
            values |= {"reason": "by_request", "disabled_at": self._clock()}
        if not values:
            return subscription
        return await self.subscriptions.change(subscription.id, values)

    async def rotate(self, subscription: Subscription) -> tuple[str, datetime]:
        """(a new secret, until when the former one signs as well)."""
        now, secret = self._clock(), new_secret()
        sealed = [self._seals.seal(secret, now), *subscription.secrets[:1]]
        await self.subscriptions.change(subscription.id, {"secrets": sealed})
        return secret, now + OVERLAP

    async def test(self, subscription: Subscription) -> Tested:
        """Send one webhook now, whatever the subscription's state, and say what was answered."""
        now, data = self._clock(), {"subscription": subscription.id}
        delivery = Delivery(
            id="",
            subscription=subscription.id,
            source="",
            offset=0,
            profile_id="",
            webhook_id=f"msg_{uuid4().hex}",
            type=TESTED,
            body=msgspec.json.encode({"type": TESTED, "timestamp": now, "data": data}),
            due=now,
        )
        outbound, started = Outbound(self._allowed, self._limits), monotonic()
        try:
            reply = await post(outbound, subscription, delivery, self._secrets)
        finally:
            await outbound.close()
        outcome = outcome_of(delivery, reply, monotonic() - started)
        await self.subscriptions.note(subscription.id, entry_of(delivery, outcome))
        return Tested(
            delivered=outcome.kind == "delivered",
            status=outcome.status,
            code=outcome.code,
            detail=reply.detail if isinstance(reply, Fault) else "",
            seconds=round(outcome.seconds, 3),
            webhook_id=delivery.webhook_id,
        )

    def _secrets(self, subscription: Subscription) -> Sequence[str]:
        return current(self._seals, subscription.secrets, self._clock())

    def refusal(self, url: str) -> Fault | None:
        """Why nothing can be sent there, as far as the address tells."""
        return Outbound(self._allowed).refusal(url)


def _milliseconds(instant: datetime) -> datetime:
    """As exact as it is stored."""
    return instant.replace(microsecond=instant.microsecond // 1_000 * 1_000)


def _unheard(names: Sequence[str]) -> Fault | None:
    wrong = unheard(names)
    if not wrong:
        return None
    detail = f"Nothing is ever told as changed by these names: {', '.join(wrong)}."
    return Fault("unknown_name", detail)

"""The turns of the webhooks: each record becomes a delivery for whoever subscribes to it.

Reads profile.changes and segment.changes, the results of the sender, what lanes that had
fallen behind have read, and the timers of retries. Nothing is sent in here: what may go is
handed to the sender once the turn is durable, and stays in the ledger until a turn has
stored that it arrived.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

from msgspec import Struct

from schemas.topics import PROFILE_CHANGES, SEGMENT_CHANGES
from schemas.validation import Fault
from services.profile.feed import rules
from services.profile.feed.draft import Draft
from services.profile.feed.lanes import Lane, Lanes, move, stop
from services.profile.feed.model import (
    Caught,
    Delivery,
    LaneState,
    Outcome,
    Patience,
    Subscription,
    Told,
)
from services.profile.feed.ports import Ledger, Outbound
from services.profile.feed.rules import Arrived
from services.runtime import metrics
from services.runtime.turn import Record, Source, Turn

NAME = "profile-feed"
TOPICS = (PROFILE_CHANGES.name, SEGMENT_CHANGES.name)


class Look(Struct):
    """A completion without a result: there may be something to do."""


class Feed:
    """The handler of the stage ``profile-feed``."""

    def __init__(
        self,
        ledger: Ledger,
        outbound: Outbound,
        complete: Callable[[str, Any], None],
        patience: Patience,
    ) -> None:
        self._ledger = ledger
        self._outbound = outbound
        self._complete = complete
        self._patience = patience
        self._owned: dict[str, Source] = {}
        self._loaded = set[str]()
        self._lanes = Lanes()
        self._reconciled = False
        self._drafts = WeakKeyDictionary[Turn, Draft]()
        self.subscriptions: Mapping[str, Subscription] = {}
        """By id, as of the last turn."""
        self.revision = -1
        """Of ``subscriptions``."""
        self.room: Callable[[], None] = lambda: None
        """Told after a turn in which some lane may read on."""

    # -- what the stage calls ------------------------------------------------------------

    async def handle(self, turn: Turn) -> None:
        """One turn: results first, so that what follows finds room."""
        draft = Draft()
        await self._learn(turn)
        await self._load(turn, draft)
        if not self._reconciled:
            self._reconcile(turn, draft)
        for completion in turn.completions:
            match completion.body:
                case Outcome():
                    self._settle(turn, draft, completion.source, completion.body)
                case Caught():
                    self._catch_up(turn, draft, completion.source, completion.body)
        for timer in turn.timers:
            draft.touched |= self._lanes.keys({timer.source.id})
        for record in turn.records:
            self._take(turn, draft, record)
        await self._ledger.save(draft, turn.now, turn.session)
        self._drafts[turn] = draft

    async def committed(self, turn: Turn) -> None:
        """Hand over what may go, and let lanes read on."""
        draft = self._drafts.pop(turn, None)
        if draft is None:
            return
        self._outbound.settled(draft.settled)
        self._outbound.given_up(draft.given_up)
        for key in sorted(draft.touched):
            lane = self._lanes.get(key)
            if lane is not None and self._enabled(key[0]) is not None:
                self._outbound.offer(lane.ready(turn.now))
        metrics.WEBHOOKS_WAITING.set(len(self._lanes))
        self.room()

    async def assigned(self, sources: Sequence[Source]) -> None:
        """Have a turn for each: there may be what the last owner left."""
        self._outbound.own([source.id for source in sources])
        for source in sources:
            self._owned[source.id] = source
            self._complete(source.id, Look())

    def lost(self, sources: Sequence[Source] | None) -> None:
        """Forget what is kept of these; after an abort of everything, which is read again."""
        if sources is None:
            self._forget(set(self._owned))
            return
        ids = {source.id for source in sources}
        self._forget(ids)
        for id_ in ids:
            self._owned.pop(id_, None)
        self._outbound.disown(ids)

    # -- what others may ask -------------------------------------------------------------

    def ask_for_turns(self) -> None:
        """Subscriptions have changed: look at once."""
        for source_id in self._owned:
            self._complete(source_id, Look())

    def behind(self) -> list[LaneState]:
        """The lanes that have to read Kafka by themselves, and have room for it."""
        return [
            lane.state
            for (subscription, _), lane in self._lanes
            if lane.state.behind
            and lane.has_room(self._patience)
            and self._enabled(subscription) is not None
        ]

    # -- one turn ------------------------------------------------------------------------

    async def _learn(self, turn: Turn) -> None:
        revision = await self._ledger.revision(turn.session)
        if revision != self.revision:
            known = await self._ledger.subscriptions(turn.session)
            self.subscriptions = {one.id: one for one in known}
            self.revision, self._reconciled = revision, False

    async def _load(self, turn: Turn, draft: Draft) -> None:
        missing = set(self._owned) - self._loaded
        if not missing:
            return
        self._lanes.load(*await self._ledger.load(missing, turn.session))
        self._loaded |= missing
        self._reconciled = False
        draft.touched |= self._lanes.keys(missing)

    def _reconcile(self, turn: Turn, draft: Draft) -> None:
        """Stop the lanes of what was disabled, end those of what is gone, move others."""
        orphans = self._lanes.orphans(self.subscriptions)
        for key in orphans:
            self._empty(turn, draft, self._lanes.lane(key))
        self._lanes.forget(orphans)
        draft.ended |= orphans
        for subscription in self.subscriptions.values():
            for source in self._owned.values():
                self._follow(turn, draft, subscription, source)
        self._reconciled = True

    def _follow(self, turn: Turn, draft: Draft, subscription: Subscription, source: Source) -> None:
        key = (subscription.id, source.id)
        lane = self._lanes.get(key)
        if lane is None:
            lane = Lane(LaneState(subscription=key[0], source=key[1]))
        moved = move(lane, subscription.moves)
        if moved or (not subscription.enabled and stop(lane, source.offset)):
            self._empty(turn, draft, lane)
            self._lanes.load([lane.state], [])
            draft.lanes[key] = lane.state
        draft.touched.add(key)

    def _settle(self, turn: Turn, draft: Draft, source: Source, outcome: Outcome) -> None:
        draft.settled.append(outcome.delivery)
        key = (outcome.subscription, source.id)
        lane = self._lanes.get(key)
        delivery = lane.get(outcome.delivery) if lane is not None else None
        if lane is None or delivery is None or delivery.attempts >= outcome.attempt:
            turn.drop("result_out_of_date")
            return
        draft.touched.add(key)
        after = rules.settle(delivery, outcome, self._patience)
        if isinstance(after, Delivery):
            lane.replace(after)
            draft.put(after)
            turn.set_timer(source, after.id, after.due)
        else:
            lane.remove(delivery)
            draft.remove(delivery)
            if after == "given_up":
                draft.given_up.append(delivery)
        subscription = self._enabled(outcome.subscription)
        if subscription is not None:
            failing_since = self._outbound.failing_since(subscription.id)
            reason = rules.verdict(subscription, outcome, failing_since, self._patience)
            if reason:
                draft.disabled[subscription.id] = reason

    def _catch_up(self, turn: Turn, draft: Draft, source: Source, caught: Caught) -> None:
        subscription = self._enabled(caught.subscription)
        lane = self._lanes.get((caught.subscription, source.id))
        if subscription is None or lane is None or not lane.state.behind:
            return
        state = lane.state
        if (state.moves, state.position) != (caught.moves, caught.start):
            return  # it was moved meanwhile, or this is told a second time
        state.position = caught.end
        for told in caught.told:
            if lane.is_full(self._patience):
                state.position = told.offset
                break
            self._put(draft, lane, rules.delivery_of(subscription, source.id, told, turn.now))
        # What the stage handles next, it may handle for this lane too.
        state.behind = state.position < source.offset
        draft.lanes[subscription.id, source.id] = state
        draft.touched.add((subscription.id, source.id))

    def _take(self, turn: Turn, draft: Draft, record: Record) -> None:
        enabled = [one for one in self.subscriptions.values() if one.enabled]
        if not enabled:
            turn.drop("no_subscription")
            return
        told = rules.read(_arrived(record))
        if isinstance(told, Fault):
            if told.code == "unknown_type":  # whoever wrote it is newer than this worker
                turn.drop(told.code)
            else:
                turn.reject(record, told.code, told.detail)
            return
        for subscription in enabled:
            if rules.wants(subscription, told):
                self._send(turn, draft, (subscription, record.source), told)

    def _send(self, turn: Turn, draft: Draft, to: tuple[Subscription, Source], told: Told) -> None:
        subscription, source = to
        lane = self._lanes.lane((subscription.id, source.id))
        state = lane.state
        if state.behind or told.offset < state.position:
            return
        if lane.is_full(self._patience):
            state.position, state.behind = told.offset, True
            draft.lanes[subscription.id, source.id] = state
            return
        self._put(draft, lane, rules.delivery_of(subscription, source.id, told, turn.now))

    # -- lanes ---------------------------------------------------------------------------

    def _put(self, draft: Draft, lane: Lane, delivery: Delivery) -> None:
        if delivery.id not in lane:
            lane.put(delivery)
            draft.put(delivery)
            draft.touched.add((delivery.subscription, delivery.source))

    def _empty(self, turn: Turn, draft: Draft, lane: Lane) -> None:
        source = self._owned.get(lane.state.source)
        for delivery in lane.clear():
            draft.remove(delivery)
            if source is not None and delivery.attempts:
                turn.cancel_timer(source, delivery.id)

    def _enabled(self, subscription: str) -> Subscription | None:
        known = self.subscriptions.get(subscription)
        return known if known is not None and known.enabled else None

    def _forget(self, sources: Collection[str]) -> None:
        self._lanes.forget(self._lanes.keys(sources))
        self._loaded.difference_update(sources)
        self.revision = -1


def _arrived(record: Record) -> Arrived:
    return Arrived(
        topic=record.source.topic,
        partition=record.source.partition,
        offset=record.offset,
        key=record.key,
        value=record.value,
        headers=record.headers,
        stamp=record.timestamp,
    )

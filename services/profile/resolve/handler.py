"""One turn of resolve: accept, drop the sender's duplicates, say whose, store, pass on.

Reads ``events.*``, ``message.changes`` and ``identity.decisions``, writes
``profile.interactions``. Several workers do this at once over one identity graph: what two of
them change at the same time collides in the database and is tried again. What they decide
without a document in common is looked at once more, by a timer, when each can see the other's.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from schemas.messages import Interaction
from schemas.topics import DECISIONS, EVENTS, MESSAGE_CHANGES
from schemas.validation import Fault
from services.profile.resolve import outbox
from services.profile.resolve.anew import Anew, decide_anew
from services.profile.resolve.model import Changes, Decision, Link, Merge, Stored
from services.profile.resolve.rearranging import History, Limits, Reader, Seeds
from services.profile.resolve.rules import interactions
from services.profile.resolve.rules.acceptance import (
    Arrival,
    accept_decision,
    accept_event,
    accept_step,
)
from services.profile.resolve.rules.decisions import decided
from services.profile.resolve.rules.identifiers import TRUSTED, Sender, link_of
from services.profile.resolve.rules.identity import Graph
from services.profile.resolve.rules.needs import Known, needed
from services.profile.resolve.rules.spelling import node_of
from services.runtime.turn import Record, Source, Timer, Turn

NAME = "profile-resolve"
TOPICS = (*(topic.name for topic in EVENTS), MESSAGE_CHANGES.name, DECISIONS.name)

AGAIN = "identity/"
"""The timer that has a person looked at once more."""
_AGAIN_AFTER = timedelta(seconds=60)


Ruling = tuple[Source, Decision]
"""A decision of people, and where it came from."""


class People(History, Protocol):
    """Interactions and the identity graph, as one transaction sees them."""

    async def known(self, interaction_ids: Collection[str], session: Any) -> set[str]:
        """Those of the ids that are stored already."""

    async def survivors(self, profile_ids: Collection[str], session: Any) -> dict[str, str]:
        """The id that each existing profile goes by now: its own if it was not absorbed."""

    async def latest(self, profile_ids: Collection[str], session: Any) -> datetime | None:
        """When the latest interaction attributed to any of these ids was."""

    async def save(self, stored: Sequence[Stored], changes: Changes, session: Any) -> None:
        """Store new interactions and what changed in the graph.

        Raises when another transaction has changed any of the same persons or identifiers.
        """


class Senders(Protocol):
    """What is known of the sources of events."""

    def of(self, source: str) -> Sender:
        """The sender of that name; one that nobody declared is trusted."""


class Everybody:
    """Senders of which nothing is declared."""

    def of(self, source: str) -> Sender:
        """Trusted."""
        return TRUSTED


@dataclass(slots=True, eq=False)
class _Accepted:
    """A record that fits, and its interaction but for whose it is."""

    record: Record
    draft: Interaction
    link: Link | None
    """What it says of identity; None of a step of ours, which names its profile."""
    merges: Sequence[Merge] = ()


class ResolveHandler:
    """The handler of ``profile-resolve``. Keeps nothing between turns."""

    def __init__(
        self,
        people: People,
        senders: Senders | None = None,
        *,
        limits: Limits | None = None,
        again: timedelta = _AGAIN_AFTER,
    ) -> None:
        self._people = people
        self._senders = senders or Everybody()
        self._limits = limits or Limits()
        self._again = again

    async def handle(self, turn: Turn) -> None:
        """See ``services.runtime.turn.Handler``."""
        batch = _accept(turn, self._senders)
        due = [timer for timer in turn.timers if timer.key.startswith(AGAIN)]
        rulings = _rulings(turn)
        if not (batch or due or rulings):
            return
        known = await self._people.known(batch.keys(), turn.session) if batch else set()
        if known:
            turn.drop("duplicate", len(known))
            for interaction_id in known:
                del batch[interaction_id]
        items = list(batch.values())
        graph, survivors = await self._load(items, turn.session)
        items = [item for item in items if _attribute(turn, item, graph, survivors)]
        if not (items or due or rulings):
            return
        source, told = await self._decide_anew(turn, items, (due, rulings), graph)
        stored: list[Stored] = []
        for item in items:
            for merge in item.merges:
                turn.emit(item.record.source, outbox.merged(merge, history=item.draft.history))
            interaction = interactions.stored(item.draft)
            stored.append(interaction)
            turn.emit(item.record.source, outbox.recorded(interaction))
        for message in told.messages:
            turn.emit(source, message)
        changes = graph.changes()
        changes.rewritten = told.rewritten
        changes.decisions = [ruling for _, ruling in rulings]
        await self._people.save(stored, changes, turn.session)

    async def _decide_anew(
        self,
        turn: Turn,
        items: Sequence["_Accepted"],
        others: tuple[Sequence[Timer], Sequence[Ruling]],
        graph: Graph,
    ) -> tuple[Source, Anew]:
        """Whom the batch's order may have misled, another worker may have, or people decided."""
        due, rulings = others
        sources = [item.record.source for item in items] + [timer.source for timer in due]
        source = [*sources, *(source for source, _ in rulings)][-1]
        for device in graph.taken:
            key = f"{AGAIN}{device.type}:{device.value}"
            turn.set_timer(source, key, turn.now + self._again)
        seeds = Seeds(people=set(graph.unsettled), devices=graph.unsettled_devices)
        for timer in due:
            seeds.add(timer.key.removeprefix(AGAIN))
        drafts = [item.draft for item in items]
        reader = Reader(self._people, turn.session, self._limits)
        anew = await decide_anew(reader, seeds, (drafts, graph), _evidence(turn, drafts))
        for _, ruling in rulings:
            by = outbox.Evidence(ruling.decision_id, ruling.at, history=True)
            await decide_anew(reader, Seeds(decisions=[ruling]), (drafts, graph), by, anew)
        if anew.left:
            turn.drop("too_many_connected", anew.left)
        for profile_id in anew.again:
            turn.set_timer(source, AGAIN + profile_id, turn.now + self._again)
        return source, anew

    async def committed(self, turn: Turn) -> None:
        """Nothing happens outside."""

    async def assigned(self, sources: Sequence[Source]) -> None:
        """Nothing is resumed: what is to be known is in the database."""

    def lost(self, sources: Sequence[Source] | None) -> None:
        """Nothing is cached."""

    async def _load(
        self, batch: Iterable["_Accepted"], session: Any
    ) -> tuple[Graph, Mapping[str, str]]:
        """All that the batch needs to know: one question a collection, mostly."""
        links: list[Link] = []
        targets: set[str] = set()
        for item in batch:
            if item.link is not None:
                links.append(item.link)
            else:
                targets.add(item.draft.profile_id)
        known = await self._known(links, session)
        survivors = await self._people.survivors(targets, session) if targets else {}
        return Graph(known), survivors

    async def _known(self, links: Sequence[Link], session: Any) -> Known:
        people = self._people
        named = {node for link in links for node in (*link.nodes, *link.devices)}
        if not named:
            return Known()
        owners, devices = await people.owners(named, session)
        need = needed(links, owners, devices)
        anchors = need.anchors - owners.keys()
        if anchors:
            owners |= (await people.owners(anchors, session))[0]
        known = Known(owners, devices)
        if need.people:
            known.people = await people.people(need.people, session)
        known.latest = {
            device: await people.latest(known.people[holder].profile_ids, session)
            for device, holder in need.holders.items()
            if holder in known.people
        }
        contested = [person for person in known.people.values() if person.decided]
        unowned = any(owner.contested and not owner.profile_id for owner in owners.values())
        if contested or unowned or any(device.decided for device in devices.values()):
            theirs = {node_of(held.identifier) for each in contested for held in each.identifiers}
            found = await people.decisions(theirs | named, session)
            known.decided = decided(found)
        return known


def _evidence(turn: Turn, drafts: Sequence[Interaction]) -> outbox.Evidence:
    """The latest of a batch; of none, that somebody looked again."""
    last = max(drafts, key=lambda draft: draft.received_at, default=None)
    if last is None:
        return outbox.Evidence("", turn.now)
    history = all(draft.history for draft in drafts)
    return outbox.Evidence(last.interaction_id, last.at, history)


def _rulings(turn: Turn) -> list[Ruling]:
    """The decisions of people in the turn, in their order."""
    rulings: list[Ruling] = []
    for record in turn.records:
        if record.source.topic == DECISIONS.name:
            taken = accept_decision(record.value)
            if isinstance(taken, Fault):
                turn.reject(record, taken.code, taken.detail)
            else:
                rulings.append((record.source, taken))
    return rulings


def _accept(turn: Turn, senders: Senders) -> dict[str, _Accepted]:
    """What fits, by interaction id: the first of each id, in the order of the batch."""
    batch: dict[str, _Accepted] = {}
    for record in turn.records:
        if record.source.topic == DECISIONS.name:
            continue
        if record.source.topic == MESSAGE_CHANGES.name:
            item = _accept_step(turn, record)
        else:
            item = _accept_event(turn, record, senders)
        if item is None:
            continue
        if item.draft.interaction_id in batch:
            turn.drop("duplicate")
        else:
            batch[item.draft.interaction_id] = item
    return batch


def _accept_event(turn: Turn, record: Record, senders: Senders) -> _Accepted | None:
    taken = accept_event(record.value, Arrival(record.headers, record.timestamp), turn.now)
    if isinstance(taken, Fault):
        turn.reject(record, taken.code, taken.detail)
        return None
    event, body = taken
    link = link_of(event, senders.of(event.source))
    if link is None:
        turn.reject(record, "no_identifier", "No identifier tells one person from others.")
        return None
    return _Accepted(record, interactions.draft(event, body, link), link)


def _accept_step(turn: Turn, record: Record) -> _Accepted | None:
    kind = record.headers.get("ce_type")
    if kind is not None and kind not in interactions.STEP_TYPES:
        turn.drop("not_an_interaction")
        return None
    step = accept_step(record.value)
    if isinstance(step, Fault):
        turn.reject(record, step.code, step.detail)
        return None
    if step.state not in interactions.STEPS:
        turn.drop("not_an_interaction")
        return None
    assert record.value is not None
    return _Accepted(record, interactions.draft_step(step, record.value), None)


def _attribute(turn: Turn, item: _Accepted, graph: Graph, survivors: Mapping[str, str]) -> bool:
    """Fill in whose it is; False when it can be nobody's."""
    if item.link is None:
        profile_id = survivors.get(item.draft.profile_id)
        if profile_id is None:
            turn.reject(item.record, "unknown_profile", "No such profile id.")
            return False
        item.draft.profile_id = graph.survivor(profile_id)
        return True
    whose = graph.attribute(item.link)
    item.draft.profile_id = whose.profile_id
    item.draft.identifiers = whose.accepted
    item.draft.ignored = whose.ignored
    item.merges = whose.merges
    return True

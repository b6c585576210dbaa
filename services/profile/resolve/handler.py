"""One turn of resolve: accept, drop the sender's duplicates, say whose, store, pass on.

Reads ``events.*``, ``message.changes`` and ``identity.decisions``, writes
``profile.interactions``. Several workers do this at once over one identity graph: what two of
them change at the same time collides in the database and is tried again. What they decide
without a document in common is looked at once more, by a timer, when each can see the other's.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Protocol

from schemas.messages import Interaction
from schemas.topics import DECISIONS, EVENTS, MESSAGE_CHANGES
from services.profile.resolve import outbox
from services.profile.resolve.anew import Anew, decide_anew
from services.profile.resolve.history import History, decisions_about
from services.profile.resolve.inbox import (
    Accepted,
    Everybody,
    Ruling,
    Senders,
    accepted,
    read,
    rulings_of,
)
from services.profile.resolve.model import Changes, Link, Stored
from services.profile.resolve.rearranging import Limits, Reader, Seeds
from services.profile.resolve.rules import interactions
from services.profile.resolve.rules.decisions import decided
from services.profile.resolve.rules.identity import Graph
from services.profile.resolve.rules.needs import Known, needed
from services.profile.resolve.rules.spelling import node_of
from services.runtime.turn import Record, Source, Timer, Turn

NAME = "profile-resolve"
TOPICS = (*(topic.name for topic in EVENTS), MESSAGE_CHANGES.name, DECISIONS.name)

AGAIN = "identity/"
"""The timer that has a person looked at once more."""
_AGAIN_AFTER = timedelta(seconds=60)


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
        batch = accepted(turn, self._senders)
        due = [timer for timer in turn.timers if timer.key.startswith(AGAIN)]
        rulings = rulings_of(turn)
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
            interaction = interactions.stored(item.draft, consent=item.consent)
            stored.append(interaction)
            turn.emit(item.record.source, outbox.recorded(interaction))
        for message in told.messages:
            turn.emit(source, message)
        changes = graph.changes()
        changes.rewritten = told.rewritten
        changes.decisions = [ruling for _, ruling in rulings]
        turn.write(partial(self._people.save, stored, changes, turn.session))

    async def _decide_anew(
        self,
        turn: Turn,
        items: Sequence[Accepted],
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

    def ahead(self, record: Record, now: datetime) -> Any:
        """What a record says: most of the work on it that needs to know nothing else."""
        if record.source.topic == DECISIONS.name:
            return None
        return read(record, self._senders, now)

    async def committed(self, turn: Turn) -> None:
        """Nothing happens outside."""

    async def assigned(self, sources: Sequence[Source]) -> None:
        """Nothing is resumed: what is to be known is in the database."""

    def lost(self, sources: Sequence[Source] | None) -> None:
        """Nothing is cached."""

    async def _load(
        self, batch: Iterable[Accepted], session: Any
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
            found = await decisions_about(theirs | named, people, session)
            known.decided = decided(found)
        return known


def _evidence(turn: Turn, drafts: Sequence[Interaction]) -> outbox.Evidence:
    """The latest of a batch; of none, that somebody looked again."""
    last = max(drafts, key=lambda draft: draft.received_at, default=None)
    if last is None:
        return outbox.Evidence("", turn.now)
    history = all(draft.history for draft in drafts)
    return outbox.Evidence(last.interaction_id, last.at, history)


def _attribute(turn: Turn, item: Accepted, graph: Graph, survivors: Mapping[str, str]) -> bool:
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

"""One turn of resolve: accept, drop the sender's duplicates, say whose, store, pass on.

Reads ``events.*`` and ``message.changes``, writes ``profile.interactions``. Several
workers do this at once over one identity graph: what two of them change at the same time
collides in the database and is tried again.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

from schemas.messages import Identifier, Interaction
from schemas.topics import EVENTS, INTERACTIONS, MESSAGE_CHANGES
from schemas.validation import Fault
from services.profile.resolve.model import Changes, Link, Merge, Person, Stored
from services.profile.resolve.rules import interactions
from services.profile.resolve.rules.acceptance import Arrival, accept_event, accept_step
from services.profile.resolve.rules.identifiers import link_of
from services.profile.resolve.rules.identity import Graph, linking
from services.runtime.turn import Message, Record, Source, Turn

NAME = "profile-resolve"
TOPICS = (*(topic.name for topic in EVENTS), MESSAGE_CHANGES.name)

RECORDED = "regulars.interaction.recorded.v1"
MERGED = "regulars.identity.merged.v1"


class People(Protocol):
    """Interactions and the identity graph, as one transaction sees them."""

    async def known(self, interaction_ids: Collection[str], session: Any) -> set[str]:
        """Those of the ids that are stored already."""

    async def owners(
        self, identifiers: Collection[Identifier], session: Any
    ) -> dict[Identifier, str]:
        """The profile id of each identifier that somebody has."""

    async def people(self, profile_ids: Collection[str], session: Any) -> dict[str, Person]:
        """These persons."""

    async def survivors(self, profile_ids: Collection[str], session: Any) -> dict[str, str]:
        """The id that each existing profile goes by now: its own if it was not absorbed."""

    async def save(self, stored: Sequence[Stored], changes: Changes, session: Any) -> None:
        """Store new interactions and what changed in the graph.

        Raises when another transaction has changed any of the same persons or identifiers.
        """


@dataclass(slots=True, eq=False)
class _Accepted:
    """A record that fits, and its interaction but for whose it is."""

    record: Record
    draft: Interaction
    link: Link | None
    """What it says of identity; None of a step of ours, which names its profile."""


class ResolveHandler:
    """The handler of ``profile-resolve``. Keeps nothing between turns."""

    def __init__(self, people: People) -> None:
        self._people = people

    async def handle(self, turn: Turn) -> None:
        """See ``services.runtime.turn.Handler``."""
        batch = _accept(turn)
        if not batch:
            return
        known = await self._people.known(batch.keys(), turn.session)
        if known:
            turn.drop("duplicate", len(known))
            for interaction_id in known:
                del batch[interaction_id]
        graph, survivors = await self._load(batch.values(), turn.session)
        stored: list[Stored] = []
        for item in batch.values():
            if not _attribute(turn, item, graph, survivors):
                continue
            interaction = interactions.stored(item.draft)
            stored.append(interaction)
            turn.emit(item.record.source, _recorded(interaction))
        await self._people.save(stored, graph.changes(), turn.session)

    async def committed(self, turn: Turn) -> None:
        """Nothing happens outside."""

    async def assigned(self, sources: Sequence[Source]) -> None:
        """Nothing is resumed: what is to be known is in the database."""

    def lost(self, sources: Sequence[Source] | None) -> None:
        """Nothing is cached."""

    async def _load(self, batch: Iterable[_Accepted], session: Any) -> tuple[Graph, dict[str, str]]:
        """All that the batch needs to know: one question a collection."""
        links: list[Link] = []
        targets: set[str] = set()
        for item in batch:
            if item.link is not None:
                links.append(item.link)
            else:
                targets.add(item.draft.profile_id)
        identifiers = {identifier for link in links for identifier in link.identifiers}
        owners = await self._people.owners(identifiers, session) if identifiers else {}
        affected = linking(links, owners)
        people = await self._people.people(affected, session) if affected else {}
        survivors = await self._people.survivors(targets, session) if targets else {}
        return Graph(owners, people), survivors


def _accept(turn: Turn) -> dict[str, _Accepted]:
    """What fits, by interaction id: the first of each id, in the order of the batch."""
    batch: dict[str, _Accepted] = {}
    for record in turn.records:
        if record.source.topic == MESSAGE_CHANGES.name:
            item = _accept_step(turn, record)
        else:
            item = _accept_event(turn, record)
        if item is None:
            continue
        if item.draft.interaction_id in batch:
            turn.drop("duplicate")
        else:
            batch[item.draft.interaction_id] = item
    return batch


def _accept_event(turn: Turn, record: Record) -> _Accepted | None:
    taken = accept_event(record.value, Arrival(record.headers, record.timestamp), turn.now)
    if isinstance(taken, Fault):
        turn.reject(record, taken.code, taken.detail)
        return None
    event, body = taken
    link = link_of(event)
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


def _attribute(turn: Turn, item: _Accepted, graph: Graph, survivors: dict[str, str]) -> bool:
    """Fill in whose it is, and tell of merges; False when it can be nobody's."""
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
    for merge in whose.merges:
        turn.emit(item.record.source, _merged(merge, history=item.draft.history))
    return True


def _recorded(interaction: Stored) -> Message:
    return Message(
        topic=INTERACTIONS.name,
        key=interaction.profile_id,
        value=interaction.body,
        type=RECORDED,
        id=interaction.interaction_id,
        time=interaction.at,
        extra=_headers(interaction.name),
    )


@lru_cache(maxsize=1_000)
def _headers(name: str) -> tuple[tuple[str, bytes], ...]:
    return (("event", name.encode()),)


def _merged(merge: Merge, *, history: bool) -> Message:
    """Keyed by the absorbed profile, whose owner closes it and tells the survivor."""
    return Message(
        topic=INTERACTIONS.name,
        key=merge.from_,
        value=interactions.merged(merge, history=history),
        type=MERGED,
        id=f"{merge.message_id}/merged/{merge.from_}",
        time=merge.at,
    )

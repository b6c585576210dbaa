"""One turn of resolve: accept, drop the sender's duplicates, say whose, store, pass on.

Reads ``events.*`` and ``message.changes``, writes ``profile.interactions``. Several
workers do this at once over one identity graph: what two of them change at the same time
collides in the database and is tried again.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from schemas.messages import Event, Identifier, MessageChanged
from schemas.topics import EVENTS, INTERACTIONS, MESSAGE_CHANGES
from services.profile.resolve.model import Changes, Link, Merge, Person, Stored
from services.profile.resolve.rules import acceptance, interactions
from services.profile.resolve.rules.acceptance import Unfit
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
class _Occurrence:
    """An accepted event that waits to be attributed."""

    record: Record
    body: bytes
    event: Event
    link: Link


@dataclass(slots=True, eq=False)
class _Step:
    """An accepted step of a message of ours; its profile is known by name."""

    record: Record
    body: bytes
    step: MessageChanged


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
            if isinstance(item, _Occurrence):
                whose = graph.attribute(item.link)
                for merge in whose.merges:
                    turn.emit(item.record.source, _merged(merge))
                interaction = interactions.of_event(item.event, item.body, whose)
            else:
                profile_id = survivors.get(item.step.profile_id)
                if profile_id is None:
                    turn.reject(item.record, "unknown_profile", "no such profile id")
                    continue
                interaction = interactions.of_step(
                    item.step, item.body, graph.survivor(profile_id)
                )
            stored.append(interaction)
            turn.emit(item.record.source, _recorded(interaction))
        await self._people.save(stored, graph.changes(), turn.session)

    async def committed(self, turn: Turn) -> None:
        """Nothing happens outside."""

    async def assigned(self, sources: Sequence[Source]) -> None:
        """Nothing is resumed: what is to be known is in the database."""

    def lost(self, sources: Sequence[Source] | None) -> None:
        """Nothing is cached."""

    async def _load(
        self, batch: Iterable["_Occurrence | _Step"], session: Any
    ) -> tuple[Graph, dict[str, str]]:
        """All that the batch needs to know: one question a collection."""
        links: list[Link] = []
        targets: set[str] = set()
        for item in batch:
            if isinstance(item, _Occurrence):
                links.append(item.link)
            else:
                targets.add(item.step.profile_id)
        identifiers = {identifier for link in links for identifier in link.identifiers}
        owners = await self._people.owners(identifiers, session) if identifiers else {}
        affected = linking(links, owners)
        people = await self._people.people(affected, session) if affected else {}
        survivors = await self._people.survivors(targets, session) if targets else {}
        return Graph(owners, people), survivors


def _accept(turn: Turn) -> dict[str, _Occurrence | _Step]:
    """What fits, by interaction id: the first of each id, in the order of the batch."""
    batch: dict[str, _Occurrence | _Step] = {}
    for record in turn.records:
        if record.source.topic == MESSAGE_CHANGES.name:
            _accept_step(turn, record, batch)
        else:
            _accept_event(turn, record, batch)
    return batch


def _accept_event(turn: Turn, record: Record, batch: dict[str, _Occurrence | _Step]) -> None:
    body = record.value
    event = acceptance.event(body)
    if isinstance(event, Unfit):
        turn.reject(record, event.reason, event.detail)
        return
    link = link_of(event)
    if link is None:
        turn.reject(record, "no_identifier", "no identifier that tells one person from others")
    elif event.message_id in batch:
        turn.drop("duplicate")
    else:
        assert body is not None
        batch[event.message_id] = _Occurrence(record, body, event, link)


def _accept_step(turn: Turn, record: Record, batch: dict[str, _Occurrence | _Step]) -> None:
    kind = record.headers.get("ce_type")
    if kind is not None and kind not in interactions.STEP_TYPES:
        turn.drop("not_an_interaction")
        return
    body = record.value
    step = acceptance.step(body)
    if isinstance(step, Unfit):
        turn.reject(record, step.reason, step.detail)
    elif step.state not in interactions.STEPS:
        turn.drop("not_an_interaction")
    elif step.change_id in batch:
        turn.drop("duplicate")
    else:
        assert body is not None
        batch[step.change_id] = _Step(record, body, step)


def _recorded(interaction: Stored) -> Message:
    return Message(
        topic=INTERACTIONS.name,
        key=interaction.profile_id,
        value=interaction.body,
        type=RECORDED,
        id=interaction.interaction_id,
        time=interaction.at,
        extra=(("event", interaction.name.encode()),),
    )


def _merged(merge: Merge) -> Message:
    """Keyed by the absorbed profile, whose owner closes it and tells the survivor."""
    return Message(
        topic=INTERACTIONS.name,
        key=merge.from_,
        value=interactions.merged(merge),
        type=MERGED,
        id=f"{merge.message_id}/merged/{merge.from_}",
        time=merge.at,
    )

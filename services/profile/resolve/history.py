"""What is stored of people and their devices, read as far as one asks.

Everything is as one transaction sees it, after what the turn in hand has changed.
"""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from schemas.catalogue import ORDER_EVENTS
from schemas.messages import Identifier, Interaction, MessageChanged
from services.profile.resolve.model import MOST_REFUSALS, Decision, Device, Owner, Person
from services.profile.resolve.rules.devices import leads
from services.profile.resolve.rules.identifiers import link_again
from services.profile.resolve.rules.identity import Graph
from services.profile.resolve.rules.people import Past
from services.profile.resolve.rules.spelling import node_of

_interactions = msgspec.json.Decoder(Interaction)
_steps = msgspec.json.Decoder(MessageChanged)


class History(Protocol):
    """What is stored, as one transaction sees it."""

    async def owners(
        self, nodes: Collection[Identifier], session: Any
    ) -> tuple[dict[Identifier, Owner], dict[Identifier, Device]]:
        """Who has each of these, persons' identifiers and devices apart."""

    async def people(self, profile_ids: Collection[str], session: Any) -> dict[str, Person]:
        """These persons."""

    async def decisions(self, named: Collection[Identifier], session: Any) -> list[Decision]:
        """The decisions of people that name any of these."""

    def interactions(
        self, profile_ids: Collection[str], session: Any
    ) -> AsyncIterator[list[tuple[str, bytes]]]:
        """(profile id, encoded Interaction) of all attributed to these ids."""


async def decisions_about(
    named: Collection[Identifier], history: History, session: Any
) -> list[Decision]:
    """The decisions that name any of these, or anybody whom those name, and so on.

    Two people may be one by decisions alone, through names that nobody has said yet.
    """
    found: dict[str, Decision] = {}
    asked: set[Identifier] = set()
    while named:
        asked.update(named)
        new = await history.decisions(named, session)
        found |= {one.decision_id: one for one in new}
        named = {each for one in new for each in (*one.a, *one.b)} - asked
    return list(found.values())


class Reading:
    """What has been read so far. Each question answers with the profile ids to read next."""

    def __init__(self, history: History, session: Any, graph: Graph) -> None:
        self.past = Past()
        self.stored: dict[str, Interaction] = {}
        """The interactions of ``past`` that are stored, by id."""
        self.decisions: dict[str, Decision] = {}
        """By id; with those that are not stored yet, which whoever asks puts here."""
        self.drafts: Sequence[Interaction] = ()
        """The turn's own interactions, attributed provisionally."""
        self.moved: Mapping[str, Interaction] = {}
        """Stored ones that the turn has moved already, by id."""
        self._history = history
        self._session = session
        self._graph = graph

    async def read(self, wanted: Collection[str]) -> set[str]:
        """Read these persons whole; whom else one must know."""
        people = await self._persons(wanted)
        new = {id_: person for id_, person in people.items() if id_ not in self.past.people}
        self.past.people |= new
        links = len(self.past.links)
        async for chunk in self._history.interactions(list(new), self._session):
            for placed, body in chunk:
                said = _interactions.decode(body)
                if said.interaction_id not in self.moved:
                    self.stored[said.interaction_id] = said
                    self._take(said, placed)
        for said in self.moved.values():
            if said.profile_id in new:
                self.stored[said.interaction_id] = said
                self._take(said, said.profile_id)
        for draft in self.drafts:
            if draft.profile_id in new:
                self._take(draft, draft.profile_id)
        fresh = self.past.links[links:]
        crowd = {
            node_of(held.identifier)
            for person in new.values()
            if len(person.refusals) >= MOST_REFUSALS
            for held in person.identifiers
        }
        nodes = {node for link in fresh for node in link.nodes}
        named = nodes | {device for link in fresh for device in link.devices}
        await self._known(named)
        await self._known(leads(self.past.devices.values()))
        around = await self.owners(nodes - crowd)
        around |= await self.decided(named)
        for person in new.values():
            if len(person.refusals) < MOST_REFUSALS:
                refused = [one for each in person.refusals for one in each.identifiers]
                around |= await self.owners({node_of(one) for one in refused})
        return around - self.past.people.keys()

    async def around_devices(self, devices: Collection[Identifier]) -> set[str]:
        """Everybody who was named on these, and their anonymous persons."""
        if not devices:
            return set()
        await self._known(devices)
        around: set[str] = set()
        for each in devices:
            device = self.past.devices.get(each)
            if device is not None:
                around |= {device.profile_id, device.own}
                around |= await self.owners({mark.anchor for mark in device.marks})
                if device.lead is not None:
                    around |= await self.around_devices([device.lead.anchor])
        return {self._graph.survivor(profile_id) for profile_id in around if profile_id}

    async def decided(self, named: Collection[Identifier]) -> set[str]:
        """Learn what people decided of these; whom it names."""
        around: set[str] = set()
        for decision in await decisions_about(named, self._history, self._session):
            if decision.decision_id not in self.decisions:
                self.decisions[decision.decision_id] = decision
                around |= await self.around_decision(decision)
        return around

    async def around_decision(self, decision: Decision) -> set[str]:
        """Everybody whom it names."""
        named = (*decision.a, *decision.b)
        around = await self.owners(named)
        devices = {each for each in named if each in self.past.devices}
        return around | await self.around_devices(devices)

    async def owners(self, nodes: Collection[Identifier]) -> set[str]:
        """Who has these, or named in vain what a decision has joined to nobody known."""
        await self._known(nodes)
        owners = [self.past.owners[each] for each in nodes if each in self.past.owners]
        found = {id_ for owner in owners for id_ in (owner.profile_id, *owner.claimed) if id_}
        return {self._graph.survivor(profile_id) for profile_id in found}

    async def _persons(self, wanted: Collection[str]) -> dict[str, Person]:
        """The persons of these ids, whole: with every profile that they absorbed."""
        living = await self._people(wanted)
        survivors = {person.into for person in living.values() if person.into is not None}
        living |= await self._people(survivors - living.keys())
        members = {
            member for person in living.values() if person.into is None for member in person.members
        }
        return living | await self._people(members - living.keys())

    async def _people(self, profile_ids: Collection[str]) -> dict[str, Person]:
        here = {id_: p for id_ in profile_ids if (p := self._graph.people.get(id_)) is not None}
        missing = [id_ for id_ in profile_ids if id_ not in here]
        if missing:
            stored = await self._history.people(missing, self._session)
            here |= {id_: self._graph.former(person) for id_, person in stored.items()}
        return here

    async def _known(self, nodes: Collection[Identifier]) -> None:
        """Learn who has these."""
        past, graph = self.past, self._graph
        missing = []
        for node in nodes:
            if node in past.owners or node in past.devices:
                continue
            if node in graph.owners:
                past.owners[node] = graph.owners[node]
            elif node in graph.devices:
                past.devices[node] = graph.devices[node]
            else:
                missing.append(node)
        if missing:
            owners, devices = await self._history.owners(missing, self._session)
            past.owners |= owners
            past.devices |= devices

    def _take(self, said: Interaction, placed: str) -> None:
        past, id_ = self.past, said.interaction_id
        past.placed[id_] = placed
        if said.handed_to is not None:
            past.handed[id_] = said.handed_to
        if said.type == "message":
            past.steps[id_] = _steps.decode(said.event).profile_id
            return
        link = link_again(said)
        if link.identifiers:
            past.links.append(link)
            past.shown[id_] = list(said.identifiers)
            if said.name in ORDER_EVENTS:
                past.sales.add(id_)
        else:
            past.steps[id_] = placed

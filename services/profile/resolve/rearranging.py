"""People decided anew from their whole history, read in the turn's snapshot.

Used by the handler where the order of arrival may have misled, when people decide, and to
show what a decision would do. What is read is closed: everybody with whom a link was refused,
and everybody who was named on a device that is in doubt.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct, field

from schemas.messages import Identifier, Interaction
from services.profile.resolve.history import History, Reading
from services.profile.resolve.model import Decision, Rearranged
from services.profile.resolve.rules.decisions import decided
from services.profile.resolve.rules.identity import Graph
from services.profile.resolve.rules.kinds import is_device
from services.profile.resolve.rules.needs import Known
from services.profile.resolve.rules.people import Outcome, Past, people_of
from services.profile.resolve.rules.rearranging import rearranged


class Limits(Struct, frozen=True):
    """How much is read for one decision; beyond it, what came first stands."""

    people: int = 300
    interactions: int = 50_000


class Component(Struct):
    """Some people decided anew: what was, who they are, what is to be stored."""

    past: Past
    outcome: Outcome
    result: Rearranged
    stored: dict[str, Interaction]
    """The interactions that were read, by id."""


class Seeds(Struct):
    """Where to begin."""

    people: set[str] = field(default_factory=set)
    devices: dict[Identifier, set[Identifier]] = field(default_factory=dict)
    """With who was named on them, or to what they lead, where that is not stored yet."""
    decisions: list[Decision] = field(default_factory=list)
    """Decisions that are not stored yet."""

    def add(self, named: str) -> None:
        """A profile id, or a device as ``<type>:<value>``."""
        type, colon, value = named.partition(":")
        if colon:
            self.devices.setdefault(Identifier(type, value), set())
        else:
            self.people.add(named)


Batch = tuple[Sequence[Interaction], Mapping[str, Interaction]]


class Reader:
    """Reads one component. ``graph`` is what the batch has changed so far."""

    def __init__(self, history: History, session: Any, limits: Limits | None = None) -> None:
        self._history = history
        self._session = session
        self._limits = limits or Limits()

    async def component(
        self, seeds: Seeds, batch: Batch = ((), {}), graph: Graph | None = None
    ) -> Component | None:
        """Everybody connected with ``seeds``, decided anew; None: they are too many.

        ``batch`` are its own interactions, attributed provisionally, and those that it has
        moved already.
        """
        reading = Reading(self._history, self._session, graph or Graph(Known()))
        reading.drafts, reading.moved = batch
        reading.decisions = {one.decision_id: one for one in seeds.decisions}
        reading.past.anew = set(seeds.devices)
        seen = set[Identifier]().union(*seeds.devices.values())
        wanted = set(seeds.people) | await reading.owners(seen)
        wanted |= await reading.around_devices({*seeds.devices, *seen})
        named = {*seeds.devices, *seen}
        for decision in seeds.decisions:
            wanted |= await reading.around_decision(decision)
            named.update(decision.a, decision.b)
        wanted |= await reading.decided(named)  # Also where nobody is there yet.
        while True:
            while wanted:
                wanted = await reading.read(wanted)
                if len(reading.stored) > self._limits.interactions:
                    return None
                if len(reading.past.people) > self._limits.people:
                    return None
            past = reading.past
            past.decided = decided(reading.decisions.values())
            outcome = people_of(past)
            devices = {each for each in past.decided.named if is_device(each.type)}
            strays = (outcome.strays | devices) - past.anew
            if not strays:
                break
            past.anew |= strays
            wanted = await reading.around_devices(strays) | await reading.decided(strays)
        return Component(past, outcome, rearranged(past, outcome), reading.stored)

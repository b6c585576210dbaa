"""What people decide of identity, on its way to resolve: checked, tried, published, awaited.

A decision goes the way of every event: it is published, resolve applies it in a transaction
and stores it, and from then on it is one of the edges of which identity is a function.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Literal, Protocol
from uuid import uuid4

import msgspec
from aiokafka.errors import KafkaError

from schemas.messages import Identifier, IdentityDecision
from schemas.topics import DECISIONS
from services.profile.resolve.model import Decision, Device, Person
from services.profile.resolve.rearranging import Component, Reader, Seeds
from services.profile.resolve.rules.kinds import is_device, rank
from services.profile.resolve.rules.spelling import node_of, spelled
from services.profile.resolve.store import IdentityStore
from services.runtime.http import Problem
from services.runtime.turn import Message

DECIDED = "regulars.identity.decided.v1"
_PATIENCE_SECONDS = 5.0
_AWAITED_SECONDS = 4.0
_LOOK_SECONDS = 0.1

_encode = msgspec.json.Encoder().encode


class Sender(Protocol):
    """``services.runtime.publish.Publisher``."""

    async def send(self, message: Message) -> None:
        """Publish; returns when it is acknowledged."""


class Asked(msgspec.Struct, frozen=True):
    """Who decides, and why."""

    actor: str
    reason: str


class Desk:
    """Decisions for the identity routes."""

    def __init__(
        self,
        identities: IdentityStore,
        sender: Sender,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._identities = identities
        self._sender = sender
        self._clock = clock

    async def person(self, profile_id: str) -> Person:
        """The person of any of their ids; 404 if there is none."""
        person = await self._identities.person(profile_id)
        if person is None:
            raise Problem(404, "Not Found", "There is no profile with this id.")
        return person

    async def shown(
        self, profile_id: str
    ) -> tuple[Person, dict[Identifier, Device], list[Decision]]:
        """The person, the devices that they hold, and what was decided of them."""
        person = await self.person(profile_id)
        devices = await self._identities.devices(person.profile_id)
        nodes = _held(person)
        return person, devices, await self._identities.decisions([*nodes, *devices])

    async def decision(self, decision_id: str) -> Decision:
        """A decision that is applied; 404."""
        decision = await self._identities.decision(decision_id)
        if decision is None:
            raise Problem(404, "Not Found", "No such decision, or it is not applied yet.")
        return decision

    # -- what is to be decided -------------------------------------------------------------

    async def split(
        self, person: Person, off: str | Sequence[Identifier], asked: Asked
    ) -> Decision:
        """Take a former profile, or some identifiers, off a person. 404, 409, 422."""
        names = await self._names(person)
        if isinstance(off, str):
            side = [each for each in await self._of_profile(person, off) if each in names]
        else:
            named = [held.identifier for held in person.identifiers]
            side = _nodes(off, named)
            strange = {one.type for one in off if _nodes([one], named)[0] not in names}
            if strange:
                kinds = ", ".join(sorted(strange))
                raise _misfit(f"Not this person's: {kinds}. GET .../identity shows what is.")
        rest = [each for each in names if each not in side and not is_device(each.type)]
        if not side or not rest:
            raise Problem(
                409,
                "Conflict",
                "Nothing would be left on one of the sides: name only what is another person's.",
            )
        return self._decision("split", (side, rest), asked)

    async def join(self, person: Person, other: Person, asked: Asked) -> Decision:
        """Make two persons one. 409 where nothing names either of them for good."""
        if person.profile_id == other.profile_id:
            raise Problem(409, "Conflict", "They are one person already.")
        sides = []
        for each in (person, other):
            names = await self._names(each)
            nodes = [name for name in names if not is_device(name.type)]
            sides.append(nodes or names)
        if all(is_device(each.type) for side in sides for each in side):
            raise Problem(409, "Conflict", "Neither has an identifier that names a person.")
        if not all(sides):
            raise Problem(409, "Conflict", "One of them is known by a shared device alone.")
        decisions = await self._identities.decisions([*sides[0], *sides[1]])
        return self._decision("join", joined(sides[0], sides[1], decisions), asked)

    async def part(self, person: Person, other: Person, asked: Asked) -> Decision:
        """Say that two persons are two, whatever comes."""
        sides = [_held(person), _held(other)]
        return self._decision("split", (sides[0], sides[1]), asked)

    def _decision(
        self,
        kind: Literal["split", "join"],
        sides: tuple[Sequence[Identifier], Sequence[Identifier]],
        asked: Asked,
    ) -> Decision:
        a, b = (tuple(sorted(side, key=lambda one: (rank(one.type), one))) for side in sides)
        decision_id = f"d_{uuid4().hex}"
        return Decision(decision_id, kind, self._clock(), a, b, asked.actor, asked.reason)

    async def _names(self, person: Person) -> list[Identifier]:
        """What names a person: identifiers; the devices of one whom nothing else names."""
        nodes = _held(person)
        devices = await self._identities.devices(person.profile_id)
        return nodes + [each for each, device in devices.items() if not device.shared]

    async def _of_profile(self, person: Person, profile_id: str) -> list[Identifier]:
        """What a former profile was known by when it was absorbed."""
        if profile_id not in person.members:
            raise Problem(
                404, "Not Found", "That is no former profile of this person: see GET .../identity."
            )
        former = (await self._identities.people([profile_id]))[profile_id]
        nodes = _held(former)
        if nodes:
            return nodes
        devices = await self._identities.devices(person.profile_id)
        ours = {profile_id, *former.members}
        return [each for each, device in devices.items() if device.own in ours]

    # -- trying and doing --------------------------------------------------------------------

    async def tried(self, decision: Decision) -> Component:
        """Who would be who: read, and nothing changed. 409 where too many are connected."""
        component = await Reader(self._identities, None).component(Seeds(decisions=[decision]))
        if component is None:
            detail = "Too many people are connected with these to try it."
            raise Problem(409, "Conflict", detail)
        return component

    async def publish(self, profile_id: str, decision: Decision) -> bool:
        """Publish, and wait a little: whether resolve has applied it. 503 without Kafka."""
        said = IdentityDecision(
            decision_id=decision.decision_id,
            kind=decision.kind,
            profile_id=profile_id,
            at=decision.at,
            a=list(decision.a),
            b=list(decision.b),
            actor=decision.actor,
            reason=decision.reason,
        )
        message = Message(
            topic=DECISIONS.name,
            key=profile_id,
            value=_encode(said),
            type=DECIDED,
            id=decision.decision_id,
            time=decision.at,
        )
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await self._sender.send(message)
        except (KafkaError, OSError, TimeoutError) as error:
            detail = "Kafka does not answer. Nothing was decided: send it again."
            headers = {"Retry-After": "5"}
            raise Problem(503, "Service Unavailable", detail, headers=headers) from error
        deadline = asyncio.get_running_loop().time() + _AWAITED_SECONDS
        while asyncio.get_running_loop().time() < deadline:
            if await self._identities.decision(decision.decision_id) is not None:
                return True
            await asyncio.sleep(_LOOK_SECONDS)
        return False

    async def people(self, decision: Decision) -> list[str]:
        """The profile ids in use of those whom a decision names, as it is now."""
        owners, devices = await self._identities.owners({*decision.a, *decision.b})
        found = [owners.get(each) or devices.get(each) for each in (*decision.a, *decision.b)]
        return list(dict.fromkeys(has.profile_id for has in found if has and has.profile_id))


def joined(
    one: Sequence[Identifier], other: Sequence[Identifier], decisions: Sequence[Decision]
) -> tuple[list[Identifier], list[Identifier]]:
    """What a join of two persons names of each: as little as will do.

    A later split undoes every join that it contradicts, so who is joined by one name stays
    when others are taken off. It is what names each best, devices where nothing else does, and
    what splits keep apart, which the join takes back.
    """
    sides = []
    for ours, theirs in ((one, other), (other, one)):
        best = min(ours, key=lambda each: (rank(each.type), each))
        kept = {each for each in ours if is_device(best.type) or each == best}
        for split in decisions:
            for a, b in ((split.a, split.b), (split.b, split.a)):
                if split.kind == "split" and not set(b).isdisjoint(theirs):
                    kept |= set(a).intersection(ours)
        sides.append(sorted(kept))
    return sides[0], sides[1]


def _held(person: Person) -> list[Identifier]:
    """What a person has, as it is compared: also what would name nobody if it came today."""
    return list(dict.fromkeys(node_of(held.identifier) for held in person.identifiers))


def _nodes(identifiers: Sequence[Identifier], held: Sequence[Identifier] = ()) -> list[Identifier]:
    """Each as it is compared; 422 for what is no identifier at all, and none of those ``held``."""
    nodes: dict[Identifier, None] = {}
    for each in identifiers:
        type = each.type.strip().lower()
        value = each.value if each in held else spelled(type, each.value)
        if value is None:
            raise _misfit(f"That is no {type} which names anybody.")
        nodes[node_of(Identifier(type, value))] = None
    return list(nodes)


def _misfit(detail: str) -> Problem:
    return Problem(422, "Unprocessable Content", detail)

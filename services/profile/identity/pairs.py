"""Who may be one person: the pairs, read from what resolve refused and from what was put there.

Whether a pair is yet to be decided is told by who the two are now, and by the decisions: a
pair that was decided is not found any more.
"""

from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from datetime import datetime

from msgspec import Struct, field

from schemas.messages import Identifier
from services.profile.identity.found import FoundPairs, Put
from services.profile.resolve.model import MOST_REFUSALS, Decision, Person, Refusal
from services.profile.resolve.rules.spelling import node_of
from services.profile.resolve.store import IdentityStore

AT_ONCE = 500
"""People, or pairs, that are read with one question."""
BETWEEN = "~"


class Pair(Struct):
    """Two who may be one; ``one`` has the smaller id."""

    one: Person
    other: Person
    refusals: list[Refusal] = field(default_factory=list)
    found_at: datetime | None = None

    @property
    def ids(self) -> tuple[str, str]:
        """Of both."""
        return self.one.profile_id, self.other.profile_id

    @property
    def suggestion_id(self) -> str:
        """Of this pair, as long as both are who they are."""
        return BETWEEN.join(self.ids)


class Pairs:
    """Reads pairs."""

    def __init__(self, identities: IdentityStore, found: FoundPairs) -> None:
        self._identities = identities
        self._found = found

    async def all(self) -> AsyncIterator[tuple[list[Pair], int]]:
        """Every pair, part by part; one that is there for both reasons comes twice.

        With each part, how many people it tells of who were named with more others than are
        kept: a pair of two of them may be missing.
        """
        last = None
        while people := await self._identities.refused(AT_ONCE, last):
            full = sum(_has_account(one) and len(one.refusals) >= MOST_REFUSALS for one in people)
            yield list((await self._refused(people)).values()), full
            last = people[-1].profile_id
        async for put in self._found.all(AT_ONCE):
            yield await self.standing(put), 0

    async def of(self, suggestion_ids: Collection[str]) -> dict[str, Pair]:
        """Those of these that are yet to be decided, by their ids."""
        both = {id_ for each in suggestion_ids for id_ in each.split(BETWEEN, 1)}
        people = await self._identities.people(both)
        refused = await self._refused(list(people.values()))
        found = {id_: refused[id_] for id_ in suggestion_ids if id_ in refused}
        for pair in await self.standing(await self._found.of(suggestion_ids)):
            known = found.setdefault(pair.suggestion_id, pair)
            known.found_at = pair.found_at
        return found

    async def standing(self, pairs: Sequence[Put]) -> list[Pair]:
        """Those of the pairs who are two people still, and may be one."""
        if not pairs:
            return []
        people = await self._identities.people(
            {id_ for one, other, _ in pairs for id_ in (one, other)}
        )
        living = {id_: one for id_, one in people.items() if _has_account(one)}
        nodes = {
            id_: {node_of(held.identifier) for held in one.identifiers}
            for id_, one in living.items()
        }
        decisions = await self._identities.decisions(set().union(*nodes.values())) if nodes else []
        splits = _Splits(decisions)
        return [
            Pair(living[one], living[other], [], at)
            for one, other, at in pairs
            if one != other
            and one in living
            and other in living
            and not splits.part(nodes[one], nodes[other])
        ]

    async def _refused(self, people: Sequence[Person]) -> dict[str, Pair]:
        """The pairs that these people's refusals tell of.

        One message is told of with each whom it names, but with whom too many claim a name:
        so a pair counts whoever of the two knows of it.
        """
        known = {one.profile_id: one for one in people if _has_account(one)}
        nodes = {id_: _named(one.refusals) for id_, one in known.items()}
        owners, _ = await self._identities.owners(set().union(*nodes.values()))
        others = {
            id_: {owners[node].profile_id for node in theirs if node in owners} - {id_}
            for id_, theirs in nodes.items()
        }
        wanted = set().union(*others.values()) - known.keys()
        found = known | await self._identities.people(wanted)
        pairs: dict[str, Pair] = {}
        for id_, one in known.items():
            for other_id in sorted(others[id_]):
                other = found.get(other_id)
                if other is None or not _has_account(other):
                    continue
                theirs = {n for n in nodes[id_] if n in owners and owners[n].profile_id == other_id}
                refusals = [each for each in one.refusals if _between(each, theirs)]
                if refusals:
                    pair = Pair(*((one, other) if id_ < other_id else (other, one)))
                    pair = pairs.setdefault(pair.suggestion_id, pair)
                    pair.refusals += [each for each in refusals if each not in pair.refusals]
        return pairs


class _Splits:
    """Splits, found by the identifiers that they name: there may be many."""

    def __init__(self, decisions: Iterable[Decision]) -> None:
        self._by: dict[Identifier, list[Decision]] = {}
        for each in decisions:
            if each.kind == "split":
                for named in each.a:
                    self._by.setdefault(named, []).append(each)

    def part(self, one: set[Identifier], other: set[Identifier]) -> bool:
        """Whether one of them keeps the two apart."""
        return any(
            not theirs.isdisjoint(each.b)
            for ours, theirs in ((one, other), (other, one))
            for node in ours
            for each in self._by.get(node, ())
        )


def _named(refusals: Iterable[Refusal]) -> set[Identifier]:
    return {node_of(one) for each in refusals for one in each.identifiers}


def _between(refusal: Refusal, theirs: set[Identifier]) -> bool:
    return refusal.because == "limit" and any(node_of(one) in theirs for one in refusal.identifiers)


def _has_account(person: Person) -> bool:
    return person.into is None and any(held.type == "user_id" for held in person.identifiers)

"""Who may be one person although nothing links them: a queue for people to decide.

Two who each have a ``user_id`` never become one by themselves. Where a message named
identifiers of both, and was refused for it, or somebody put them there because the scorer
found them alike, they are suggested, until somebody decides: a join, or a split for good.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct, field

from schemas.messages import Identifier
from services.profile.identity.desk import Asked, Desk
from services.profile.identity.found import FoundPairs
from services.profile.identity.render import refusal_shown
from services.profile.identity.scoring import Facts, Scorer, compared
from services.profile.resolve.model import Decision, Person, Refusal
from services.profile.resolve.rules.spelling import node_of
from services.profile.resolve.store import IdentityStore
from services.profile.suggestions.rules import THRESHOLD
from services.runtime.http import Problem

MOST = 1_000
"""People whose refusals are looked at, and pairs that were put in the queue."""
_BETWEEN = "~"

Position = tuple[float, str]
"""(score, suggestion id) of the last one that was seen."""


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
        return _BETWEEN.join(self.ids)


class Suggestions:
    """The queue, read from what resolve refused and from what was put into it."""

    def __init__(
        self, identities: IdentityStore, desk: Desk, scorer: Scorer, found: FoundPairs
    ) -> None:
        self._identities = identities
        self._desk = desk
        self._scorer = scorer
        self._found = found

    async def page(
        self, limit: int, after: Position | None
    ) -> tuple[list[dict[str, Any]], Position | None]:
        """The likeliest first, and where to go on."""
        pairs = await self._refused(await self._identities.refused(MOST))
        for pair in await self._put():
            known = pairs.setdefault(pair.suggestion_id, pair)
            known.found_at = pair.found_at
        told = await self._told(list(pairs.values()))
        ordered = sorted(told, key=_place)
        if after is not None:
            ordered = [one for one in ordered if _place(one) > (-after[0], after[1])]
        shown = ordered[:limit]
        more = len(ordered) > limit
        return shown, (shown[-1]["score"], shown[-1]["suggestion_id"]) if more else None

    async def one(self, suggestion_id: str) -> dict[str, Any]:
        """A suggestion; 404 where there is none (any more)."""
        (told,) = await self._told([await self._pair(suggestion_id)])
        return told

    async def decision(self, suggestion_id: str, verdict: str, asked: Asked) -> Decision:
        """What a verdict decides; 404 where there is no such suggestion (any more)."""
        pair = await self._pair(suggestion_id)
        first, second = [await self._desk.person(id_) for id_ in pair.ids]
        if verdict == "accept":
            return await self._desk.join(first, second, asked)
        return await self._desk.part(first, second, asked)

    async def put(self, pairs: Sequence[tuple[str, str]]) -> int:
        """Put pairs in the queue; how many of them now stand there.

        Those who are one person already, have no user id, or were kept apart do not.
        """
        before = await self._found.all(MOST)
        still = {pair.ids for pair in await self._standing(before)}
        await self._found.drop(
            [(one, other) for one, other, _ in before if (one, other) not in still]
        )
        wanted = {(min(pair), max(pair), None): None for pair in pairs}
        standing = await self._standing(list(wanted))
        await self._found.put([pair.ids for pair in standing])
        return len(standing)

    # -- who they are -----------------------------------------------------------------------

    async def _pair(self, suggestion_id: str) -> Pair:
        one, _, other = suggestion_id.partition(_BETWEEN)
        people = await self._identities.people([one])
        pair = (await self._refused(list(people.values()))).get(suggestion_id)
        if pair is None:
            put = await self._found.of(one, other)
            standing = await self._standing([] if put is None else [put])
            if not standing:
                raise Problem(404, "Not Found", "No such suggestion: it may be decided already.")
            pair = standing[0]
        return pair

    async def _refused(self, people: Sequence[Person]) -> dict[str, Pair]:
        """Of these people's refusals, the pairs in which theirs is the smaller id."""
        known = {one.profile_id: one for one in people if _has_account(one)}
        nodes = {id_: _named(one.refusals) for id_, one in known.items()}
        owners, _ = await self._identities.owners(set().union(*nodes.values()))
        others = {
            id_: {owners[node].profile_id for node in theirs if node in owners}
            for id_, theirs in nodes.items()
        }
        wanted = {other for id_, ids in others.items() for other in ids if other > id_}
        found = await self._identities.people(wanted)
        pairs = {}
        for id_, one in known.items():
            for other_id in sorted(others[id_]):
                other = found.get(other_id)
                if other_id <= id_ or other is None or not _has_account(other):
                    continue
                theirs = {n for n in nodes[id_] if n in owners and owners[n].profile_id == other_id}
                refusals = [each for each in one.refusals if _between(each, theirs)]
                if refusals:
                    pair = Pair(one, other, refusals)
                    pairs[pair.suggestion_id] = pair
        return pairs

    async def _put(self) -> list[Pair]:
        return await self._standing(await self._found.all(MOST))

    async def _standing(self, pairs: Sequence[tuple[str, str, datetime | None]]) -> list[Pair]:
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
        splits = [one for one in decisions if one.kind == "split"]
        return [
            Pair(living[one], living[other], [], at)
            for one, other, at in pairs
            if one != other
            and one in living
            and other in living
            and not any(_parts(split, nodes[one], nodes[other]) for split in splits)
        ]

    # -- what is told of them ------------------------------------------------------------------

    async def _told(self, pairs: Sequence[Pair]) -> list[dict[str, Any]]:
        facts = await self._scorer.facts({id_ for pair in pairs for id_ in pair.ids})
        scores = await self._scorer.scored([pair.ids for pair in pairs], facts)
        told = []
        for pair in pairs:
            found = scores.get(pair.ids)
            one, other = pair.ids
            told.append(
                {
                    "suggestion_id": pair.suggestion_id,
                    "people": [
                        _shown(each, facts.get(each.profile_id)) for each in (pair.one, pair.other)
                    ],
                    "evidence": [refusal_shown(each) for each in pair.refusals],
                    "found_at": pair.found_at,
                    "score": 0.0 if found is None else found.score,
                    "likely": found is not None and found.score >= THRESHOLD,
                    "compared": [] if found is None else compared(found, facts[one], facts[other]),
                }
            )
        return told


def _place(told: dict[str, Any]) -> Position:
    return -told["score"], told["suggestion_id"]


def _named(refusals: Iterable[Refusal]) -> set[Identifier]:
    return {node_of(one) for each in refusals for one in each.identifiers}


def _between(refusal: Refusal, theirs: set[Identifier]) -> bool:
    return refusal.because == "limit" and any(node_of(one) in theirs for one in refusal.identifiers)


def _parts(split: Decision, one: set[Identifier], other: set[Identifier]) -> bool:
    a, b = set(split.a), set(split.b)
    return bool((a & one and b & other) or (a & other and b & one))


def _has_account(person: Person) -> bool:
    return person.into is None and any(held.type == "user_id" for held in person.identifiers)


def _shown(person: Person, facts: Facts | None) -> dict[str, Any]:
    named = [{"type": held.type, "value": held.value} for held in person.identifiers]
    state = None if facts is None else facts.state
    return {
        "profile_id": person.profile_id,
        "identifiers": named,
        "traits": {} if facts is None else facts.traits,
        "interactions": 0 if state is None else state.interactions,
        "orders": 0 if state is None else len(state.orders),
        "first_seen": None if state is None else state.first_seen,
        "last_seen": None if state is None else state.last_seen,
    }

"""Who may be one person although nothing links them: a queue for people to decide.

Two who each have a ``user_id`` never become one by themselves. Where a message named
identifiers of both, and was refused for it, or somebody put them there because the scorer
found them alike, they are suggested, until somebody decides: a join, or a split for good.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from services.profile.identity.desk import Asked, Desk
from services.profile.identity.found import FoundPairs
from services.profile.identity.pairs import AT_ONCE, Pair, Pairs
from services.profile.identity.ranking import Position, Ranking
from services.profile.identity.render import refusal_shown
from services.profile.identity.scoring import Facts, Scorer, compared
from services.profile.resolve.model import Decision, Person
from services.profile.resolve.store import IdentityStore
from services.profile.suggestions.rules import THRESHOLD, Frequencies
from services.runtime.http import Problem


class Suggestions:
    """The queue, read from what resolve refused and from what was put into it."""

    def __init__(
        self, identities: IdentityStore, desk: Desk, scorer: Scorer, found: FoundPairs
    ) -> None:
        self._desk = desk
        self._scorer = scorer
        self._found = found
        self._pairs = Pairs(identities, found)
        self._ranking = Ranking(self._pairs, scorer)

    async def page(
        self, limit: int, after: Position | None
    ) -> tuple[list[dict[str, Any]], Position | None, dict[str, Any]]:
        """The likeliest first, where to go on, and what is left out of the whole queue."""
        order = await self._ranking.order(begins=after is None)
        places = order.after(after)
        told: list[dict[str, Any]] = []
        seen = 0
        while len(told) < limit and seen < len(places):
            part = [id_ for _, id_ in places[seen : seen + limit - len(told)]]
            seen += len(part)
            told += await self._told(await self._pairs.of(part), part, order.frequencies)
        score, last = places[seen - 1] if seen else (0.0, "")
        crowded, searched_at = await self._found.noted()
        left_out = {"crowded": crowded, "searched_at": searched_at, "overnamed": order.full}
        return told, (-score, last) if seen < len(places) else None, left_out

    async def one(self, suggestion_id: str) -> dict[str, Any]:
        """A suggestion; 404 where there is none (any more)."""
        pair = await self._pair(suggestion_id)
        facts = await self._scorer.facts(pair.ids)
        frequencies = await self._scorer.frequencies(each.card for each in facts.values())
        (told,) = await self._told({suggestion_id: pair}, [suggestion_id], frequencies)
        return told

    async def decision(self, suggestion_id: str, verdict: str, asked: Asked) -> Decision:
        """What a verdict decides; 404 where there is no such suggestion (any more)."""
        pair = await self._pair(suggestion_id)
        first, second = [await self._desk.person(id_) for id_ in pair.ids]
        if verdict == "accept":
            return await self._desk.join(first, second, asked)
        return await self._desk.part(first, second, asked)

    async def put(self, pairs: Sequence[tuple[str, str]], crowded: int | None = None) -> int:
        """Put pairs in the queue; how many of them now stand there.

        Those who are one person already, have no user id, or were kept apart do not.
        ``crowded``: how many people the search could not compare with all; None: unknown.
        """
        if crowded is not None:
            await self._found.note(crowded)
        async for before in self._found.all(AT_ONCE):
            still = {pair.ids for pair in await self._pairs.standing(before)}
            await self._found.drop(
                [(one, other) for one, other, _ in before if (one, other) not in still]
            )
        wanted = {(min(pair), max(pair), None): None for pair in pairs}
        standing = await self._pairs.standing(list(wanted))
        await self._found.put([pair.ids for pair in standing])
        return len(standing)

    async def _pair(self, suggestion_id: str) -> Pair:
        pair = (await self._pairs.of([suggestion_id])).get(suggestion_id)
        if pair is None:
            raise Problem(404, "Not Found", "No such suggestion: it may be decided already.")
        return pair

    async def _told(
        self, pairs: Mapping[str, Pair], inorder: Sequence[str], frequencies: Frequencies
    ) -> list[dict[str, Any]]:
        standing = [pairs[id_] for id_ in inorder if id_ in pairs]
        facts = await self._scorer.facts({id_ for pair in standing for id_ in pair.ids})
        cards = {id_: known.card for id_, known in facts.items()}
        scores = await self._scorer.scored([pair.ids for pair in standing], cards, frequencies)
        told = []
        for pair in standing:
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


def _shown(person: Person, facts: Facts | None) -> dict[str, Any]:
    named = [{"type": held.type, "value": held.value} for held in person.identifiers]
    state = None if facts is None else facts.state
    return {
        "profile_id": person.profile_id,
        "identifiers": named,
        "traits": {} if facts is None else facts.traits,
        "interactions": 0 if state is None else state.interactions,
        "orders": 0 if state is None else sum(not one.handed_on for one in state.orders.values()),
        "first_seen": None if state is None else state.first_seen,
        "last_seen": None if state is None else state.last_seen,
    }

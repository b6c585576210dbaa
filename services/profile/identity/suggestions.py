"""Who may be one person although nothing links them: a queue for people to decide.

Two who each have a ``user_id`` never become one by themselves. Where a message named
identifiers of both, and was refused for it, they are suggested, until somebody decides: a
join, or a split for good.
"""

from collections.abc import Iterable
from typing import Any

from services.profile.identity.desk import Asked, Desk
from services.profile.identity.render import refusal_shown
from services.profile.resolve.model import Decision, Person, Refusal
from services.profile.resolve.rules.spelling import node_of
from services.profile.resolve.store import IdentityStore
from services.runtime.http import Problem

_BETWEEN = "~"


class Suggestions:
    """The queue, read from what resolve refused."""

    def __init__(self, identities: IdentityStore, desk: Desk) -> None:
        self._identities = identities
        self._desk = desk

    async def page(self, limit: int, after: str | None) -> tuple[list[dict[str, Any]], str | None]:
        """The pairs of up to ``limit`` persons, and where to go on."""
        people = await self._identities.refused(limit + 1, after)
        shown = people[:limit]
        found = [pair for person in shown for pair in await self._pairs(person)]
        return found, shown[-1].profile_id if len(people) > limit else None

    async def decision(self, suggestion_id: str, verdict: str, asked: Asked) -> Decision:
        """What a verdict decides; 404 where there is no such suggestion (any more)."""
        one, _, other = suggestion_id.partition(_BETWEEN)
        people = await self._identities.people([one])
        pairs = await self._pairs(people[one]) if one in people else []
        if suggestion_id not in {pair["suggestion_id"] for pair in pairs}:
            raise Problem(404, "Not Found", "No such suggestion: it may be decided already.")
        first, second = await self._desk.person(one), await self._desk.person(other)
        if verdict == "accept":
            return await self._desk.join(first, second, asked)
        return await self._desk.part(first, second, asked)

    async def _pairs(self, person: Person) -> list[dict[str, Any]]:
        """The suggestions in which this person's id is the smaller one."""
        if not _has_account(person):
            return []
        nodes = {node_of(one) for each in person.refusals for one in each.identifiers}
        owners, _ = await self._identities.owners(nodes)
        others = {owner.profile_id for owner in owners.values()} - {"", person.profile_id}
        found = await self._identities.people([id_ for id_ in others if id_ > person.profile_id])
        theirs = {id_: [n for n in nodes if n in owners and owners[n].profile_id == id_]
                  for id_ in found}  # fmt: skip
        pairs = []
        for id_, other in sorted(found.items()):
            evidence = list(_between(person.refusals, theirs[id_]))
            if evidence and _has_account(other):
                pairs.append(
                    {
                        "suggestion_id": f"{person.profile_id}{_BETWEEN}{id_}",
                        "people": [_shown(person), _shown(other)],
                        "evidence": [refusal_shown(each) for each in evidence],
                    }
                )
        return pairs


def _between(refusals: Iterable[Refusal], theirs: list[Any]) -> Iterable[Refusal]:
    for refusal in refusals:
        if refusal.because == "limit" and any(
            node_of(one) in theirs for one in refusal.identifiers
        ):
            yield refusal


def _has_account(person: Person) -> bool:
    return person.into is None and any(held.type == "user_id" for held in person.identifiers)


def _shown(person: Person) -> dict[str, Any]:
    named = [{"type": held.type, "value": held.value} for held in person.identifiers]
    return {"profile_id": person.profile_id, "identifiers": named}

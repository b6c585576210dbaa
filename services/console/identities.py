"""The profile API's answers about who is one person, as typed calls. Deciding needs support."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from services.console.answers import Amount, Identifier, Page
from services.console.service import Service, part_of

T = TypeVar("T")


class Candidate(Struct, frozen=True):
    """One of two who may be one person."""

    profile_id: str
    identifiers: list[Identifier]
    traits: dict[str, Any] = {}
    interactions: int = 0
    orders: int = 0
    first_seen: datetime | None = None
    last_seen: datetime | None = None


class Compared(Struct, frozen=True):
    """``values`` are of both, or none."""

    field: str
    level: str
    bits: float
    values: list[str] = []


class Refusal(Struct, frozen=True):
    """A message that named both."""

    identifiers: list[Identifier]
    explanation: str
    at: datetime
    message_id: str
    source: str = ""


class Suggestion(Struct, frozen=True):
    suggestion_id: str
    people: list[Candidate]
    evidence: list[Refusal]
    score: float = 0.0
    likely: bool = False
    compared: list[Compared] = []
    found_at: datetime | None = None


class LeftOut(Struct, frozen=True):
    """How many people the last search did not compare with all, and whom messages named with
    more others than are kept."""

    crowded: int = 0
    searched_at: datetime | None = None
    overnamed: int = 0


class Suggestions(Page[Suggestion], frozen=True):
    """A page of the queue."""

    left_out: LeftOut = LeftOut()


class Outlook(Struct, frozen=True):
    """A person as they are, or would be."""

    profile_id: str
    identifiers: list[Identifier]
    interactions: int
    traits: dict[str, Any]
    order_count: int
    revenue: list[Amount]


class Moving(Struct, frozen=True):
    """A segment whose members would change: profile ids in it before and after."""

    segment: str
    name: str
    before: list[str]
    after: list[str]
    until: datetime | None = None


class Preview(Struct, frozen=True):
    """What a decision would do. ``segments`` None: that is not known."""

    kind: str
    before: list[Outlook]
    after: list[Outlook]
    moved: int
    summary: str
    segments: list[Moving] | None = None
    segments_note: str = ""


class Decided(Struct, frozen=True):
    """A decision; ``state``: pending or applied. ``profiles``: whom it names, as they are now."""

    decision_id: str
    kind: str
    state: str
    profiles: list[str]


class Word(Struct, frozen=True):
    """One word on a trait."""

    value: Any
    at: datetime
    message_id: str
    source: str
    name: str
    holds: bool


class Identities(Service):
    """Who is one person, and who decides it."""

    async def suggestions(self, limit: int, cursor: str = "") -> Suggestions:
        return await self.get(_SUGGESTIONS, Suggestions, limit=limit, cursor=cursor)

    async def suggestion(self, id_: str) -> Suggestion:
        return await self.get(f"{_SUGGESTIONS}/{part_of(id_)}", Suggestion)

    async def try_verdict(self, id_: str, said: Mapping[str, Any]) -> Preview:
        return await self._post(f"{_SUGGESTIONS}/{part_of(id_)}?preview=true", said, Preview)

    async def give_verdict(self, id_: str, said: Mapping[str, Any]) -> Decided:
        return await self._post(f"{_SUGGESTIONS}/{part_of(id_)}", said, Decided)

    async def try_unmerge(self, profile_id: str, said: Mapping[str, Any]) -> Preview:
        return await self._post(f"{_unmerge(profile_id)}?preview=true", said, Preview)

    async def unmerge(self, profile_id: str, said: Mapping[str, Any]) -> Decided:
        return await self._post(_unmerge(profile_id), said, Decided)

    async def try_merge(self, profile_id: str, said: Mapping[str, Any]) -> Preview:
        return await self._post(f"{_merge(profile_id)}?preview=true", said, Preview)

    async def merge(self, profile_id: str, said: Mapping[str, Any]) -> Decided:
        return await self._post(_merge(profile_id), said, Decided)

    async def words(self, profile_id: str, trait: str, limit: int, cursor: str = "") -> Page[Word]:
        """Every word on a trait, the newest first."""
        path = f"/v1/profiles/{part_of(profile_id)}/traits/{part_of(trait)}/history"
        return await self.get(path, Page[Word], limit=limit, cursor=cursor)

    async def _post(self, path: str, said: Mapping[str, Any], of: type[T]) -> T:
        return await self.post(path, of, msgspec.json.encode(said))


_SUGGESTIONS = "/v1/identity/suggestions"


def _merge(profile_id: str) -> str:
    return f"/v1/profiles/{part_of(profile_id)}/merge"


def _unmerge(profile_id: str) -> str:
    return f"/v1/profiles/{part_of(profile_id)}/unmerge"

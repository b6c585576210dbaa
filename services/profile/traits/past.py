"""What was known of a person: read back from the interactions, which are kept for ever.

Time is event time throughout: what is known today of that instant, also by what arrived later.
Who the person is, is today's answer as well: what happened under ids that were found to be
theirs since then is part of it, and an order is whose it is today.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from typing import Protocol

import msgspec
from msgspec import Raw, Struct

from schemas.messages import Interaction
from services.profile.build.kept import Kept
from services.profile.build.rules.computed import Traits
from services.profile.build.rules.fold import fold
from services.profile.build.rules.handing import known_to, receive
from services.profile.build.rules.traits import written
from services.profile.build.rules.values import utc
from services.profile.resolve.model import Entry, Person

MOST_FOLDED = 20_000
"""Interactions that one past profile is made of; who has more is refused."""
MOST_READ = 5_000
"""Interactions that one page of a trait's history reads."""
_PAGE = 500
_AT_ONCE = 2
_decoder = msgspec.json.Decoder(Interaction)

Position = tuple[datetime, str]


class TooMuch(Exception):
    """There are more interactions than one answer may take."""


class Timeline(Protocol):
    """``resolve.store.IdentityStore``."""

    async def page(
        self, profile_ids: list[str], limit: int, after: Position | None = None
    ) -> list[Entry]:
        """Interactions, newest first; ``after``: the last one that was seen."""

    def handed(self, profile_ids: list[str]) -> AsyncIterator[list[tuple[str, bytes]]]:
        """What was told to others of orders that these have now."""


class Said(Struct):
    """One word on a trait."""

    value: Raw
    """As it was sent: a value, null for unset, or an operation."""
    at: datetime
    received_at: datetime
    message_id: str
    source: str
    name: str
    """The event that carried it."""
    holds: bool
    """Whether the profile shows it now."""


class Past:
    """Profiles and traits as they were."""

    def __init__(self, timeline: Timeline, declared: Callable[[], Awaitable[Traits]]) -> None:
        self._timeline = timeline
        self._declared = declared
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def profile(self, person: Person, at: datetime) -> Kept:
        """The person at an instant, by the computed traits and trusted sources of today.

        Raises ``TooMuch``.
        """
        traits = await self._declared()
        kept = Kept(members=sorted(person.members))
        async with self._turns:
            await self._receive(kept, person, at)
            async for page in self._pages(person, (at, "")):
                for entry in page:
                    said = _read(entry)
                    # Entries are to the millisecond, and an unreadable one tells no time.
                    if said is not None and utc(said.at) <= at:
                        fold(kept.state, known_to(said, person.profile_ids), traits, set())
                if kept.state.interactions > MOST_FOLDED:
                    raise TooMuch
        return kept

    async def _receive(self, kept: Kept, person: Person, at: datetime) -> None:
        """What was told by then to others, of the orders that the person has today."""
        async for chunk in self._timeline.handed(person.profile_ids):
            for _, body in chunk:
                said = _decoder.decode(body)
                if utc(said.at) <= at and said.profile_id not in person.profile_ids:
                    receive(kept.state, said)

    async def history(
        self, person: tuple[Person, Kept], name: str, limit: int, after: Position | None
    ) -> tuple[list[Said], Position | None]:
        """(every word on a trait, newest first, where to go on or None at the end).

        A page may hold fewer than ``limit``, even none, and still not be the last.
        """
        who, kept = person
        holding = _holding(kept, name)
        found: list[Said] = []
        read = 0
        async for page in self._pages(who, after):
            for entry in page:
                read += 1
                said = _read(entry)
                value = None if said is None else written(said).get(name)
                if said is not None and value is not None:
                    found.append(_said(said, value, said.interaction_id in holding))
                if len(found) == limit or read == MOST_READ:
                    return found, (entry.at, entry.interaction_id)
        return found, None

    async def _pages(self, person: Person, after: Position | None) -> AsyncIterator[list[Entry]]:
        while page := await self._timeline.page(person.profile_ids, _PAGE, after):
            yield page
            if len(page) < _PAGE:
                return
            after = (page[-1].at, page[-1].interaction_id)


def _read(entry: Entry) -> Interaction | None:
    try:
        return _decoder.decode(entry.body)
    except msgspec.MsgspecError:
        return None


def _holding(kept: Kept, name: str) -> set[str]:
    write = kept.state.traits.get(name)
    if write is None:
        return set()
    return {write.message_id, *(edit.message_id for edit in (write.edits or {}).values())}


def _said(said: Interaction, value: Raw, holds: bool) -> Said:
    return Said(
        value=value,
        at=said.at,
        received_at=said.received_at,
        message_id=said.interaction_id,
        source=said.source,
        name=said.name,
        holds=holds,
    )

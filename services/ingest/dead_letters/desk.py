"""What people do with dead letters: replay, edit, dismiss, erase.

An action is stored before anything is published: the letter becomes ``replaying`` with the
records to publish, and the dead-letters stage publishes them and marks it in one
transaction. Whoever acts says which version of the letter they saw, so that of two who
click at once one acts.
"""

import asyncio
from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from typing import Protocol

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from schemas.validation import Fault
from services.ingest.dead_letters import life
from services.ingest.dead_letters.model import ACTIONABLE, OPEN, Action, Filter, Letter, State
from services.ingest.dead_letters.people import digests, every_one_in
from services.ingest.dead_letters.repair import Repair
from services.ingest.dead_letters.replay import outputs_of
from services.ingest.handler import NoPlans, Plans
from services.ingest.sources.model import Source
from services.runtime.turn import Output

_REMEMBER_ERASED = timedelta(days=31)
"""Longer than a topic keeps what may still become a letter."""
_encode = msgspec.msgpack.Encoder().encode
_TRIES = 5

Sources = Callable[[str], Source]
"""The source of a name as it is now: events are judged by its rules."""


class Conflict(Exception):
    """The letter is in a state in which this cannot be done, or others keep changing it."""

    def __init__(self, state: str) -> None:
        super().__init__(state)
        self.state = state


class Preview(Struct, kw_only=True):
    """What a replay would publish, or why it would be refused."""

    letter: Letter
    before: bytes | None
    after: bytes | None
    """Of the first event, as it would lie on its topic; of what is refused, the edit."""
    events: int = 0
    fault: Fault | None = None


class Outcome(Struct, kw_only=True):
    """What a replay by filter came to."""

    letters: list[Preview]
    taken: int = 0
    conflicts: int = 0
    next: Letter | None = None
    """Where the next part begins; None at the end."""


class Store(Protocol):
    """What is needed of the store."""

    async def get(self, id_: str) -> Letter | None: ...

    async def change(self, letter: Letter) -> bool: ...

    async def page(
        self, wanted: Filter, limit: int, after: tuple[datetime, str] | None
    ) -> list[Letter]: ...

    async def states(self, wanted: Filter) -> dict[str, int]: ...

    async def dismiss(self, wanted: Filter, action: Action) -> int: ...

    async def naming(self, people: Collection[bytes]) -> list[Letter]: ...

    async def erase_later(
        self, people: Collection[bytes], at: datetime, until: datetime
    ) -> None: ...


class Desk:
    """The actions. ``by`` is the role of whoever acts."""

    def __init__(
        self,
        letters: Store,
        sources: Sources,
        clock: Callable[[], datetime],
        plans: Plans | None = None,
    ) -> None:
        self._plans = plans or NoPlans()
        self._letters = letters
        self._sources = sources
        self._clock = clock

    async def replay(
        self, id_: str, body: bytes | None, by: str, *, dry: bool = False
    ) -> Preview | None:
        """Replay a letter, with ``body`` in place of its own; None when there is no such letter.

        What is refused stays with the letter, its edited body too. Raises ``Conflict``.
        """
        for _ in range(_TRIES):
            letter = await self._letters.get(id_)
            if letter is None:
                return None
            _demand_actionable(letter)
            outputs = self._outputs(letter, body)
            if dry:
                return _preview(letter, letter.body, body, outputs)
            action = Action(at=self._clock(), deed="replaying", by=by)
            if isinstance(outputs, Fault):
                after = life.refused(letter, outputs, body, action)
            else:
                after = life.requested(letter, _encode(outputs), body, action)
            if await self._letters.change(after):
                return _preview(after, letter.body, body, outputs)
        raise Conflict("changing")

    async def replay_all(
        self,
        wanted: Filter,
        repair: Repair | None,
        by: str,
        *,
        limit: int,
        after: tuple[datetime, str] | None = None,
        dry: bool = False,
    ) -> Outcome:
        """Replay letters, newest first, each with what ``repair`` makes of its body, if given.

        Those that would be refused again are told of, and stay as they are.
        """
        these = _among(wanted, ACTIONABLE)
        found = await self._letters.page(these, limit + 1, after) if these else []
        outcome = Outcome(letters=[], next=found[limit - 1] if len(found) > limit else None)
        for letter in found[:limit]:
            await asyncio.sleep(0)  # events go first
            body = None if repair is None else repair(letter)
            outputs = body if isinstance(body, Fault) else self._outputs(letter, body)
            text = body if isinstance(body, bytes) else None
            outcome.letters.append(_preview(letter, letter.body, text, outputs))
            if dry or isinstance(outputs, Fault):
                continue
            action = Action(at=self._clock(), deed="replaying", by=by)
            asked = life.requested(letter, _encode(outputs), text, action)
            if await self._letters.change(asked):
                outcome.taken += 1
            else:
                outcome.conflicts += 1
        return outcome

    async def dismiss(self, id_: str, by: str) -> Letter | None:
        """Nothing is to be done about a letter. Raises ``Conflict``."""
        for _ in range(_TRIES):
            letter = await self._letters.get(id_)
            if letter is None or letter.state == "dismissed":
                return letter
            _demand_actionable(letter)
            action = Action(at=self._clock(), deed="dismissed", by=by)
            after = life.dismissed(letter, action)
            if await self._letters.change(after):
                return after
        raise Conflict("changing")

    async def dismiss_all(self, wanted: Filter, by: str, *, dry: bool = False) -> int:
        """Nothing is to be done about all of these that are open; returns how many that are."""
        these = _among(wanted, OPEN)
        if these is None:
            return 0
        if dry:
            return sum((await self._letters.states(these)).values())
        return await self._letters.dismiss(these, Action(at=self._clock(), deed="dismissed", by=by))

    async def erase(self, identifiers: Collection[tuple[str, str]], by: str) -> int:
        """Remove what the letters of a person hold; returns how many letters that were.

        ``identifiers``: (type, value) pairs: email, phone, user_id, anonymous_id, profile_id.
        Letters that were refused until now and are not stored yet will be erased too.
        """
        people = digests(identifiers)
        now = self._clock()
        await self._letters.erase_later(people, now, now + _REMEMBER_ERASED)
        erased = 0
        for found in await self._letters.naming(people):
            erased += await self._erase(found, frozenset(people), by)
        return erased

    def _outputs(self, letter: Letter, body: bytes | None) -> list[Output] | Fault:
        source = self._sources(letter.source)
        return outputs_of(letter, source, body, self._plans.of(source))

    async def _erase(self, found: Letter, people: frozenset[bytes], by: str) -> int:
        letter: Letter | None = found
        for _ in range(_TRIES):
            if letter is None or letter.state == "erased":
                return 0
            named = people & ({*letter.people} | every_one_in(letter.raw, letter.edited))
            if not named:
                return 0
            action = Action(at=self._clock(), deed="erased", by=by)
            if await self._letters.change(life.erased(letter, action)):
                return 1
            letter = await self._letters.get(found.id)
        raise Conflict("changing")


def _among(wanted: Filter, states: Collection[State]) -> Filter | None:
    """``wanted``, by default what is open, as far as it is in these states; None: none can be."""
    kept = tuple(state for state in wanted.states or OPEN if state in states)
    return replace(wanted, states=kept) if kept else None


def _demand_actionable(letter: Letter) -> None:
    if letter.state not in ACTIONABLE:
        raise Conflict(letter.state)


def _preview(
    letter: Letter, before: bytes | None, body: bytes | None, outputs: Sequence[Output] | Fault
) -> Preview:
    if isinstance(outputs, Fault):
        return Preview(letter=letter, before=before, after=body, fault=outputs)
    return Preview(letter=letter, before=before, after=outputs[0].value, events=len(outputs))

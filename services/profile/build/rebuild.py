"""The rebuild: profiles computed again from their stored interactions, while events flow.

Within the turn's snapshot it reads every interaction of the profile and of those it
absorbed, and how far resolve's checkpoints had come: what these cover is in the state, and
incoming records that they cover are skipped from then on. Who has just absorbed others takes in
their interactions alone (``joining``).
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from typing import Any, Protocol

import msgspec
from msgspec import Struct, field

from schemas.messages import Interaction
from services.profile.build.joining import encode_vector, gained_by, joined
from services.profile.build.kept import Kept
from services.profile.build.model import State
from services.profile.build.rules.computed import Traits
from services.profile.build.rules.fold import fold
from services.profile.build.rules.handing import take

_decoder = msgspec.json.Decoder(Interaction)


class History(Protocol):
    """What resolve has stored, read in the turn's transaction."""

    async def fates(
        self, profile_ids: Sequence[str], session: Any
    ) -> dict[str, tuple[str | None, list[str]]]:
        """(where it went, its former profile ids) of each; one that is unknown is missing."""

    async def vector(self, session: Any) -> dict[str, int]:
        """The ``seq`` of each of resolve's checkpoints, by its id (``origin``)."""

    def interactions(
        self, profile_ids: Sequence[str], session: Any
    ) -> AsyncIterator[list[tuple[str, bytes]]]:
        """(profile id, encoded ``Interaction``) of these profiles, in lists, in any order; and
        what was told to others of orders that these have now."""


class _Reading(Struct):
    """Whose state takes in what is read."""

    traits: Traits
    states: dict[str, State] = field(default_factory=dict)
    """By every profile id whose interactions are read."""
    joining: dict[str, str] = field(default_factory=dict)
    """Of these, each that joins a state -> the profile id of that."""
    refused: set[str] = field(default_factory=set)
    """Profiles for which reading what joins them is not enough."""

    def add(self, placed: str, body: bytes) -> None:
        """Fold an interaction that was read with the history of ``placed``."""
        state = self.states[placed]
        try:
            said = _decoder.decode(body)
        except msgspec.MsgspecError:
            state.flags["unreadable_interaction"] = state.flags.get("unreadable_interaction", 0) + 1
            return
        if said.handed_to is None:
            fold(state, said, self.traits, set())
        elif placed in self.joining:
            self.refused.add(self.joining[placed])
        else:
            take(self.states, placed, said, self.traits)


async def rebuild(
    history: History,
    olds: Mapping[str, Kept],
    traits: Traits,
    session: Any,
    joining: Collection[str] = (),
) -> dict[str, Kept]:
    """The profiles ``olds`` anew, by id. Versions stay as they are.

    ``joining``: those that have absorbed others and are else as they were, so that it is enough
    to read these, as far as ``gained_by`` and what is read allow it.
    """
    fates = await history.fates(list(olds), session)
    vector = await history.vector(session)
    fresh, reading = dict[str, Kept](), _Reading(traits)
    for profile_id, old in olds.items():
        members = sorted(fates[profile_id][1]) if profile_id in fates else []
        gained = gained_by(old, members) if profile_id in joining else None
        if gained is None:
            kept = Kept(
                version=old.version,
                members=members,
                fingerprint=traits.fingerprint,
                vector=dict(vector),
                rearranged=old.rearranged,
                worth=old.worth,
            )
            reading.states |= dict.fromkeys((profile_id, *members), kept.state)
        else:
            kept = joined(old, members, dict.fromkeys(gained, encode_vector(vector)))
            reading.states |= dict.fromkeys(gained, kept.state)
            reading.joining |= dict.fromkeys(gained, profile_id)
        fresh[profile_id] = kept
    await _read(history, reading, session)
    if reading.refused:
        whole = {profile_id: olds[profile_id] for profile_id in reading.refused}
        fresh |= await rebuild(history, whole, traits, session)
    return fresh


async def _read(history: History, reading: _Reading, session: Any) -> None:
    chunks = history.interactions(list(reading.states), session)
    coming = asyncio.ensure_future(_next(chunks))
    try:
        while chunk := await coming:
            coming = asyncio.ensure_future(_next(chunks))  # The server reads while we fold.
            await asyncio.sleep(0)
            for placed, body in chunk:
                reading.add(placed, body)
    finally:
        await asyncio.wait({coming})  # It uses the transaction.


async def _next(chunks: AsyncIterator[list[tuple[str, bytes]]]) -> list[tuple[str, bytes]]:
    """The next chunk that has anything in it; an empty one at the end."""
    async for chunk in chunks:
        if chunk:
            return chunk
    return []

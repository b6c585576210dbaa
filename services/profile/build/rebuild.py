"""The rebuild: profiles computed again from their stored interactions, while events flow.

Within the turn's snapshot it reads every interaction of the profile and of those it
absorbed, and how far resolve's checkpoints had come: what these cover is in the state, and
incoming records that they cover are skipped from then on.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from schemas.messages import Interaction
from services.profile.build.model import Kept, State
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


async def rebuild(
    history: History, olds: Mapping[str, Kept], traits: Traits, session: Any
) -> dict[str, Kept]:
    """The profiles ``olds`` anew, by id. Versions stay as they are."""
    fates = await history.fates(list(olds), session)
    vector = await history.vector(session)
    fresh = {
        profile_id: Kept(
            version=old.version,
            members=sorted(fates[profile_id][1]) if profile_id in fates else [],
            fingerprint=traits.fingerprint,
            vector=dict(vector),
            rearranged=old.rearranged,
            worth=old.worth,
        )
        for profile_id, old in olds.items()
    }
    owners = {profile_id: kept.state for profile_id, kept in fresh.items()}
    owners |= {member: kept.state for kept in fresh.values() for member in kept.members}
    chunks = history.interactions(list(owners), session)
    coming = asyncio.ensure_future(_next(chunks))
    try:
        while chunk := await coming:
            coming = asyncio.ensure_future(_next(chunks))  # The server reads while we fold.
            await asyncio.sleep(0)
            for profile_id, body in chunk:
                _add(owners, profile_id, body, traits)
    finally:
        await asyncio.wait({coming})  # It uses the transaction.
    return fresh


async def _next(chunks: AsyncIterator[list[tuple[str, bytes]]]) -> list[tuple[str, bytes]]:
    """The next chunk that has anything in it; an empty one at the end."""
    async for chunk in chunks:
        if chunk:
            return chunk
    return []


def _add(states: Mapping[str, State], placed: str, body: bytes, traits: Traits) -> None:
    state = states[placed]
    try:
        said = _decoder.decode(body)
    except msgspec.MsgspecError:
        state.flags["unreadable_interaction"] = state.flags.get("unreadable_interaction", 0) + 1
        return
    if said.handed_to is None:
        fold(state, said, traits, set())
    else:
        take(states, placed, said, traits)

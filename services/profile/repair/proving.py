"""Whether each profile is what its interactions make of it, while events flow.

A profile is read together with its interactions, in one snapshot, and must be the bytes that
the fold makes of them. The latest interactions may not have reached build yet: then it must be
what those before them make, or become right within some patience.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from time import monotonic
from typing import Any

import msgspec

from schemas.messages import Interaction
from services.profile.build.kept import Kept
from services.profile.build.model import State, encode_state
from services.profile.build.rules.computed import Traits
from services.profile.build.rules.fold import fold
from services.profile.build.rules.handing import known_to, receive
from services.profile.build.store import HistoryStore, ProfileStore
from services.runtime.mongo import Client, transaction

CHUNK = 200
_AGAIN_SECONDS = 0.5

_decode = msgspec.json.Decoder(Interaction).decode


def is_right(
    kept: Kept,
    history: Sequence[Interaction],
    traits: Traits,
    received: Sequence[Interaction] = (),
) -> bool:
    """Whether a profile's bytes are those of its history, of which the end may be missing.

    ``received``: what was told to others of orders that this person has now.
    """
    count = kept.state.interactions
    if count > len(history) or kept.fingerprint != traits.fingerprint:
        return False
    known = sorted(history, key=lambda said: said.received_at)[:count]
    state = State()
    for said in known:
        fold(state, said, traits, set())
    for said in received:
        receive(state, said)
    return encode_state(state) == encode_state(kept.state)


class Proof:
    """Compares stored profiles with their histories."""

    def __init__(
        self, client: Client, profiles: ProfileStore, history: HistoryStore, traits: Traits
    ) -> None:
        self._client = client
        self._profiles = profiles
        self._history = history
        self._traits = traits

    async def wrong(self, patience_s: float) -> AsyncIterator[tuple[int, list[str]]]:
        """(how many were compared, the ids that stayed wrong), a chunk at a time."""
        after = ""
        while chunk := await self._profiles.following(after, CHUNK):
            yield len(chunk), await self.wrong_of(chunk, patience_s)
            after = chunk[-1]

    async def wrong_of(self, profile_ids: Sequence[str], patience_s: float) -> list[str]:
        """Those of the profiles that are not what they should be for as long as that."""
        left, end = list(profile_ids), monotonic() + patience_s
        while left := await self._differing(left):
            if monotonic() > end:
                break
            await asyncio.sleep(_AGAIN_SECONDS)
        return left

    async def _differing(self, profile_ids: Sequence[str]) -> list[str]:
        async with await self._client.start_session() as session, transaction(session):
            stored = await self._profiles.load(profile_ids, session)
            kept = {id_: one for id_, one in stored.items() if one.into is None}
            fates = await self._history.fates(list(kept), session)
            members = {id_: former for id_, (_, former) in fates.items()}
            histories, received = await self._histories(kept, members, session)
        return [
            id_
            for id_, one in kept.items()
            if one.members != sorted(members.get(id_, ()))
            or not is_right(one, histories[id_], self._traits, received[id_])
        ]

    async def _histories(
        self, kept: Mapping[str, Kept], members: Mapping[str, list[str]], session: Any
    ) -> tuple[dict[str, list[Interaction]], dict[str, list[Interaction]]]:
        """(the history of each, what each has received)."""
        found: dict[str, list[Interaction]] = {id_: [] for id_ in kept}
        received: dict[str, list[Interaction]] = {id_: [] for id_ in kept}
        owners = {id_: id_ for id_ in kept}
        owners |= {former: id_ for id_ in kept for former in members.get(id_, ())}
        async for chunk in self._history.interactions(list(owners), session):
            for attributed, body in chunk:
                said, whose = _decode(body), owners[attributed]
                if attributed == said.profile_id:
                    theirs = (whose, *members.get(whose, ()))
                    found[whose].append(known_to(said, theirs))
                elif owners.get(said.profile_id) != whose:
                    received[whose].append(said)
        return found, received

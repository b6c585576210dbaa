"""Profiles and persons as the API asks for them, under any of their ids."""

from collections.abc import Sequence

import msgspec

from schemas.messages import Identifier
from services.profile.build.kept import Kept
from services.profile.build.rules.consent import OPEN, Policy
from services.profile.build.store import ProfileStore
from services.profile.render import profile
from services.profile.resolve.model import Person
from services.profile.resolve.rules.spelling import spelled
from services.profile.resolve.store import IdentityStore
from services.runtime.http import Problem

_encode = msgspec.json.Encoder(order="deterministic").encode

_TOO_LARGE = (
    "Since an upgrade this profile is too large to be stored, and takes nothing more. Its timeline "
    "can be read (/interactions). An unmerge, or fewer computed traits, makes it smaller: it is "
    "then computed again."
)


class People:
    """Profiles as build keeps them and persons as resolve does, under any of their ids."""

    def __init__(
        self, profiles: ProfileStore, identities: IdentityStore, policy: Policy = OPEN
    ) -> None:
        self.profiles = profiles
        self.identities = identities
        self.policy = policy

    async def profile(self, profile_id: str) -> tuple[str, Kept]:
        """(surviving id, what is kept); 404 if nobody is known by that id.

        503 while it is stored in another layout; 422 where it is too large for this one.
        """
        found = (await self._found([profile_id])).get(profile_id)
        if found is None:
            raise Problem(404, "Not Found", "There is no profile with this id.")
        if found[1].too_large:
            code = {"code": "profile_too_large"}
            raise Problem(422, "Unprocessable Content", _TOO_LARGE, extra=code)
        return found

    async def told(self, profile_id: str) -> bytes:
        """What the API answers of somebody, as JSON; 404 if nobody is known by that id."""
        return _encode(profile(*await self.profile(profile_id), self.policy))

    async def told_by(self, type: str, value: str) -> bytes:
        """The same by an identifier, in any spelling of it."""
        known = spelled(type, value) or value.strip()
        profile_id = await self.identities.holder(Identifier(type, known))
        if profile_id is None:
            raise Problem(404, "Not Found", "Nobody is known by this identifier.")
        return await self.told(profile_id)

    async def known(self, profile_ids: Sequence[str]) -> dict[str, tuple[str, Kept]]:
        """(surviving id, what is kept) by each id that somebody is known by.

        503 while one of them is still stored in another layout. Those that are too large for
        this one are left out.
        """
        found = await self._found(profile_ids)
        return {asked: one for asked, one in found.items() if not one[1].too_large}

    async def _found(self, profile_ids: Sequence[str]) -> dict[str, tuple[str, Kept]]:
        found = await self.profiles.profiles(profile_ids)
        missing = [profile_id for profile_id in profile_ids if profile_id not in found]
        if missing:
            # Build may not have heard yet of a merge that resolve has made.
            survivors = await self.identities.survivors(missing)
            moved = {asked: into for asked, into in survivors.items() if into != asked}
            there = await self.profiles.profiles(moved.values()) if moved else {}
            found |= {asked: there[into] for asked, into in moved.items() if into in there}
        if any(kept.unread and not kept.too_large for _, kept in found.values()):
            detail = "It is being computed again after an upgrade. Try again in a moment."
            raise Problem(503, "Service Unavailable", detail, headers={"Retry-After": "5"})
        return found

    async def person(self, profile_id: str) -> Person:
        """The person as resolve knows them; 404 if there is none."""
        person = await self.identities.person(profile_id)
        if person is None:
            raise Problem(404, "Not Found", "There is no profile with this id.")
        return person

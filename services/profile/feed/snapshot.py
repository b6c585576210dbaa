"""Everybody as they are now, in the order of their ids: the first half of a copy.

The second half is ``profile.changes`` from ``Position.offsets`` on. Build stores a version
before it publishes it, and the offsets are read before the first profile: so whatever a
snapshot misses lies on the topic behind them, and whatever is told twice has a version.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Protocol

import msgspec
from msgspec import Struct, field

from schemas.messages import Profile
from services.profile.build import documents
from services.profile.build.kept import Kept
from services.profile.build.rules.computed import Traits
from services.profile.build.rules.consent import OPEN, Policy
from services.profile.build.rules.view import profile_of
from services.profile.commerce.rules.rates import valued
from services.runtime.mongo import Database

PAGE = 200
"""Profiles that are held in memory at once."""

_encode = msgspec.json.Encoder(order="deterministic").encode


class Position(Struct, frozen=True, array_like=True):
    """How far an export has come. It survives any interruption: give it back to go on."""

    at: datetime
    """When it began."""
    offsets: dict[str, int]
    """Partition of ``profile.changes`` -> the offset from which on to read it."""
    after: str = ""
    """The last profile id that was told."""
    told: int = 0


class Exported(Struct, kw_only=True, omit_defaults=True):
    """One profile id, in the words of ``ProfileChanged``: a profile, or a redirect."""

    profile_id: str
    version: int
    merged_into: str | None = None
    merged_from: list[str] = field(default_factory=list)
    profile: Profile | None = None


class People(Protocol):
    """What is stored, in the order of ids."""

    policy: Policy
    """Which grants of consent must be confirmed."""

    async def after(self, profile_id: str, limit: int) -> Sequence[tuple[str, Kept]]:
        """Up to ``limit`` profiles and redirects behind an id."""


class Stored:
    """``People`` on MongoDB, as build writes them."""

    def __init__(self, database: Database, policy: Policy = OPEN) -> None:
        self._profiles = database["profiles"]
        self.policy = policy

    async def after(self, profile_id: str, limit: int) -> Sequence[tuple[str, Kept]]:
        """Up to ``limit`` profiles and redirects behind an id."""
        # Who is yet to be computed again after an upgrade comes with the stream.
        there = [documents.readable(), {"i": {"$exists": True}}]
        query = {"_id": {"$gt": profile_id}, "$or": there}
        found = self._profiles.find(query, documents.projection(), batch_size=limit)
        found = found.sort("_id", 1).limit(limit)
        return [(one["_id"], documents.kept_of(one)) for one in await found.to_list(None)]


async def pages(
    people: People, traits: Traits, position: Position, page: int = PAGE
) -> AsyncIterator[tuple[bytes, Position]]:
    """Lines of JSON, a page at a time, each with the position behind it."""
    while found := await people.after(position.after, page):
        lines = b"".join(_encode(exported(*one, traits, people.policy)) + b"\n" for one in found)
        position = msgspec.structs.replace(
            position, after=found[-1][0], told=position.told + len(found)
        )
        yield lines, position


def exported(profile_id: str, kept: Kept, traits: Traits, policy: Policy) -> Exported:
    """One profile as its latest record on ``profile.changes`` says it."""
    if kept.into is not None:
        return Exported(profile_id=profile_id, version=kept.version, merged_into=kept.into)
    return Exported(
        profile_id=profile_id,
        version=kept.version,
        merged_from=kept.members,
        profile=valued(profile_of(profile_id, kept.state, traits, policy), kept.worth),
    )


def start_line(position: Position, topic: str, cursor: str) -> bytes:
    """The first line: where the stream goes on from."""
    return _line({"topic": topic, "at": position.at, "offsets": position.offsets, "cursor": cursor})


def cursor_line(cursor: str) -> bytes:
    """A line between profiles: whoever has read it may go on from here."""
    return _line({"cursor": cursor})


def end_line(position: Position) -> bytes:
    """The last line. Without it an export is not complete."""
    return _line({"complete": True, "profiles": position.told})


def _line(values: Mapping[str, object]) -> bytes:
    return msgspec.json.encode(values) + b"\n"

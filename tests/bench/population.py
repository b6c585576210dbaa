"""Many people who are stored already, each of whom has logged in on their device.

They are people of the load (``load``), written past the workers as the stores would have
written them. What build keeps of each is a copy of what a real worker kept of somebody.
"""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from msgspec import Raw, Struct

from schemas.messages import Identifier, Interaction
from schemas.topics import PROFILE_PARTITIONS
from services.profile.build.kept import decode, encode
from services.profile.build.store import ProfileStore
from services.profile.resolve.documents import holding_of, row_of
from services.profile.resolve.model import Device, Held, Mark, Owner, Person
from services.profile.resolve.rules import interactions
from services.profile.resolve.rules.ground import profile_id_of
from services.profile.resolve.store import IdentityStore
from services.runtime.publish import partition_of
from tests.bench.world import Namespace

_CHUNK = 2_000
_TEMPLATES = 2_000

Document = dict[str, Any]
Somebody = dict[str, list[Document]]
"""The documents of one person, by collection."""


class Kept(Struct):
    """What build keeps, as stored."""

    people: list[Document]
    """Some of them."""
    sweeps: list[Document]
    """That all of them are as the definitions want them. Ids are without the namespace."""


async def kept(space: Namespace) -> Kept:
    """What build keeps once it is idle."""
    database = space.client[space.settings.database("profile")]
    people = await database["profiles"].find({"i": None}).limit(_TEMPLATES).to_list(None)
    sweeps = await database["sweeps"].find({}).to_list(None)
    for each in sweeps:
        each["_id"] = each["_id"].removeprefix(space.settings.namespace)
    return Kept(people, [each | {"done": True} for each in sweeps])


async def settle(space: Namespace, size: int, templates: Kept) -> None:
    """Fill an empty database with the first ``size`` people of the load."""
    database = space.client[space.settings.database("profile")]
    here = space.settings.namespace
    sweeps = [one | {"_id": here + one["_id"]} for one in templates.sweeps]
    await database["sweeps"].insert_many(sweeps)
    await ProfileStore(database).create()
    people = templates.people
    since = datetime.now(UTC) - timedelta(days=30)
    for numbers in _chunks(size):
        some = [_somebody(number, since, people[number % len(people)]) for number in numbers]
        await asyncio.gather(
            *(
                database[name].insert_many([d for each in some for d in each[name]], ordered=False)
                for name in some[0]
            )
        )
    # Indexes are cheaper made at once, and what is dirty is nobody's event.
    await IdentityStore(database).prepare()
    await ProfileStore(database).prepare()
    await space.client.admin.command("fsync")


def _chunks(size: int) -> Iterator[range]:
    for start in range(0, size, _CHUNK):
        yield range(start, min(start + _CHUNK, size))


def _somebody(number: int, since: datetime, template: Document) -> Somebody:
    """The person of this number, whose one message is a login."""
    at = since + timedelta(milliseconds=number)
    message_id, user = f"past-{number:07d}", Identifier("user_id", f"u-{number}")
    device = Identifier("anonymous_id", f"a-{number:06d}-5f0c2d9e")
    profile_id = profile_id_of(message_id)
    said = Interaction(
        interaction_id=message_id,
        profile_id=profile_id,
        at=at,
        received_at=at,
        type="identify",
        name="Identify",
        source="bench",
        identifiers=[user, device],
        event=Raw(b'{"type":"identify","traits":{"plan":"standard"}}'),
    )
    held = Held(user.type, user.value, at, message_id, "bench")
    mark = Mark(at, message_id, user)
    profile = decode(template["b"])
    profile.state.identifiers = {one.type: {one.value} for one in said.identifiers}
    profile.members, profile.vector, profile.rearranged = [], {}, False
    partition = partition_of(profile_id.encode(), PROFILE_PARTITIONS)
    stands = {"_id": profile_id, "p": partition, "u": user.value, "b": encode(profile)}
    return {
        "interactions": [row_of(interactions.stored(said, consent=False))],
        "identifiers": [
            holding_of(user, Owner(profile_id)),
            holding_of(device, Device(profile_id, marks=[mark])),
        ],
        "people": [msgspec.to_builtins(Person(profile_id, [held], since=at, devices=1))],
        "profiles": [template | stands],
    }

"""Asking the build workers to compute profiles again, and seeing how far they are.

The request for everything is a definition whose version rises, ``rebuild/all``: it makes every
profile one that is behind, and the sweeps of the workers do the rest. It is there once, survives
whatever the workers survive, and a second request supersedes the first. For one person, their
latest interaction is sent again, meant for build alone, which then reads all of them.
"""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from time import monotonic

import msgspec
from aiokafka import TopicPartition
from msgspec import Struct

from schemas.messages import Definition, Interaction
from schemas.topics import INTERACTIONS, MEANT_FOR, PROFILE_PARTITIONS
from services.profile.build.handler import NAME
from services.profile.build.inbox import RECORDED
from services.profile.build.renewal import REBUILD
from services.profile.build.store import ProfileStore
from services.profile.build.sweep import EVERYTHING
from services.profile.build.sweep_store import Coverage
from services.profile.resolve.store import IdentityStore
from services.runtime.declaring import declared
from services.runtime.definitions import Definitions
from services.runtime.mongo import Database
from services.runtime.offsets import Offsets
from services.runtime.publish import Publisher, output_of, partition_of
from services.runtime.settings import Settings
from services.runtime.turn import Message

KINDS = ("computed_trait", "trait", "rebuild")
_LOOK_SECONDS = 0.5
_SOON_SECONDS = 0.05
_COUNTING = 0.05
"""The part of the time for which profiles may be counted: the server has them to write."""


class Far(Struct, frozen=True):
    """How far the rebuild of everything is."""

    partitions: int
    """That have taken up the request."""
    done: int
    of: int
    """Profiles."""
    over: bool


class Desk:
    """What an operator asks for, on the broker and the database of a running system."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._database = database
        self._profiles = ProfileStore(database)
        self._identities = IdentityStore(database)

    async def definitions(self) -> Definitions:
        """As they are now; raises ``KafkaError`` when no broker answers."""
        definitions = Definitions(self._settings, KINDS)
        await definitions.start()
        await definitions.stop()
        return definitions

    async def ask_for_all(self) -> int:
        """Ask for every profile; the generation that they will be of."""
        known = (await self.definitions()).current.get(EVERYTHING)
        now = datetime.now(UTC)
        generation = max(int(now.timestamp()), 0 if known is None else known.version + 1)
        _, name = EVERYTHING
        definition = Definition(
            kind="rebuild", name=name, version=generation, updated_at=now, body={}
        )
        await self._send(declared(definition))
        return generation

    async def follow(self, generation: int, seconds: float = _LOOK_SECONDS) -> AsyncIterator[Far]:
        """How far it is, every ``seconds``, until it is over.

        Profiles are counted less often where that takes long, and at the end.
        """
        count_again, coverage = 0.0, Coverage(0, 0)
        while True:
            every = await self._profiles.all_progress()
            reached = [one for one in every if one.generation >= generation]
            over = len(reached) == PROFILE_PARTITIONS and all(one.done for one in reached)
            started = monotonic()
            if over or started >= count_again:
                coverage = await self._profiles.coverage({one.fingerprint for one in reached})
                count_again = monotonic() + (monotonic() - started) / _COUNTING
            yield Far(len(reached), coverage.done, coverage.of, over)
            if over:
                return
            await asyncio.sleep(seconds)

    async def ask_for(self, profile_id: str) -> str | None:
        """Ask for one person, and wait; the id that they have now, or None: nobody, or nothing."""
        person = await self._identities.person(profile_id)
        if person is None:
            return None
        found = await self._identities.page(person.profile_ids, 1)
        if not found:
            return None
        said = msgspec.json.decode(found[0].body, type=Interaction)
        said = msgspec.structs.replace(said, profile_id=person.profile_id)
        message = Message(
            topic=INTERACTIONS.name,
            key=person.profile_id,
            value=msgspec.json.encode(said),
            type=RECORDED,
            id=said.interaction_id,
            time=said.at,
            extra=((MEANT_FOR, NAME.encode()),),
        )
        await self._send(message)
        await self._handled(person.profile_id)
        return person.profile_id

    async def _handled(self, profile_id: str) -> None:
        """Wait until build has taken all that lies on the profile's partition."""
        partition = partition_of(profile_id.encode(), PROFILE_PARTITIONS)
        place = TopicPartition(self._settings.topic(INTERACTIONS.name), partition)
        offsets = Offsets(self._settings, "rebuild")
        await offsets.start()
        try:
            end = (await offsets.end([place]))[place]
        finally:
            await offsets.stop()
        source = f"{self._settings.namespace}{NAME}/{INTERACTIONS.name}/{partition}"
        checkpoints, timers = self._database["checkpoints"], self._database["timers"]
        while True:
            known = await checkpoints.find_one({"_id": source}, {"offset": 1})
            left = await timers.find_one({"_id": f"{source}/{REBUILD}{profile_id}"}, {"_id": 1})
            if known is not None and known["offset"] >= end and left is None:
                return
            await asyncio.sleep(_SOON_SECONDS)

    async def _send(self, message: Message) -> None:
        publisher = Publisher(self._settings, "rebuild")
        await publisher.start()
        try:
            await publisher.publish([output_of(message, "/rebuild")])
        finally:
            await publisher.stop()

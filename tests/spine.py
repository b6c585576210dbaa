"""Resolve, build and the profile API on one real database, for tests that are no broker's."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import msgspec

from schemas.messages import Event, MessageChanged
from services.profile.build.handler import Build
from services.profile.build.rules.consent import Policy
from services.profile.build.store import HistoryStore, ProfileStore
from services.profile.consent.store import ConsentStore
from services.profile.resolve.handler import ResolveHandler
from services.profile.resolve.store import IdentityStore
from services.profile.settings import ProfileSettings
from services.runtime.keys import digest
from services.runtime.mongo import connect, transaction
from services.runtime.publish import output_of
from services.runtime.turn import Message, Record, Source, Turn
from tests.people import at


def settings_of(stack: Any) -> ProfileSettings:
    """Of a namespace of its own, with a token for each role: its name."""
    tokens = {digest(role): role for role in ("reader", "marketer", "support", "admin")}
    return ProfileSettings(
        mongo_url=stack.mongo_url,
        kafka_url=stack.kafka_url,
        namespace=f"t{uuid4().hex[:8]}.",
        tokens=tokens,
    )


class Sent(list[Message]):
    """A publisher that only remembers."""

    fails = False

    async def send(self, message: Message) -> None:
        if self.fails:
            raise TimeoutError
        self.append(message)


@asynccontextmanager
async def opened(settings: ProfileSettings) -> AsyncIterator["Spine"]:
    """A spine with its collections; afterwards its database is gone."""
    spine = Spine(settings)
    await spine.prepare()
    yield spine
    await spine.client.drop_database(spine.database.name)
    spine.client.close()


class Spine:
    """Resolve and build on one database; what they publish goes from one to the other."""

    def __init__(self, settings: ProfileSettings) -> None:
        self.client = connect(settings)
        self.database = self.client[settings.database("profile")]
        self.identities, self.profiles = IdentityStore(self.database), ProfileStore(self.database)
        history = HistoryStore(self.database, self.identities, "profile-resolve")
        self.resolve = ResolveHandler(self.identities)
        policy = Policy.of(settings.profile_confirmed_consent)
        base = settings.base_currency
        self.build = Build(self.profiles, history, self, policy=policy, base_currency=base)
        self.current: dict[Any, Any] = {}
        self.revision = 0
        self.seq = 0
        self.told: list[Message] = []
        """What was published for others."""

    async def prepare(self) -> None:
        await self.identities.prepare()
        await self.profiles.prepare()
        await ConsentStore(self.database).prepare()
        await self.database.create_collection("checkpoints")

    async def happened(self, *events: Event | MessageChanged) -> None:
        """Each event or step of a message in a turn of its own, until nothing is left."""
        for event in events:
            topic = "events.clicks" if isinstance(event, Event) else "message.changes"
            await self._through(topic, msgspec.json.encode(event))

    async def send(self, message: Message) -> None:
        """What the API publishes goes to resolve, and on."""
        assert message.value is not None
        await self._through(message.topic, message.value)

    async def _through(self, topic: str, body: bytes) -> None:
        messages = await self._turn(self.resolve, self._record(topic, b"k", body, []))
        while messages:
            message = messages.pop(0)
            output = output_of(message, "/test")
            if output.topic == "profile.interactions":
                record = self._record(output.topic, output.key, output.value, output.headers)
                messages += await self._turn(self.build, record)
            else:
                self.told.append(message)

    def _record(self, topic: str, key: Any, value: Any, headers: Any) -> Record:
        return Record(Source(f"x/{topic}/0", topic, 0), 0, key, value, dict(headers))

    async def _turn(self, handler: Any, record: Record) -> list[Message]:
        async with await self.client.start_session() as session, transaction(session):
            turn = Turn(now=datetime.now(UTC), session=session, records=[record])
            await handler.handle(turn)
            await turn.written()
        await handler.committed(turn)
        assert turn.rejected == []
        return [message for _, message in turn.messages]


def event(message_id: str, seconds: float, type: str = "track", **fields: Any) -> Event:
    return Event(
        message_id=message_id, type=type, timestamp=at(seconds), received_at=at(seconds), **fields
    )

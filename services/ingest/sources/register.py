"""Sources as the API changes them: stored first, then published, then flagged.

A crash in between leaves a source unflagged, and it is published again; readers ignore a
version that they have. The store is asked only here: events are taken without it.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Protocol, TypeAlias

import msgspec
import structlog
from aiokafka.errors import KafkaError
from msgspec import Struct
from msgspec.structs import replace

from schemas.messages import Definition
from schemas.topics import DEFINITIONS
from schemas.validation import Fault
from services.ingest.rules import milliseconds
from services.ingest.sources.directory import KIND
from services.ingest.sources.model import Source
from services.runtime.mongo import PyMongoError
from services.runtime.turn import Message

log = structlog.get_logger()

_TRIES = 5
_PATIENCE_SECONDS = 8.0
_REPEAT_SECONDS = 15.0
_encoder = msgspec.json.Encoder()

Change: TypeAlias = Callable[[Source | None], Source | Fault | None]
"""From the source as it stands (None: there is none) to what it shall be (None: deleted)."""


class Stored(Struct, frozen=True, kw_only=True):
    """A source as it is stored. A deleted one is kept, so that versions go on rising."""

    name: str
    version: int
    at: datetime
    """When it was last changed."""
    source: Source | None
    published: bool = False


class Busy(Exception):
    """Others keep changing the same source."""


class Shelf(Protocol):
    """What is needed of the store."""

    async def get(self, name: str) -> Stored | None: ...

    async def put(self, stored: Stored) -> bool:
        """Store it; False when a version before its own is not the one that is there."""

    async def unpublished(self) -> list[Stored]: ...

    async def published(self, stored: Stored) -> None: ...


class Sender(Protocol):
    """What is needed of ``services.runtime.publish.Publisher``."""

    async def send(self, message: Message) -> None: ...


class Register:
    """Changes sources."""

    def __init__(self, shelf: Shelf, sender: Sender, clock: Callable[[], datetime]) -> None:
        self._shelf = shelf
        self._sender = sender
        self._clock = clock

    async def change(self, name: str, change: Change) -> Stored | Fault | None:
        """The source as it now stands; the fault that ``change`` found; None: there is none.

        What changes nothing makes no new version. ``published`` says whether every process
        is being told; if not, they will be when Kafka is back. Raises ``Busy``.
        """
        for _ in range(_TRIES):
            before = await self._shelf.get(name)
            source = None if before is None else before.source
            after = change(source)
            if isinstance(after, Fault):
                return after
            if before is not None and after == source:
                return await self._told(before)
            if after is None and before is None:
                return None
            version = 1 if before is None else before.version + 1
            at = milliseconds(self._clock())  # what MongoDB keeps of a time
            stored = Stored(name=name, version=version, at=at, source=after)
            if await self._shelf.put(stored):
                return await self._told(stored)
        raise Busy

    async def keep_telling(self) -> None:
        """Publish what could not be published when it was stored. Runs until cancelled."""
        while True:
            try:
                for stored in await self._shelf.unpublished():
                    await self._told(stored)
            except PyMongoError as error:
                log.warning("sources not read", error=type(error).__name__)
            await asyncio.sleep(_REPEAT_SECONDS)

    async def _told(self, stored: Stored) -> Stored:
        if stored.published:
            return stored
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await self._publish(stored)
        except (KafkaError, OSError) as error:  # a timeout is an OSError
            log.warning("source not published yet", error=type(error).__name__)
            return stored
        return replace(stored, published=True)

    async def _publish(self, stored: Stored) -> None:
        latest: Stored | None = stored
        while latest is not None:
            stored = latest
            await self._sender.send(_message(stored))
            await self._shelf.published(stored)
            # A newer one may have been published before ours, and the topic keeps the last.
            latest = await self._shelf.get(stored.name)
            if latest is not None and latest.version <= stored.version:
                latest = None


def _message(stored: Stored) -> Message:
    value = None
    if stored.source is not None:
        definition = Definition(
            kind=KIND,
            name=stored.name,
            version=stored.version,
            updated_at=stored.at,
            body=msgspec.to_builtins(stored.source),
        )
        value = _encoder.encode(definition)
    return Message(
        topic=DEFINITIONS.name,
        key=f"{KIND}/{stored.name}",
        value=value,
        type="regulars.definition.changed.v1",
        id=f"{KIND}/{stored.name}/{stored.version}",
        time=stored.at,
    )

"""Definitions as the API changes them: stored first, then published, then flagged.

A crash in between leaves one unflagged, and it is published again; readers ignore a version
that they have. The store is asked only here: events are taken without it.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Generic, Literal, Protocol, TypeVar

import msgspec
import structlog
from aiokafka.errors import KafkaError
from msgspec import Struct
from msgspec.structs import replace

from schemas.messages import Definition
from schemas.validation import Fault
from services.ingest.rules import milliseconds
from services.runtime.declaring import declared
from services.runtime.mongo import PyMongoError
from services.runtime.turn import Message

log = structlog.get_logger()

_TRIES = 5
_PATIENCE_SECONDS = 8.0
_REPEAT_SECONDS = 15.0

Kind = Literal["source", "tracking_plan"]
T = TypeVar("T", bound=Struct)


class Stored(Struct, Generic[T], frozen=True, kw_only=True):
    """A definition as it is stored. A deleted one is kept, so that versions go on rising."""

    name: str
    version: int
    at: datetime
    """When it was last changed."""
    body: T | None
    former: T | None = None
    """Of a deleted one, what is still told of it."""
    published: bool = False


class Busy(Exception):
    """Others keep changing the same definition."""


class Shelf(Protocol[T]):
    """What is needed of the store."""

    async def get(self, name: str) -> Stored[T] | None: ...

    async def put(self, stored: Stored[T]) -> bool:
        """Store it; False when a version before its own is not the one that is there."""

    async def unpublished(self) -> list[Stored[T]]: ...

    async def published(self, stored: Stored[T]) -> None: ...


class Sender(Protocol):
    """What is needed of ``services.runtime.publish.Publisher``."""

    async def send(self, message: Message) -> None: ...


class Register(Generic[T]):
    """Changes the definitions of one kind."""

    def __init__(
        self,
        kind: Kind,
        shelf: Shelf[T],
        sender: Sender,
        clock: Callable[[], datetime],
        *,
        remains: Callable[[T], T | None] = lambda body: None,
    ) -> None:
        """``remains``: what is still told of a deleted one; None: that there is none."""
        self._remains = remains
        self._kind = kind
        self._shelf = shelf
        self._sender = sender
        self._clock = clock

    async def change(
        self, name: str, change: Callable[[T | None], T | Fault | None]
    ) -> Stored[T] | Fault | None:
        """The definition as it now stands; the fault that ``change`` found; None: there is none.

        ``change`` is given what stands (None: nothing), and says what shall (None: deleted).
        What changes nothing makes no new version. ``published`` says whether every process
        is being told; if not, they will be when Kafka is back. Raises ``Busy``.
        """
        for _ in range(_TRIES):
            before = await self._shelf.get(name)
            body = None if before is None else before.body
            after = change(body)
            if isinstance(after, Fault):
                return after
            if before is not None and after == body:
                return await self._told(before)
            if after is None and before is None:
                return None
            version = 1 if before is None else before.version + 1
            at = milliseconds(self._clock())  # what MongoDB keeps of a time
            former = self._remains(body) if after is None and body is not None else None
            stored = Stored[T](name=name, version=version, at=at, body=after, former=former)
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
                log.warning("definitions not read", error=type(error).__name__)
            await asyncio.sleep(_REPEAT_SECONDS)

    async def _told(self, stored: Stored[T]) -> Stored[T]:
        if stored.published:
            return stored
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await self._publish(stored)
        except (KafkaError, OSError) as error:  # a timeout is an OSError
            log.warning("definition not published yet", error=type(error).__name__)
            return stored
        return replace(stored, published=True)

    async def _publish(self, stored: Stored[T]) -> None:
        latest: Stored[T] | None = stored
        while latest is not None:
            stored = latest
            await self._sender.send(self._message(stored))
            await self._shelf.published(stored)
            # A newer one may have been published before ours, and the topic keeps the last.
            latest = await self._shelf.get(stored.name)
            if latest is not None and latest.version <= stored.version:
                latest = None

    def _message(self, stored: Stored[T]) -> Message:
        body = stored.body or stored.former
        definition = Definition(
            kind=self._kind,
            name=stored.name,
            version=stored.version,
            updated_at=stored.at,
            body={} if body is None else msgspec.to_builtins(body),
        )
        return declared(definition, gone=body is None)

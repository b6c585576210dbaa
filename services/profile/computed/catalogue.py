"""Declared traits: stored first, then told to every worker."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

import structlog
from aiokafka.errors import KafkaError
from pydantic import BaseModel

from schemas.messages import Definition
from services.profile.computed.store import DefinitionStore, Stored
from services.runtime.declaring import declared
from services.runtime.mongo import PyMongoError
from services.runtime.turn import Message

log = structlog.get_logger()

_PATIENCE_SECONDS = 8.0
_REPEAT_SECONDS = 15.0


class Sender(Protocol):
    """``services.runtime.publish.Publisher``."""

    async def send(self, message: Message) -> None:
        """Publish; returns when it is acknowledged."""


class Catalogue:
    """The definitions of one kind, in the database and on ``control.definitions``."""

    def __init__(
        self,
        store: DefinitionStore,
        sender: Sender,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.store = store
        self._sender = sender
        self._clock = clock

    async def put(self, key: str, body: BaseModel) -> tuple[Definition, bool]:
        """Store and publish; (the definition, whether it could be published by now)."""
        stored = await self.store.put(key, body.model_dump(exclude_defaults=True), self._clock())
        return stored.definition, await self.tell(stored)

    async def delete(self, key: str) -> bool | None:
        """Delete and publish; whether it could be published by now. None: there is none."""
        stored = await self.store.delete(key, self._clock())
        return None if stored is None else await self.tell(stored)

    async def tell(self, stored: Stored) -> bool:
        """Publish what is stored; False if Kafka does not take it now: it is told again later."""
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await self._tell(stored)
        except (KafkaError, TimeoutError):
            return False
        return True

    async def keep_telling(self) -> None:
        """Publish what could not be published when it was stored. Runs until cancelled."""
        while True:
            try:
                await self.tell_unpublished()
            except (KafkaError, PyMongoError) as error:
                log.warning("definitions not published", error=type(error).__name__)
            await asyncio.sleep(_REPEAT_SECONDS)

    async def tell_unpublished(self) -> None:
        """Publish what is not marked as published."""
        for stored in await self.store.unpublished():
            await self._tell(stored)

    async def _tell(self, stored: Stored) -> None:
        await self._send(stored)
        latest = await self.store.latest(stored.definition.name)
        if latest is not None and latest.definition.version > stored.definition.version:
            # It may have been published before ours, and the topic keeps the last.
            await self._tell(latest)
        else:
            await self.store.published(stored.definition)

    async def _send(self, stored: Stored) -> None:
        await self._sender.send(declared(stored.definition, gone=stored.deleted))

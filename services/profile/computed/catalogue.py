"""Declared traits: stored first, then told to every worker."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

import msgspec
import structlog
from aiokafka.errors import KafkaError
from pydantic import BaseModel

from schemas.messages import Definition
from services.profile.computed.store import DefinitionStore
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
        now = self._clock()
        definition = await self.store.put(key, body.model_dump(exclude_defaults=True), now)
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await self._tell(definition)
        except (KafkaError, TimeoutError):
            return definition, False
        return definition, True

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
        for definition in await self.store.unpublished():
            await self._tell(definition)

    async def _tell(self, definition: Definition) -> None:
        await self._send(definition)
        latest = await self.store.get(definition.name)
        if latest is not None and latest.version > definition.version:
            # It may have been published before ours, and the topic keeps the last.
            await self._tell(latest)
        else:
            await self.store.published(definition)

    async def _send(self, definition: Definition) -> None:
        name = f"{definition.kind}/{definition.name}"
        await self._sender.send(
            Message(
                topic="control.definitions",
                key=name,
                value=msgspec.json.encode(definition),
                type="regulars.definition.changed.v1",
                id=f"{name}/{definition.version}",
                time=definition.updated_at,
            )
        )

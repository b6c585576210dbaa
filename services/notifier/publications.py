"""What the API tells Kafka: stored first, then published, and tried again until it is."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Protocol

import msgspec
import structlog
from aiokafka.errors import KafkaError

from schemas.messages import ConsentRequested, Definition, MessageChanged
from schemas.topics import CONSENT_REQUESTS
from services.notifier import confirmation
from services.notifier.announce import message_of
from services.notifier.model import CampaignDocument, Confirmed, Entry
from services.notifier.records import Records
from services.runtime.declaring import declared
from services.runtime.mongo import PyMongoError
from services.runtime.turn import Message

log = structlog.get_logger()

_PATIENCE_SECONDS = 8.0
_REPEAT_SECONDS = 15.0
_encoder = msgspec.json.Encoder()


class Untold(Exception):
    """Kafka did not acknowledge; what was to be said is stored and will be tried again."""


class Publishing(Protocol):
    """``services.runtime.publish.Publisher``."""

    async def send(self, message: Message) -> None:
        """Publish; returns when it is acknowledged."""


class Publications:
    """Publishes campaigns, unsubscribes, confirmations; remembers in ``Records`` that it did."""

    def __init__(self, records: Records, publisher: Publishing) -> None:
        self._records = records
        self._publisher = publisher

    async def campaign(self, document: CampaignDocument) -> None:
        """Publish this version, or its deletion; raises ``Untold``."""
        await self._send(_definition(document))
        await self._records.published(document.key, document.version)

    async def unsubscribed(self, entry: Entry, at: datetime) -> None:
        """Publish that the reader of this message unsubscribed; raises ``Untold``.

        The change id is always the same, so saying it twice counts once.
        """
        change = MessageChanged(
            change_id=f"{entry.message_id}/unsubscribed",
            message_id=entry.message_id,
            profile_id=entry.profile_id,
            campaign=entry.campaign,
            campaign_version=entry.campaign_version,
            state="unsubscribed",
            at=at,
            step=entry.step,
            occurrence=entry.occurrence,
            channel=entry.channel,
            reason="one_click",
        )
        await self._send(message_of(change))
        await self._records.unsubscribe_told(entry.message_id)

    async def confirmed(self, confirmed: Confirmed) -> None:
        """Publish that the reader of this message confirmed; raises ``Untold``."""
        change = confirmation.confirmed(confirmed.entry, confirmed.at, confirmed.ip)
        await self._send(message_of(change))
        await self._records.confirm_told(confirmed.entry.message_id)

    async def asked(self, request: ConsentRequested) -> None:
        """Have somebody asked once more; raises ``Untold``, and then nobody is."""
        await self._send(
            Message(
                topic=CONSENT_REQUESTS.name,
                key=request.profile_id,
                value=_encoder.encode(request),
                type="regulars.consent.requested.v1",
                id="/".join(
                    (request.statement_id, request.channel, request.purpose, request.again)
                ),
                time=request.asked_at or request.statement_at,
            )
        )

    async def keep_telling(self) -> None:
        """Publish what could not be published when it was stored. Runs until cancelled."""
        while True:
            await self._tried(self._tell_campaigns)
            await self._tried(self._tell_unsubscribes)
            await self._tried(self._tell_confirmations)
            await asyncio.sleep(_REPEAT_SECONDS)

    async def _tell_campaigns(self) -> None:
        for document in await self._records.unpublished():
            await self.campaign(document)

    async def _tell_unsubscribes(self) -> None:
        for entry, at in await self._records.untold_unsubscribes():
            await self.unsubscribed(entry, at)

    async def _tell_confirmations(self) -> None:
        for confirmed in await self._records.untold_confirmations():
            await self.confirmed(confirmed)

    async def _tried(self, tell: Callable[[], Awaitable[None]]) -> None:
        try:
            await tell()
        except (Untold, PyMongoError) as error:
            log.warning("not published yet", error=type(error).__name__)

    async def _send(self, message: Message) -> None:
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await self._publisher.send(message)
        except (KafkaError, OSError, TimeoutError) as error:
            raise Untold from error


def _definition(document: CampaignDocument) -> Message:
    definition = Definition(
        kind="campaign",
        name=document.key,
        version=document.version,
        updated_at=document.updated_at,
        body=document.body or {},
    )
    return declared(definition, gone=document.body is None)

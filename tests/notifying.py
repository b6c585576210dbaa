"""What the notifier's tests share: a campaign, people, records, and a profile API."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from aiohttp import web

from schemas.messages import Consent, Definition, Identifier, SegmentChanged
from services.notifier.model import Campaign, Entry, Live, Recipient
from services.notifier.rules import decide
from services.runtime.turn import Record, Source

NOW = datetime(2036, 5, 4, 12, 0, tzinfo=UTC)
SOURCE = "notifier/segment.changes/0"
BODY: Mapping[str, Any] = {
    "name": "Cart left behind",
    "trigger": {"segment": "cart-left"},
    "from": "Shop <hello@shop.example>",
    "subject": "Hello {{ traits.firstName }}",
    "text": "Come back. {{ unsubscribe_url }}",
}


def live(key: str = "cart", version: int = 1, **fields: Any) -> Live:
    """A campaign as the workers know it; ``fields`` as in a definition's body."""
    return Live(key, version, msgspec.convert({**BODY, **fields}, Campaign))


class FakeDefinitions:
    """Definitions that a test puts itself."""

    def __init__(self) -> None:
        self.current: dict[tuple[str, str], Definition] = {}
        self.revision = 0

    def put(self, key: str = "cart", version: int = 1, **fields: Any) -> None:
        self.current["campaign", key] = Definition(
            kind="campaign", name=key, version=version, updated_at=NOW, body={**BODY, **fields}
        )
        self.revision += 1

    def delete(self, key: str) -> None:
        del self.current["campaign", key]
        self.revision += 1


def changed(profile_id: str = "p1", change: str = "entered", **fields: Any) -> SegmentChanged:
    """A person enters or leaves ``cart-left`` now."""
    return msgspec.convert(
        {
            "profile_id": profile_id,
            "segment": "cart-left",
            "definition_version": 1,
            "change": change,
            "occurrence": 1,
            "at": NOW,
            "decided_at": NOW,
            "profile_version": 1,
            **fields,
        },
        SegmentChanged,
    )


def record(source: Source, change: SegmentChanged) -> Record:
    """``change`` as it lies on segment.changes."""
    return Record(source, 0, change.profile_id.encode(), msgspec.json.encode(change), {})


def email_event(
    source: Source, name: str, message_id: str, at: datetime, /, **properties: Any
) -> Record:
    """What a provider reports about a mail, as it lies on events.emails."""
    event = {
        "messageId": f"{message_id}-{name}",
        "type": "track",
        "event": name,
        "timestamp": at,
        "receivedAt": at,
        "properties": {"email_id": message_id, **properties},
    }
    return Record(source, 0, b"k", msgspec.json.encode(event), {})


def entry(profile_id: str = "p1", **fields: Any) -> Entry:
    """A decision taken now."""
    made = decide(live(), changed(profile_id), SOURCE, NOW)
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def recipient(
    profile_id: str = "p1",
    consent: str | None = "granted",
    at: datetime = NOW - timedelta(days=1),
    **fields: Any,
) -> Recipient:
    """A person who has an address, and agreed a day ago unless said otherwise."""
    said = {}
    if consent is not None:
        said["email"] = msgspec.convert(
            {"state": consent, "at": at, "message_id": "c1"}, type=Consent
        )
    traits = {"firstName": "Ada", "email": "ada@example.com"}
    return Recipient(**{"profile_id": profile_id, "traits": traits, "consent": said, **fields})


def email(value: str) -> Identifier:
    """An email identifier."""
    return Identifier("email", value)


class ProfileApi:
    """Answers ``POST /v1/profiles/batch`` with what a test put."""

    def __init__(self) -> None:
        self.people = dict[str, Any]()
        self.status = 200
        self.tokens: list[str | None] = []
        self.asked: list[list[str]] = []
        self.answering = asyncio.Event()
        """Cleared: questions arrive, and answers wait."""
        self.answering.set()

    async def start(self) -> str:
        """Serve on a free port; the base address."""
        app = web.Application()
        app.router.add_post("/v1/profiles/batch", self._answer)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        self.tokens.append(request.headers.get("Authorization"))
        ids = msgspec.json.decode(await request.read())["profile_ids"]
        self.asked.append(ids)
        people = {id_: self.people[id_] for id_ in ids if id_ in self.people}
        await self.answering.wait()
        if self.status != 200:
            return web.Response(status=self.status)
        body = msgspec.json.encode({"profiles": people})
        return web.Response(body=body, content_type="application/json")

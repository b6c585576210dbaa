"""Providers that post to ingest in this process, with a list in Kafka's place."""

import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import msgspec
from cryptography.fernet import Fernet
from fastapi import FastAPI
from pydantic import SecretStr

from schemas.messages import Event, Interaction, Order
from schemas.topics import PRIVACY_REQUESTS
from services.ingest.handler import Ingest, Unavailable
from services.ingest.hooks import preview
from services.ingest.hooks.event import encode, fitted
from services.ingest.hooks.model import MAX_MAIL, Delivery, Hook, Translated
from services.ingest.hooks.registry import BY_KIND
from services.ingest.hooks.routes import Doorman, router
from services.ingest.model import Accepted, Receipt, Shared
from services.ingest.rules import accept
from services.ingest.settings import IngestSettings
from services.ingest.sources.model import Source
from services.ingest.sources.office import Office
from services.ingest.sources.seals import Seals
from services.profile.build.model import State
from services.profile.build.rules.computed import Traits
from services.profile.build.rules.fold import fold
from services.profile.build.rules.orders import orders_of
from services.profile.resolve.rules.identifiers import link_of
from services.profile.resolve.rules.interactions import draft
from services.runtime.http import create_api
from services.runtime.keys import digest
from tests.ingesting import Kept, Published

NOW = datetime(2026, 4, 1, 12, 0, tzinfo=UTC)
SECRET_KEY = Fernet.generate_key().decode()
SEALS = Seals([SECRET_KEY])
ROLES = {digest(role): role for role in ("reader", "support")}
"""Each role's token is its name."""


def now() -> datetime:
    return NOW


class Tray:
    """Takes records of any source until told that it cannot."""

    def __init__(self) -> None:
        self.records: list[Accepted] = []
        self.trouble: str | None = None

    async def deliver(self, events: Sequence[Accepted], source: str) -> None:
        if self.trouble is not None:
            raise Unavailable(self.trouble)
        self.records.extend(events)

    @property
    def events(self) -> list[dict[str, Any]]:
        return [read(one) for one in self.records if one.topic != PRIVACY_REQUESTS.name]

    @property
    def requests(self) -> list[dict[str, Any]]:
        return [read(one) for one in self.records if one.topic == PRIVACY_REQUESTS.name]


def read(record: Accepted) -> dict[str, Any]:
    said: dict[str, Any] = msgspec.json.decode(record.value)
    return said


def source(
    kind: str, secrets: Mapping[str, Sequence[str]], options: Any = None, **more: Any
) -> Source:
    """A source, called ``shop`` unless it says else; of each secret the values, newest first."""
    sealed = {
        name: tuple(SEALS.seal(value, NOW) for value in values) for name, values in secrets.items()
    }
    said = {"name": "shop", "kind": kind, "secrets": sealed, "options": options or {}}
    return Source(**said | more)


def door(
    tray: Tray,
    *sources: Source,
    hooks: Mapping[str, Hook] = BY_KIND,
    clock: Callable[[], datetime] = now,
) -> FastAPI:
    """An API of the routes for webhooks alone."""
    published = Published()
    for one in sources:
        published.put(one)
    settings = IngestSettings(secret_keys=[SecretStr(SECRET_KEY)], tokens=ROLES)
    office = Office(settings, clock, published)
    ingest = Ingest(tray, office.turnstile, clock, lambda: "made-up", refusals=Kept())
    app = create_api(name="ingest", summary="", settings=settings, lifespan=None, max_body=MAX_MAIL)
    doorman = Doorman(ingest, office, hooks)
    app.include_router(router(doorman))
    app.include_router(preview.router(doorman))
    return app


@asynccontextmanager
async def doorway(tray: Tray, *sources: Source, **more: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A client of such an API of its own."""
    async with calling(door(tray, *sources, **more)) as client:
        yield client


@asynccontextmanager
async def calling(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an API."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=True)
    async with httpx.AsyncClient(transport=transport, base_url="http://ingest") as client:
        yield client


def delivery(body: bytes, **headers: str) -> Delivery:
    """A call with these headers, ``_`` for dash in their names."""
    return Delivery(
        source="shop",
        method="POST",
        url="http://ingest/v1/hooks/shop",
        headers={name.replace("_", "-").lower(): value for name, value in headers.items()},
        query={},
        body=body,
        received_at=NOW,
    )


def examples(folder: str) -> list[Path]:
    """Deliveries of a provider, each with what it becomes."""
    return sorted((Path(__file__).parent / "hooks" / folder).glob("*.json"))


def example(path: Path) -> tuple[Delivery, dict[str, Any], dict[str, Any]]:
    """(the delivery, the source's options, what it becomes) of an example."""
    said = json.loads(path.read_text())
    text = said["body"] if isinstance(said["body"], str) else json.dumps(said["body"])
    return (
        delivery(text.encode(), **said["headers"]),
        said.get("options", {}),
        {"events": [], "ignored": [], "requests": []} | said["becomes"],
    )


def changed(folder: str, name: str, **changes: Any) -> Delivery:
    """An example's delivery, its body changed at the top."""
    found, _, _ = example(next(path for path in examples(folder) if path.stem == name))
    body = json.loads(found.body) | changes
    return msgspec.structs.replace(found, body=json.dumps(body).encode())


def translation(hook: Hook, said: Delivery, options: Any) -> Translated:
    """What a hook makes of a delivery; fails where it cannot read it."""
    translated = hook.translate(said, options)
    assert isinstance(translated, Translated), translated
    return translated


def builtins(translated: Any) -> Any:
    """What a translation says, as JSON says it."""
    return json.loads(msgspec.json.Encoder(decimal_format="number").encode(translated))


def taken(said: Translated, source: str = "shop") -> list[bytes]:
    """Its events as ingest sends them on; fails for one that is refused."""
    receipt = Receipt(source, NOW, lambda: "made-up")
    found = []
    for one in said.events:
        outcome = accept(encode(fitted(one)), None, Shared(), receipt)
        assert isinstance(outcome, Accepted), outcome
        found.append(outcome.value)
    return found


def accepted(said: Translated, source: str = "shop") -> list[Interaction]:
    """The same as resolve passes them on."""
    found = []
    for value in taken(said, source):
        event = msgspec.json.decode(value, type=Event)
        link = link_of(event)
        assert link is not None
        found.append(draft(event, value, link))
    return found


def orders_after(translations: Iterable[Translated]) -> list[Order]:
    """The orders that build keeps of one person, each messageId once as resolve lets it."""
    state, seen = State(), set[str]()
    for translated in translations:
        for interaction in accepted(translated):
            if interaction.interaction_id not in seen:
                seen.add(interaction.interaction_id)
                fold(state, interaction, Traits({}), set())
    return orders_of(state)

"""Computed traits as people declare them: stored first, then told to every worker.

Segmentation declares the ones that its rules need by itself, under keys that begin with
``ct_``; these routes are for traits that somebody wants to see on every profile.
"""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Protocol

import msgspec
import structlog
from aiokafka.errors import KafkaError
from fastapi import APIRouter, Path, Request

from schemas.messages import Definition
from services.profile.answers import ComputedTraitBody, ComputedTraitDefinition, PropertyCondition
from services.profile.build.store import DefinitionStore
from services.runtime.http import Page, Problem, require
from services.runtime.mongo import PyMongoError
from services.runtime.turn import Message

log = structlog.get_logger()

_PATIENCE_SECONDS = 8.0
_REPEAT_SECONDS = 15.0
_LARGEST = 10**12

Key = Annotated[str, Path(pattern="^[a-z0-9][a-z0-9_-]{0,63}$", examples=["orders_30d"])]


class Sender(Protocol):
    """``services.runtime.publish.Publisher``."""

    async def send(self, message: Message) -> None:
        """Publish; returns when it is acknowledged."""


class Catalogue:
    """The declared computed traits, in the database and on ``control.definitions``."""

    def __init__(
        self,
        store: DefinitionStore,
        sender: Sender,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.store = store
        self._sender = sender
        self._clock = clock

    async def put(self, key: str, body: ComputedTraitBody) -> tuple[Definition, bool]:
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


def routes() -> APIRouter:
    """GET for every role, PUT for marketers."""
    router = APIRouter(prefix="/v1/computed-traits", tags=["computed traits"])

    @router.get("", summary="Every declared computed trait", dependencies=[require("reader")])
    async def list_traits(request: Request) -> Page[ComputedTraitDefinition]:
        store = _store(request)
        waiting = {one.name: one.version for one in await store.unpublished()}
        return Page(
            items=[
                _answer(definition, definition.name not in waiting)
                for definition in await store.all()
            ]
        )

    @router.get("/{key}", summary="One computed trait", dependencies=[require("reader")])
    async def show_trait(request: Request, key: Key) -> ComputedTraitDefinition:
        definition = await _store(request).get(key)
        if definition is None:
            raise Problem(404, "Not Found", "There is no computed trait with this key.")
        waiting = {one.name for one in await _store(request).unpublished()}
        return _answer(definition, key not in waiting)

    @router.put("/{key}", summary="Declare it", dependencies=[require("marketer")])
    async def put_trait(
        request: Request, key: Key, body: ComputedTraitBody
    ) -> ComputedTraitDefinition:
        """Profiles get it one by one, those that something happens to at once.

        The same definition again changes nothing. With `published` false it is stored and
        will be told to the workers once Kafka can be reached.
        """
        if key.startswith("ct_"):
            raise Problem(409, "Reserved", "Keys that begin with ct_ belong to segments.")
        _check(body)
        catalogue: Catalogue = request.app.state.catalogue
        return _answer(*await catalogue.put(key, body))

    return router


def _store(request: Request) -> DefinitionStore:
    catalogue: Catalogue = request.app.state.catalogue
    return catalogue.store


def _check(body: ComputedTraitBody) -> None:
    if body.aggregate == "sum" and body.property is None:
        raise _unfit("property", "A sum needs the property that is to be summed.")
    if body.aggregate == "count" and body.property is not None:
        raise _unfit("property", "A count sums no property; put it into `where` to filter.")
    for number, condition in enumerate(body.where):
        reason = _misfit(condition)
        if reason:
            raise _unfit(f"where.{number}.value", reason)


def _misfit(condition: PropertyCondition) -> str:
    value = condition.value
    numeric = isinstance(value, (int, float)) and not isinstance(value, bool)
    if isinstance(value, (int, float)) and not abs(value) < _LARGEST:  # NaN is not less either
        return "No number as large as that is ever found in an event."
    if condition.op in ("gt", "gte", "lt", "lte") and not numeric:
        return "A number is needed to compare with."
    if condition.op == "contains" and not isinstance(value, str):
        return "A text is needed to look for."
    if condition.op in ("equals", "not_equals") and value is None:
        return "A value is needed; use `exists` to ask for any."
    return ""


def _unfit(at: str, detail: str) -> Problem:
    errors = [{"at": f"body.{at}", "detail": detail, "code": "unfit"}]
    return Problem(422, "Unprocessable Content", detail, extra={"errors": errors})


def _answer(definition: Definition, published: bool) -> ComputedTraitDefinition:
    return ComputedTraitDefinition(
        key=definition.name,
        version=definition.version,
        updated_at=definition.updated_at,
        published=published,
        definition=ComputedTraitBody.model_validate(definition.body),
    )

"""Definitions as the API changes them: stored first, then published, then flagged.

A crash in between leaves a definition unflagged, and the next start publishes it again;
readers ignore a version that they have. A segment is published after the computed traits
that it needs, so that profile begins to keep them first.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from schemas.messages import ComputedTrait, Definition
from services.runtime.declaring import declared
from services.runtime.turn import Message
from services.segmentation.model import Problem, Segment, instant, micros
from services.segmentation.rules.computed import body_of, traits_of
from services.segmentation.rules.dump import dump, encode
from services.segmentation.rules.parse import parse

_TRIES = 5


class Stored(Struct, frozen=True, kw_only=True):
    """A definition as it is stored. A deleted one is kept, so that versions go on rising."""

    key: str
    version: int
    body: bytes
    """Canonical JSON (``rules.dump``)."""
    at: int
    """When it was last changed."""
    published: bool = False
    deleted: bool = False

    def fields(self) -> dict[str, Any]:
        """The body for readers: ``{name, description, rule}``."""
        body: dict[str, Any] = msgspec.json.decode(self.body)
        return body

    def segment(self) -> Segment:
        """The checked definition."""
        segment = parse(self.fields())
        assert isinstance(segment, Segment)  # checked before it was stored
        return segment


class Busy(Exception):
    """Others keep changing the same definition."""


class Catalogue(Protocol):
    """What is needed of the store."""

    async def get(self, key: str) -> Stored | None: ...

    async def where(self, **wanted: bool) -> list[Stored]: ...

    async def put(self, stored: Stored) -> bool: ...

    async def published(self, stored: Stored) -> None: ...


class Sender(Protocol):
    """What is needed of ``services.runtime.publish.Publisher``."""

    async def send(self, message: Message) -> None: ...


class Definitions:
    """Changes definitions."""

    def __init__(self, catalogue: Catalogue, sender: Sender, clock: Callable[[], datetime]) -> None:
        self._catalogue = catalogue
        self._sender = sender
        self._clock = clock

    async def put(self, key: str, body: Any) -> tuple[Stored, bool] | list[Problem]:
        """The definition as it stands now, and whether it is new; or what is wrong with it.

        An identical one changes nothing. Raises ``Busy``.
        """
        segment = parse(body)
        if not isinstance(segment, Segment):
            return segment
        canonical = encode(dump(segment))
        for _ in range(_TRIES):
            before = await self._catalogue.get(key)
            if before is not None and not before.deleted and before.body == canonical:
                if not before.published:
                    await self._publish(before, before)
                return before, False
            stored = self._next(key, before, canonical)
            if await self._catalogue.put(stored):
                await self._publish(stored, before)
                return stored, before is None or before.deleted
        raise Busy

    async def delete(self, key: str) -> bool:
        """Delete a definition; False when there is none. Raises ``Busy``."""
        for _ in range(_TRIES):
            before = await self._catalogue.get(key)
            if before is None or before.deleted:
                if before is not None and not before.published:
                    await self._publish(before, before)
                return False
            stored = msgspec.structs.replace(self._next(key, before, before.body), deleted=True)
            if await self._catalogue.put(stored):
                await self._publish(stored, before)
                return True
        raise Busy

    async def republish(self) -> int:
        """Publish what a crash left unpublished; answers how many that were."""
        left = await self._catalogue.where(published=False)
        for stored in left:
            await self._publish(stored, stored)
        return len(left)

    def _next(self, key: str, before: Stored | None, body: bytes) -> Stored:
        version = 1 if before is None else before.version + 1
        return Stored(key=key, version=version, body=body, at=micros(self._clock()))

    async def _publish(self, stored: Stored, before: Stored | None) -> None:
        await self._publish_one(stored, before)
        latest = await self._catalogue.get(stored.key)
        while latest is not None and latest.version > stored.version:
            # The newer one may have been published before ours, and the topic keeps the last.
            stored = latest
            await self._publish_one(stored, None)
            latest = await self._catalogue.get(stored.key)

    async def _publish_one(self, stored: Stored, before: Stored | None) -> None:
        traits = traits_of(stored.segment().rule)
        if not stored.deleted:
            await self._declare(traits, stored)
        definition = Definition(
            kind="segment",
            name=stored.key,
            version=stored.version,
            updated_at=instant(stored.at),
            body=stored.fields(),
        )
        await self._send(definition, gone=stored.deleted)
        if before is not None:
            await self._retire({**traits, **traits_of(before.segment().rule)}, stored)
        await self._catalogue.published(stored)

    async def _declare(self, traits: dict[str, ComputedTrait], stored: Stored) -> None:
        for key, trait in sorted(traits.items()):
            await self._send(_trait_definition(key, trait, stored))

    async def _retire(self, candidates: dict[str, ComputedTrait], stored: Stored) -> None:
        """Withdraw the computed traits among ``candidates`` that no segment needs any more."""
        unused = candidates.keys() - await self._needed()
        for key in sorted(unused):
            await self._send(_trait_definition(key, candidates[key], stored), gone=True)
        # A segment that was stored since then may need one: it may have published first.
        wanted = unused & await self._needed() if unused else set()
        await self._declare({key: candidates[key] for key in wanted}, stored)

    async def _needed(self) -> set[str]:
        standing: Sequence[Stored] = await self._catalogue.where(deleted=False)
        return {key for one in standing for key in traits_of(one.segment().rule)}

    async def _send(self, definition: Definition, *, gone: bool = False) -> None:
        await self._sender.send(declared(definition, gone=gone, encode=encode))


def _trait_definition(key: str, trait: ComputedTrait, stored: Stored) -> Definition:
    # The key names the body, so there is never a second version.
    return Definition(
        kind="computed_trait",
        name=key,
        version=1,
        updated_at=instant(stored.at),
        body=body_of(trait),
    )

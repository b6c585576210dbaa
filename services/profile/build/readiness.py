"""Telling others that every profile has a computed trait: ``readiness`` on control.definitions.

Beside the stage of the worker that owns the first partition. It looks at what the sweeps of
all partitions have noted; telling it twice says nothing new.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Protocol

import msgspec
import structlog
from aiokafka.errors import KafkaError
from faust import Service
from msgspec import Struct

from schemas.messages import Definition
from schemas.topics import PROFILE_PARTITIONS
from services.profile.build.rules.computed import digest_of
from services.profile.build.rules.declared import computed_traits
from services.profile.build.sweep import Definitions, Progress, Sweep
from services.runtime import metrics
from services.runtime.declaring import declared
from services.runtime.mongo import PyMongoError
from services.runtime.turn import Message

log = structlog.get_logger()

_LOOK_SECONDS = 1.0
_LOOKS_AFTER = 10
"""After a change of definitions, which workers hear of at different times."""


class Ready(Struct, frozen=True):
    """Every profile has the computed trait ``key`` as ``digest`` says."""

    key: str
    digest: str
    at: datetime


class Store(Protocol):
    """What is kept of sweeps and readiness."""

    async def all_progress(self) -> list[Progress]:
        """How far each partition is."""

    async def ready(self) -> dict[str, Ready]:
        """The computed traits that are ready, by key."""

    async def mark_ready(self, ready: Ready) -> None:
        """Keep that a trait is ready."""

    async def forget_ready(self, key: str) -> None:
        """The trait is not defined any more."""


class Sender(Protocol):
    """``services.runtime.publish.Publisher``."""

    async def send(self, message: Message) -> None:
        """Publish; returns when it is acknowledged."""


class Readiness:
    """What was told of the definitions in force."""

    def __init__(
        self,
        store: Store,
        definitions: Definitions,
        sender: Sender,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._definitions = definitions
        self._sender = sender
        self._clock = clock
        self._told: dict[str, tuple[int, str]] = {}
        self._wanted: dict[str, tuple[int, str]] | None = None
        self._left = 0

    async def look(self) -> None:
        """Tell of what has become ready, and take back what is not defined any more."""
        current = {
            name: definition
            for (kind, name), definition in self._definitions.current.items()
            if kind == "computed_trait"
        }
        digests = {
            key: digest_of(trait) for key, trait in computed_traits(current.values()).items()
        }
        wanted = {key: (current[key].version, digest) for key, digest in digests.items()}
        if wanted != self._wanted:
            self._wanted, self._left = wanted, _LOOKS_AFTER
        if wanted != self._told or self._left:
            self._left = max(0, self._left - 1)
            known = await self._store.ready()
            for key in (self._told.keys() | known.keys()) - wanted.keys():
                await self._take_back(key)
            progress = await self._store.all_progress()
            if len(progress) == PROFILE_PARTITIONS:
                for key, said in wanted.items():
                    has_it = all(one.has.get(key) == said[1] for one in progress)
                    before = known.get(key)
                    if has_it and self._told.get(key) != said:
                        await self._tell(key, said, before)
                    elif not has_it and before is not None and before.digest == said[1]:
                        # It was withdrawn and declared again: some profiles have lost it.
                        await self._take_back(key)
        ready = sum(self._told.get(key) == said for key, said in wanted.items())
        metrics.COMPUTED_TRAITS.labels("ready").set(ready)
        metrics.COMPUTED_TRAITS.labels("computing").set(len(wanted) - ready)

    async def _tell(self, key: str, said: tuple[int, str], known: Ready | None) -> None:
        version, digest = said
        if known is None or known.digest != digest:
            known = Ready(key, digest, self._clock())
            await self._store.mark_ready(known)
        body = msgspec.to_builtins({"ready_since": known.at})
        definition = Definition(
            kind="readiness", name=key, version=version, updated_at=known.at, body=body
        )
        await self._sender.send(declared(definition))
        self._told[key] = said

    async def _take_back(self, key: str) -> None:
        now = self._clock()
        nothing = Definition(kind="readiness", name=key, version=0, updated_at=now, body={})
        await self._sender.send(declared(nothing, gone=True))
        await self._store.forget_ready(key)
        self._told.pop(key, None)


class Herald(Service):
    """Looks every second, in the worker that owns the first partition."""

    abstract = False

    def __init__(self, readiness: Readiness, sweep: Sweep, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._readiness = readiness
        self._sweep = sweep

    @Service.task
    async def _look(self) -> None:
        while not self.should_stop:
            if any(source.partition == 0 for source in self._sweep.owned.values()):
                try:
                    await self._readiness.look()
                except (KafkaError, PyMongoError, TimeoutError) as error:
                    log.warning("readiness not told", error=type(error).__name__)
            await self.sleep(_LOOK_SECONDS)

"""The traits that are defined, as every worker of build reads them."""

import asyncio
from time import monotonic

from aiokafka.errors import KafkaError

from services.profile.build.rules.computed import Traits
from services.profile.build.rules.declared import declared_traits
from services.runtime.definitions import Definitions
from services.runtime.http import Problem
from services.runtime.settings import Settings

_FRESH_SECONDS = 15.0
_PATIENCE_SECONDS = 8.0


class Declared:
    """Reads ``control.definitions`` when it is asked, and not again within 15 seconds."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = asyncio.Lock()
        self._known: tuple[float, Traits] | None = None

    async def __call__(self) -> Traits:
        """Raises a ``Problem`` (503) when no broker answers."""
        async with self._lock:
            if self._known is not None and monotonic() - self._known[0] < _FRESH_SECONDS:
                return self._known[1]
            try:
                async with asyncio.timeout(_PATIENCE_SECONDS):
                    traits = await self._read()
            except (KafkaError, TimeoutError):
                detail = "Which traits are defined cannot be read now. Try again in a minute."
                raise Problem(503, "Service Unavailable", detail) from None
            self._known = monotonic(), traits
            return traits

    async def _read(self) -> Traits:
        definitions = Definitions(self._settings, ("computed_trait", "trait"))
        await definitions.start()
        await definitions.stop()
        return declared_traits(definitions.current.values())

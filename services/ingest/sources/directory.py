"""Who sends? The sources that this process knows, by name and by write key.

It follows the published definitions, so that taking events needs no database, and looks
again only when these change or a key ends.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Literal, Protocol

import msgspec
import structlog

from schemas.messages import Definition
from services.ingest.sources.model import KeyHash, Source, by_hash
from services.ingest.sources.seals import Seals
from services.runtime.keys import digest

log = structlog.get_logger()

KIND: Literal["source"] = "source"


class Unknown(Exception):
    """The published sources have not been read yet: whose key it is cannot be told."""


class DefinitionsView(Protocol):
    """``services.runtime.definitions.Definitions``."""

    current: dict[tuple[str, str], Definition]
    revision: int


class Directory:
    """Static sources (``REGULARS_WRITE_KEYS``) and published ones.

    Where both have a name, the published one says what holds, and the static keys open it.
    """

    def __init__(
        self,
        static: Mapping[str, str],
        seals: Seals,
        clock: Callable[[], datetime],
        definitions: DefinitionsView | None = None,
    ) -> None:
        self._static = {key.lower(): name for key, name in static.items()}
        self._seals = seals
        self._clock = clock
        self._definitions = definitions
        self._read: int | None = None
        self._ends: datetime | None = None
        self._sources: Mapping[str, Source] = {}
        self._keys: Mapping[str, tuple[Source, KeyHash | None]] = {}
        self._generation = 0
        self._rebuild()

    def follow(self, definitions: DefinitionsView) -> None:
        """From now on these are the published ones."""
        self._definitions = definitions
        self._rebuild()

    @property
    def complete(self) -> bool:
        """Whether the published sources have been read."""
        return self._definitions is not None

    @property
    def generation(self) -> int:
        """Rises with all that changes an answer: what was cached before is stale."""
        definitions = self._definitions
        if (definitions is not None and definitions.revision != self._read) or (
            self._ends is not None and self._clock() >= self._ends
        ):
            self._rebuild()
        return self._generation

    def by_name(self, name: str) -> Source | None:
        """The source of that name, enabled or not."""
        _ = self.generation
        return self._sources.get(name)

    def by_key(self, write_key: str) -> Source | None:
        """The source that a key opens now, enabled or not; None when nobody's.

        Found by its hash, so that the time it takes tells nothing about a key. Raises
        ``Unknown`` for a key that only a source not read yet could have.
        """
        _ = self.generation
        found = self._keys.get(digest(write_key))
        if found is not None:
            return found[0]
        if not self.complete:
            raise Unknown
        return None

    def names(self) -> list[str]:
        """Every name, sorted."""
        _ = self.generation
        return sorted(self._sources)

    def static(self, name: str) -> bool:
        """Whether the settings give this source a key."""
        return name in self._static.values()

    def secrets(self, source: Source, name: str) -> Sequence[str]:
        """A secret's values that are good now, the newest first; empty when there is none."""
        sealed = source.secrets.get(name, ())
        values = self._seals.current(sealed, self._clock())
        if sealed and not values:
            log.error("no key of REGULARS_SECRET_KEYS opens a secret", source=source.name)
        return values

    def _rebuild(self) -> None:
        now = self._clock()
        definitions = self._definitions
        published = {} if definitions is None else _published(definitions)
        self._read = None if definitions is None else definitions.revision
        static = {name: Source(name=name) for name in self._static.values()}
        self._sources = sources = {**static, **published}
        live = {hash: entry for hash, entry in by_hash(sources).items() if entry[1].valid(now)}
        ends = [key.expires_at for _, key in live.values() if key.expires_at is not None]
        self._ends = min(ends, default=None)
        opened: dict[str, tuple[Source, KeyHash | None]] = dict(live)
        opened |= {hash: (sources[name], None) for hash, name in self._static.items()}
        self._keys = opened
        self._generation += 1


def _published(definitions: DefinitionsView) -> dict[str, Source]:
    found = dict[str, Source]()
    for (kind, name), definition in definitions.current.items():
        if kind == KIND:
            try:
                source = msgspec.convert(definition.body, Source)
            except msgspec.ValidationError as error:
                log.error("source does not fit", source=name, error=str(error))
                continue
            if not source.deleted:
                found[name] = source
    return found

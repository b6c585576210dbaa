"""How far profiles are with a computed trait, as build's sweeps have noted it."""

import msgspec

from schemas.messages import ComputedTrait, Definition
from services.profile.build.rules.computed import digest_of
from services.profile.build.sweep_store import SweepStore
from services.profile.computed.shapes import ComputedTraitBody, ComputedTraitDefinition, Filled


class Standings:
    """The answers about definitions, from what build keeps."""

    def __init__(self, sweeps: SweepStore) -> None:
        self._sweeps = sweeps

    async def answer(self, definition: Definition, *, published: bool) -> ComputedTraitDefinition:
        """The definition, and whether every profile has what it says."""
        trait = msgspec.convert(definition.body, ComputedTrait)
        known = (await self._sweeps.ready()).get(definition.name)
        ready = known is not None and known.digest == digest_of(trait)
        return ComputedTraitDefinition(
            key=definition.name,
            version=definition.version,
            updated_at=definition.updated_at,
            published=published,
            state="ready" if ready else "computing",
            ready_since=known.at if known is not None and ready else None,
            profiles=None if ready else await self._how_far(digest_of(trait), definition.name),
            definition=ComputedTraitBody.model_validate(definition.body),
        )

    async def _how_far(self, digest: str, key: str) -> Filled:
        having = await self._sweeps.having(key, digest)
        coverage = await self._sweeps.coverage(having, (key, digest))
        return Filled(done=coverage.done, of=coverage.of)

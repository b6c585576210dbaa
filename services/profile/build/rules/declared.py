"""From the definitions in force to what profiles are folded by."""

from collections.abc import Collection
from typing import TypeVar

import msgspec

from schemas.messages import ComputedTrait, Definition, TraitSources
from services.profile.build.rules.computed import Traits

T = TypeVar("T", ComputedTrait, TraitSources)


def declared_traits(
    definitions: Collection[Definition], beside: str = "", generation: int = 0
) -> Traits:
    """What ``definitions`` say of traits; ``beside`` and ``generation`` as in ``Traits``."""
    sources = _bodies(definitions, "trait", TraitSources)
    return Traits(computed_traits(definitions), sources, beside=beside, generation=generation)


def computed_traits(definitions: Collection[Definition]) -> dict[str, ComputedTrait]:
    """The computed traits among ``definitions``, by key."""
    return _bodies(definitions, "computed_trait", ComputedTrait)


def _bodies(definitions: Collection[Definition], kind: str, body: type[T]) -> dict[str, T]:
    bodies = {}
    for definition in definitions:
        if definition.kind == kind:
            try:
                bodies[definition.name] = msgspec.convert(definition.body, body)
            except msgspec.ValidationError:
                continue  # Written past the API, which checks: nobody can go by it.
    return bodies

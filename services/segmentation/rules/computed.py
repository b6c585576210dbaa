"""Behaviour conditions as computed traits: what profile keeps so that we need no history.

Two conditions that need the same trait share it, whatever they compare it with: the key is
a hash of the trait's canonical body.
"""

import hashlib
from decimal import Decimal
from typing import Any

import msgspec

from schemas.messages import ComputedTrait, PropertyCondition
from services.segmentation.model import All, Any_, BehaviourCondition, Node, Not

_encoder = msgspec.json.Encoder(decimal_format="number", order="sorted")


def trait_of(condition: BehaviourCondition) -> ComputedTrait:
    """The canonical trait: event in lower case, property conditions sorted and distinct."""
    distinct = {_encoder.encode(item): item for item in map(_plain, condition.where)}
    return ComputedTrait(
        event=condition.event.strip().lower(),
        aggregate=condition.aggregate,
        property=condition.property,
        where=tuple(distinct[body] for body in sorted(distinct)),
        window_seconds=condition.within_seconds,
    )


def key_of(trait: ComputedTrait) -> str:
    """``ct_`` and 16 hexadecimal digits."""
    return "ct_" + hashlib.sha256(_encoder.encode(trait)).hexdigest()[:16]


def body_of(trait: ComputedTrait) -> dict[str, Any]:
    """The body of the ``computed_trait`` definition."""
    body: dict[str, Any] = msgspec.to_builtins(trait, builtin_types=(Decimal,))
    return body


def traits_of(rule: Node) -> dict[str, ComputedTrait]:
    """Every computed trait that a rule needs, by key."""
    return {key: trait_of(condition) for key, condition in behaviours_of(rule).items()}


def behaviours_of(rule: Node) -> dict[str, BehaviourCondition]:
    """A condition of the rule for each computed trait that it needs, by the trait's key."""
    match rule:
        case All(parts) | Any_(parts):
            return {key: found for part in parts for key, found in behaviours_of(part).items()}
        case Not(part):
            return behaviours_of(part)
        case BehaviourCondition():
            return {key_of(trait_of(rule)): rule}
        case _:
            return {}


def _plain(condition: PropertyCondition) -> PropertyCondition:
    # "exists" and "exists: true" are the same.
    if condition.op == "exists" and condition.value is True:
        return PropertyCondition(property=condition.property, op="exists")
    return condition

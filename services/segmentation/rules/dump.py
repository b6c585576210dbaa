"""From a checked definition back to JSON: one form for all ways to write the same."""

from collections.abc import Mapping
from typing import Any

from msgspec import json

from schemas.conditions import spelled
from services.segmentation.model import (
    All,
    Any_,
    BehaviourCondition,
    FactCondition,
    Node,
    Not,
    Segment,
)
from services.segmentation.rules.vocabulary import NUMERIC

encode = json.Encoder(decimal_format="number", order="sorted").encode
"""The canonical bytes of a dumped definition: equal exactly when the definitions are."""


def dump(segment: Segment) -> dict[str, Any]:
    """The body of a ``segment`` definition; what is left at its default is left out."""
    body = {"name": segment.name, "description": segment.description}
    return {**body, "rule": _node(segment.rule)}


def _node(node: Node) -> dict[str, Any]:
    match node:
        case All(parts):
            return {"all": [_node(part) for part in parts]}
        case Any_(parts):
            return {"any": [_node(part) for part in parts]}
        case Not(part):
            return {"not": _node(part)}
    fields: dict[str, Any] = {
        name: value
        for name in node.__struct_fields__
        if (value := getattr(node, name)) not in (None, ())
    }
    if isinstance(node, BehaviourCondition):
        fields["where"] = [
            {"property": item.property, "op": item.op, **_given(item.value)}
            for item in map(spelled, node.where)
        ]
        if not node.where:
            del fields["where"]
        if node.aggregate in NUMERIC:
            fields["value"] = str(node.value)
    if isinstance(node, FactCondition) and node.currency is not None:
        many = isinstance(node.value, list)
        fields["value"] = [str(item) for item in node.value] if many else str(node.value)
    return fields


def _given(value: Any) -> Mapping[str, Any]:
    return {} if value is None else {"value": value}

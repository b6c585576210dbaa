"""JSON Schema (draft 2020-12) of each message, made from its Struct and its docstrings.

The schemas are open: a reader must accept fields that it does not know, so that a field
can be added without a new version.
"""

import ast
import inspect
from collections.abc import Iterable
from itertools import pairwise
from textwrap import dedent
from typing import Any

import msgspec
from msgspec import Struct
from msgspec import inspect as shapes

from schemas import messages
from schemas.properties.kinds import AMOUNT_PATTERN
from schemas.properties.registry import SHAPES
from schemas.properties.tidy import kind_of

DIALECT = "https://json-schema.org/draft/2020-12/schema"

MESSAGES: tuple[type[Struct], ...] = (
    messages.Event,
    messages.Interaction,
    messages.IdentityDecision,
    messages.IdentityMerged,
    messages.IdentityRearranged,
    messages.ProfileAbsorbed,
    messages.ConsentRequested,
    messages.ProfileChanged,
    messages.SegmentChanged,
    messages.MessageChanged,
    messages.Definition,
    messages.PrivacyRequest,
    messages.ComputedTrait,
    messages.TraitSources,
    messages.Rates,
)
"""One schema file each: the bodies of every topic, and the bodies of definitions."""

DOCUMENTED: tuple[type[Struct], ...] = (*MESSAGES, *SHAPES)
"""These, and the properties of known events."""


def schema(struct: type[Struct]) -> dict[str, Any]:
    """The schema of one message as a document of its own, nested types under ``$defs``."""
    defs = components([struct], "#/$defs/{name}")
    name = struct.__name__
    document: dict[str, Any] = {
        "$schema": DIALECT,
        "$id": identifier(name),
        **defs.pop(name),
    }
    if defs:
        document["$defs"] = defs
    return document


def identifier(name: str) -> str:
    """The ``$id`` of a message's schema: a name, not a place."""
    return f"urn:regulars:schema:{name}:v1"


def components(structs: Iterable[type[Struct]], template: str) -> dict[str, Any]:
    """The schemas of ``structs`` and of all that they contain, by name.

    ``template`` is how they refer to each other, such as ``#/$defs/{name}``.
    """
    roots = list(structs)
    _, found = msgspec.json.schema_components(roots, ref_template=template)
    defs: dict[str, Any] = found
    for kind in _nested(roots):
        _describe(kind, defs[kind.cls.__name__])
    return dict(sorted(defs.items()))


def _nested(roots: list[type[Struct]]) -> list[shapes.StructType]:
    """The Structs reachable from ``roots``."""
    seen: dict[type, shapes.StructType] = {}

    def visit(kind: object) -> None:
        if isinstance(kind, shapes.StructType):
            if kind.cls in seen:
                return
            seen[kind.cls] = kind
            for part in kind.fields:
                visit(part.type)
        elif isinstance(kind, shapes.Type):
            for name in kind.__struct_fields__:
                inner = getattr(kind, name)
                for part in inner if isinstance(inner, tuple) else (inner,):
                    visit(part)

    for root in shapes.multi_type_info(roots):
        visit(root)
    return list(seen.values())


def _describe(kind: shapes.StructType, definition: dict[str, Any]) -> None:
    """Add what msgspec leaves out: descriptions of fields, and the format of times."""
    definition["description"] = _markdown(inspect.getdoc(kind.cls) or "")
    notes = field_docstrings(kind.cls)
    for part in kind.fields:
        shown = definition["properties"][part.encode_name]
        _mark_times(part.type, shown)
        if kind_of(part) == "amount":
            _mark_amount(shown)
        if part.name in notes:
            shown["description"] = _markdown(notes[part.name])


def _mark_times(kind: shapes.Type, shown: dict[str, Any]) -> None:
    alternatives = kind.types if isinstance(kind, shapes.UnionType) else (kind,)
    if not any(isinstance(one, shapes.DateTimeType) for one in alternatives):
        return
    for place in (shown, *shown.get("anyOf", ())):
        if place.get("type") == "string":
            place["format"] = "date-time"


def _mark_amount(shown: dict[str, Any]) -> None:
    """An amount may be a number too; msgspec knows only the text that it would write."""
    for place in (shown, *shown.get("anyOf", ())):
        if place.get("format") == "decimal":
            place["type"] = ["number", "string"]
            place["pattern"] = AMOUNT_PATTERN


def field_docstrings(struct: type) -> dict[str, str]:
    """The string below each field in the source, which Python itself does not keep."""
    tree = ast.parse(dedent(inspect.getsource(struct)))
    body = tree.body[0].body if isinstance(tree.body[0], ast.ClassDef) else []
    notes: dict[str, str] = {}
    for statement, following in pairwise(body):
        if (
            isinstance(statement, ast.AnnAssign)
            and isinstance(statement.target, ast.Name)
            and isinstance(following, ast.Expr)
            and isinstance(following.value, ast.Constant)
        ):
            notes[statement.target.id] = inspect.cleandoc(str(following.value.value))
    return notes


def _markdown(text: str) -> str:
    """A docstring as CommonMark: one backtick where reStructuredText has two."""
    return text.replace("``", "`")

"""The table of known events for people: their topics, properties, and what must be there."""

from msgspec import Struct
from msgspec import inspect as shapes

from schemas.catalogue import topic_of
from schemas.properties.ecommerce import Product
from schemas.properties.registry import SHAPES, STRUCTS


def events() -> str:
    """A Markdown table: one row for each shape of properties, with the events that have it."""
    rows = ["| events | topic | properties | needs |", "|---|---|---|---|"]
    rows += [_row(struct) for struct in SHAPES]
    line = ", ".join(f"`{part.encode_name}`" for part in _fields(Product))
    return "\n".join([*rows, "", f"A product, and each of `products`, has {line}.", ""])


def _row(struct: type[Struct]) -> str:
    names = [name for name, shape in STRUCTS.items() if shape is struct]
    topics = sorted({f"`{topic_of('track', name)}`" for name in names})
    inherited = {part.name for part in _fields(Product)} if issubclass(struct, Product) else set()
    own = [f"`{part.encode_name}`" for part in _fields(struct) if part.name not in inherited]
    said = ", ".join(["those of a product", *own] if inherited else own)
    needs = ", ".join(f"`{part.encode_name}`" for part in _fields(struct) if part.required)
    link = f"[{struct.__name__}](../schemas/json/{struct.__name__}.json)"
    return f"| {', '.join(names)} | {', '.join(topics)} | {said} ({link}) | {needs} |"


def _fields(struct: type[Struct]) -> tuple[shapes.Field, ...]:
    kind = shapes.type_info(struct)
    assert isinstance(kind, shapes.StructType)
    return kind.fields

"""From what a mapping names to a function that gives the value for a unit. Pure."""

from collections.abc import Callable
from typing import Any, TypeVar

from msgspec import UNSET
from msgspec.structs import replace

from schemas.validation import REFUND_AMOUNTS
from services.ingest.history.expressions import Columns, Get, column, expression, named, template
from services.ingest.history.model import Mapping, Spec, Unit, Unusable, Value
from services.ingest.history.values import converter

T = TypeVar("T")

Produce = Callable[[Unit], Any]
"""The value for a unit: None where there is none, a ``Fault`` where it does not fit."""

_NUMBERS = frozenset(
    {*REFUND_AMOUNTS, "subtotal", "shipping", "tax", "discount", "price", "quantity", "value"}
)


def number_of(name: str) -> str | None:
    """How a property is converted unless the mapping says otherwise: amounts are numbers."""
    return "number" if name in _NUMBERS else None


def produce(spec: Spec, mapping: Mapping, columns: Columns, kind: str | None = None) -> Produce:
    """What ``spec`` says; ``kind`` is the conversion where it names none."""
    value = Value() if isinstance(spec, str) else spec
    if kind is not None and value.as_ is None:
        value = replace(value, as_=kind)
    get = named(spec, columns) if isinstance(spec, str) else _source(spec, columns)
    convert, default = converter(value, mapping), value.default
    if convert is None and default is None:
        return get

    def converted(unit: Unit) -> Any:
        found = get(unit)
        if found is None or found == "":
            found = default
        return found if found is None or convert is None else convert(found)

    return converted


def placed(place: str, build: Callable[[], T]) -> T:
    """``build()``; what it finds unusable is named by its place in the mapping."""
    try:
        return build()
    except Unusable as error:
        raise Unusable(f"{place.strip('.')}: {error}") from error


def _source(spec: Value, columns: Columns) -> Get:
    if spec.column is not None:
        return column(spec.column, columns)
    if spec.expr is not None:
        return expression(spec.expr, columns)
    if spec.template is not None:
        return template(spec.template, columns)
    constant = None if spec.value is UNSET else spec.value
    return lambda _unit: constant

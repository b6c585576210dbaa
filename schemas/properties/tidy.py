"""Puts the properties of known events in the contract's form: pure, and on the hot path.

Only where there is one reading: another spelling of a known name, a number in a text with
blanks around it, a whole number as an id, one product in place of a list. What has no such
reading stays as it came, for ``schemas.validation`` to judge.
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any

import msgspec
from msgspec import Struct
from msgspec import inspect as shapes

from schemas.currencies import CODES
from schemas.properties.ecommerce import Product, RefundProperties
from schemas.properties.registry import STRUCTS

_LONGEST_FOLDED = 64
_SEPARATORS = re.compile(r"[^a-z0-9]+")
_WHOLE = re.compile(r"[+-]?[0-9]{1,12}")
_LARGEST_COUNT = 10**12


class _Form(Struct, frozen=True):
    """What ``tidy`` must know of one Struct."""

    names: frozenset[str]
    spelling: Mapping[str, str]
    """Folded name -> the contract's."""
    ids: tuple[str, ...]
    amounts: tuple[str, ...]
    counts: tuple[str, ...]
    currency: bool
    lines: bool
    """Whether it has ``products``."""
    skus: bool
    """Whether it is about one product, by ``product_id`` or ``sku``."""
    own: bool
    """Whether amounts without a currency are in the source's."""


def tidy(name: str, said: dict[str, Any], currency: str | None = None) -> bool:
    """Put the properties ``said`` of the event ``name`` right, in place; answers if it did.

    ``name`` is in the catalogue's spelling; other events are left alone. ``currency`` is the
    source's default: it is filled in where amounts have none, but for refunds, which are in
    their order's. Of two spellings of one property the contract's counts, and both are kept.
    """
    form = _FORMS.get(name)
    return form is not None and _tidy(said, form, currency)


def folded(name: str) -> str:
    """``orderId``, ``Order ID`` and ``order-id`` are one name, as to Segment's own readers."""
    return _SEPARATORS.sub("", name.lower()) if len(name) <= _LONGEST_FOLDED else name


def _tidy(said: dict[str, Any], form: _Form, currency: str | None) -> bool:
    # Mostly there is nothing to do: each line asks that first, and calls nobody.
    get = said.get
    changed = not form.names.issuperset(said) and _respell(said, form)
    for name in form.ids:
        value = get(name)
        if value.__class__ is not str or value != value.strip():
            changed = _put(said, name, value, _id(value)) or changed
    for name in form.amounts:
        if (value := get(name)).__class__ is str:
            changed = _put(said, name, value, value.strip()) or changed
    for name in form.counts:
        if (value := get(name)).__class__ is not int and value is not None:
            changed = _put(said, name, value, _count(value)) or changed
    if form.currency and (value := get("currency")).__class__ is str and value not in CODES:
        code = value.strip().upper()
        changed = _put(said, "currency", value, value if code == value else code) or changed
    if form.skus and get("product_id") is None and get("sku").__class__ is str:
        changed = _put(said, "product_id", None, said["sku"])
    if form.lines and get("products") is not None:
        changed = _tidy_lines(said) or changed
    if currency is not None and form.own and _lacks_currency(said, form):
        changed = _put(said, "currency", None, currency)
    return changed


def _put(said: dict[str, Any], name: str, before: Any, right: Any) -> bool:
    if right is before:
        return False
    said[name] = right
    return True


def _respell(said: dict[str, Any], form: _Form) -> bool:
    changed = False
    for name in [name for name in said if name not in form.names]:
        right = form.spelling.get(_folded(name))
        if right is not None and said.get(right) is None:
            said[right] = said.pop(name)
            changed = True
    return changed


def _tidy_lines(said: dict[str, Any]) -> bool:
    products, changed = said["products"], False
    if isinstance(products, dict):
        lines = _listed(products)
        if lines is None:
            return False
        said["products"], products, changed = lines, lines, True
    if isinstance(products, list):
        for line in products:
            if isinstance(line, dict):
                changed = _tidy(line, _LINE, None) or changed
    return changed


def _listed(products: dict[str, Any]) -> list[Any] | None:
    """A single product, or a list that PHP has written as ``{"0": ..., "1": ...}``."""
    if not products:
        return None
    if all(name.isdecimal() for name in products):
        return list(products.values())
    known = any(_folded(name) in _LINE.spelling for name in products)
    return [products] if known else None


def _lacks_currency(said: dict[str, Any], form: _Form) -> bool:
    code = said.get("currency")
    if code is not None and code != "":
        return False
    return said.get("products") is not None or any(
        said.get(name) is not None for name in form.amounts
    )


def _id(value: Any) -> Any:
    if isinstance(value, str):
        return value.strip() or value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _count(value: Any) -> Any:
    if isinstance(value, str):
        return int(value) if _WHOLE.fullmatch(value := value.strip()) else value
    if isinstance(value, Decimal | float) and -_LARGEST_COUNT < value < _LARGEST_COUNT:
        return int(value) if value == int(value) else value
    return value


_folded = lru_cache(maxsize=4_096)(folded)


def kind_of(part: shapes.Field) -> str:
    """The kind of ``schemas.properties.kinds`` of a field, or the empty string."""
    kind = part.type
    for one in kind.types if isinstance(kind, shapes.UnionType) else (kind,):
        if isinstance(one, shapes.Metadata) and one.extra is not None:
            return str(one.extra["kind"])
    return ""


def _form(struct: type[Struct]) -> _Form:
    fields = msgspec.inspect.type_info(struct)
    assert isinstance(fields, shapes.StructType)
    kinds = {part.encode_name: kind_of(part) for part in fields.fields}

    def of(kind: str) -> tuple[str, ...]:
        return tuple(name for name in kinds if kinds[name] == kind)

    return _Form(
        names=frozenset(kinds),
        spelling={folded(name): name for name in kinds},
        ids=of("id"),
        amounts=of("amount"),
        counts=of("count"),
        currency="currency" in kinds,
        lines="products" in kinds,
        skus={"product_id", "sku"} <= kinds.keys(),
        own="currency" in kinds and struct is not RefundProperties,
    )


_LINE = _form(Product)
_FORMS = {
    name: form
    for struct, form in ((struct, _form(struct)) for struct in dict.fromkeys(STRUCTS.values()))
    for name, shape in STRUCTS.items()
    if shape is struct
}

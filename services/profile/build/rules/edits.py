"""Operations on parts of a trait: lists that grow and shrink, maps that are merged.

Written as Braze writes them for arrays (``$add``, ``$remove``, ``$update``), and for maps as a
JSON Merge Patch (``$merge``, RFC 7396). An operation falls apart into edits of one target
each: an item, the objects that match, one of their fields, a key of a map. Of a target the
latest edit stays; the value is what stayed, applied in its order to the last whole write. So
it depends on the set of events only, whatever comes first, twice or late.
"""

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any

import msgspec
from msgspec import Raw, Struct, field

from services.profile.build.model import Edit, Write

MOST_EDITS = 200
"""Of one trait since its last whole write; the latest stay."""
EDIT_BYTES = 500
"""Of one item, field or key, and of its name."""
_DEEPEST = 8
_ITEM, _MATCH, _FIELD, _KEY = "i", "m", "f", "k"
_NAMES = frozenset({"$remove", "$add", "$update", "$merge"})

Edits = list[tuple[str, bytes]]
"""(target, the JSON that it gets; empty: it goes)."""


class _Match(Struct):
    key: str = field(name="$identifier_key")
    value: Raw = field(name="$identifier_value")


class _Update(_Match):
    new: dict[str, Raw] = field(name="$new_object")


class _Operation(Struct, forbid_unknown_fields=True):
    remove: Raw = field(name="$remove", default=Raw(b"[]"))
    add: Raw = field(name="$add", default=Raw(b"[]"))
    update: Raw = field(name="$update", default=Raw(b"[]"))
    merge: dict[str, Raw] = field(name="$merge", default_factory=dict)


_operation = msgspec.json.Decoder(_Operation)
_match = msgspec.json.Decoder(_Match)
_update = msgspec.json.Decoder(_Update)
_object = msgspec.json.Decoder(dict[str, Raw])
_list = msgspec.json.Decoder(list[Raw])
_texts = msgspec.json.Decoder(list[str])
_value = msgspec.json.Decoder(Any, float_hook=Decimal)
_encode = msgspec.json.Encoder(order="sorted", decimal_format="number").encode


def is_operation(value: bytes) -> bool:
    """Whether the JSON of a trait is an operation rather than its value."""
    return value[:1] == b"{" and b'"$' in value and not _NAMES.isdisjoint(_object.decode(value))


def edits_of(value: bytes) -> Edits | None:
    """What an operation does, in its order; None where it is not written as documented."""
    try:
        said = _operation.decode(value)
        edits = [*_removed(said.remove), *_added(said.add), *_updated(said.update)]
        edits += _merged((), said.merge)
    except (msgspec.MsgspecError, ArithmeticError, ValueError, RecursionError):
        return None
    largest = max((max(len(target), len(given)) for target, given in edits), default=0)
    return edits if 0 < len(edits) <= MOST_EDITS and largest <= EDIT_BYTES else None


def _removed(said: Raw) -> Iterator[tuple[str, bytes]]:
    for item in _each(said):
        if item[:1] == b"{" and b'"$identifier_key"' in item:
            yield _MATCH + _matching(_match.decode(item)), b""
        else:
            yield _ITEM + _canonical(item), b""


def _added(said: Raw) -> Iterator[tuple[str, bytes]]:
    for item in _each(said):
        yield _ITEM + _canonical(item), item


def _updated(said: Raw) -> Iterator[tuple[str, bytes]]:
    for item in _each(said):
        update = _update.decode(item)
        for name, given in update.new.items():
            yield _FIELD + _matching(update, name), bytes(given)


def _merged(path: tuple[str, ...], patch: Mapping[str, Raw]) -> Iterator[tuple[str, bytes]]:
    for name, raw in patch.items():
        given, inner = bytes(raw), (*path, name)
        if given[:1] == b"{" and len(inner) < _DEEPEST and (within := _object.decode(given)):
            yield from _merged(inner, within)
        else:
            yield _KEY + _encode(inner).decode(), b"" if given == b"null" else given


def _each(said: Raw) -> list[bytes]:
    given = bytes(said)
    return [bytes(item) for item in _list.decode(said)] if given[:1] == b"[" else [given]


def _canonical(value: bytes) -> str:
    """The same text for JSON that says the same."""
    return _encode(_value.decode(value)).decode()


def _matching(match: _Match, *name: str) -> str:
    return _encode([match.key, _canonical(bytes(match.value)), *name]).decode()


# -- what comes of it ------------------------------------------------------------------------

Items = dict[str, bytes]
"""The items of a list, by their canonical text: a list that is operated on has each once."""


def shown(write: Write | None) -> bytes | None:
    """The JSON of a trait as it is now; None: unset."""
    if write is None or not write.edits:
        return None if write is None else write.value
    value: bytes | Items = write.value or b"null"
    for target, edit in sorted(write.edits.items(), key=_order):
        value = _APPLY[target[0]](value, target[1:], edit.value)
    if not isinstance(value, bytes):
        value = _joined(value)
    # To take something away from nothing sets nothing.
    return None if write.value is None and value in (b"[]", b"{}") else value


def _order(item: tuple[str, Edit]) -> tuple[Any, ...]:
    target, edit = item
    return -edit.rank, edit.at, edit.message_id, edit.place, target


def _with_item(value: bytes | Items, target: str, given: bytes) -> Items:
    items = _items(value)
    if given:
        items.setdefault(target, given)
    else:
        items.pop(target, None)
    return items


def _without(value: bytes | Items, target: str, given: bytes) -> Items:
    key, wanted = _texts.decode(target)
    items = _items(value)
    return {text: item for text, item in items.items() if not _fits(item, key, wanted)}


def _with_field(value: bytes | Items, target: str, given: bytes) -> Items:
    key, wanted, name = _texts.decode(target)
    updated: Items = {}
    for text, item in _items(value).items():
        if _fits(item, key, wanted):
            item = _encode(_object.decode(item) | {name: Raw(given)})
            text = _text(item)
        updated.setdefault(text, item)
    return updated


def _with_key(value: bytes | Items, target: str, given: bytes) -> bytes:
    known = value if isinstance(value, bytes) else _joined(value)
    return _patched(known, _texts.decode(target), given)


def _patched(value: bytes, path: list[str], given: bytes) -> bytes:
    known = _object.decode(value) if value[:1] == b"{" else {}
    name, *rest = path
    if rest:
        known[name] = Raw(_patched(bytes(known.get(name, b"null")), rest, given))
    elif given:
        known[name] = Raw(given)
    else:
        known.pop(name, None)
    return _encode(known)


_APPLY: dict[str, Callable[[bytes | Items, str, bytes], bytes | Items]] = {
    _ITEM: _with_item,
    _MATCH: _without,
    _FIELD: _with_field,
    _KEY: _with_key,
}


def _items(value: bytes | Items) -> Items:
    """Of what is no list, none."""
    if isinstance(value, dict):
        return value
    found = _list.decode(value) if value[:1] == b"[" else []
    return {_text(item): item for item in map(bytes, found)}


def _joined(items: Items) -> bytes:
    return b"[" + b",".join(items.values()) + b"]"


def _text(value: bytes) -> str:
    """``_canonical``, of anything: too deep or too large a value is itself."""
    try:
        return _canonical(value)
    except (msgspec.MsgspecError, ArithmeticError, ValueError, RecursionError):
        return value.decode("utf-8", "replace")


def _fits(item: bytes, key: str, wanted: str) -> bool:
    if item[:1] != b"{":
        return False
    found = _object.decode(item).get(key)
    return found is not None and _text(bytes(found)) == wanted

"""Making events of what a provider said: names, ids, and the limit on their size. Pure."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any

import msgspec

from schemas.validation import LONGEST_MESSAGE_ID
from services.ingest.hooks.body import part
from services.ingest.model import MAX_EVENT

_encoder = msgspec.json.Encoder(decimal_format="number")
_ROOM = 2_000
"""Bytes that ingest itself adds: the source, times, flags."""
_SPARE = ("image_url", "url", "variant", "category", "brand", "coupon", "name")
"""What a product line can do without, the most dispensable first."""


def message_id(kind: str, *parts: Any) -> str:
    """``<kind>:<part>:<part>``, the same for the same; hashed where it would be too long."""
    plain = ":".join((kind, *map(str, parts)))
    if len(plain) <= LONGEST_MESSAGE_ID and plain.isprintable():
        return plain
    return f"{kind}:{sha256(plain.encode('utf-8', 'replace')).hexdigest()}"


def time_of(at: datetime | None) -> str | None:
    """``at`` as events carry it."""
    return None if at is None else at.isoformat().replace("+00:00", "Z")


def context(
    kind: str,
    traits: Mapping[str, Any] | None = None,
    external: Iterable[tuple[str, Any]] = (),
) -> dict[str, Any]:
    """The context of an event: who made it, what is known of its person besides.

    ``external`` are (type, id) of the person in the provider's own books.
    """
    said: dict[str, Any] = {"library": {"name": f"regulars-{kind}", "version": "1"}}
    if traits:
        said["traits"] = dict(traits)
    ids = [
        {"id": str(id), "type": type, "collection": "users", "encoding": "none"}
        for type, id in external
        if id not in (None, "")
    ]
    if ids:
        said["externalIds"] = ids
    return said


def later(who: Mapping[str, Any]) -> dict[str, Any]:
    """Whom a later word of an order names: ``who`` without the visitor, unless nothing else names
    anybody. Since it was placed the browser may have become another's, as the order may."""
    others = {name: said for name, said in who.items() if name != "anonymousId"}
    return others if named(others) else dict(who)


def named(who: Mapping[str, Any]) -> bool:
    """Whether ``userId``, ``anonymousId`` or an address names anybody."""
    email = part(part(who, "context"), "traits").get("email")
    return bool(who.get("userId") or who.get("anonymousId") or email)


def encode(event: Mapping[str, Any]) -> bytes:
    """The event's JSON, numbers to the last digit."""
    return _encoder.encode(event)


def fitted(event: dict[str, Any]) -> dict[str, Any]:
    """``event`` with its product lines made shorter, and at last fewer, until it is small enough.

    An order says its own totals, so that no money is lost with a line; ``products_omitted``
    says how many there were beyond those kept.
    """
    if _fits(event):
        return event
    properties: Any = event.get("properties")
    lines: Any = properties.get("products") if isinstance(properties, dict) else None
    if not isinstance(lines, list) or not all(isinstance(line, dict) for line in lines):
        return event
    for count in range(1, len(_SPARE) + 1):
        spared = set(_SPARE[:count])
        lines = [{k: v for k, v in line.items() if k not in spared} for line in lines]
        event = {**event, "properties": {**properties, "products": lines}}
        if _fits(event):
            return event
    while lines:
        lines = lines[: len(lines) * 3 // 4]
        kept = {"products": lines, "products_omitted": len(properties["products"]) - len(lines)}
        event = {**event, "properties": {**properties, **kept}}
        if _fits(event):
            break
    return event


def _fits(event: Mapping[str, Any]) -> bool:
    return len(_encoder.encode(event)) <= MAX_EVENT - _ROOM

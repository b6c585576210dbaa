"""Whom a body names: hashes of the identifiers in it, by which erasure finds it. Pure.

An email address is looked for everywhere; user ids, anonymous ids, profile ids and phone
numbers where a field's name says that it is one. What is no JSON is searched as text.
"""

import json
import re
from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import Any

MANY = b"*"
"""In place of hashes: the body names more people than are listed, so it must be read."""
_MOST = 500
_BYTES = 16

_EMAIL = re.compile(r"[^\s\"'<>(),;:\\/]{1,64}@[^\s\"'<>(),;:\\/@]{1,255}")
_KINDS = {
    "userid": "user_id",
    "anonymousid": "anonymous_id",
    "profileid": "profile_id",
    "customerid": "user_id",
    "loyaltycard": "loyalty_card",
    "phone": "phone",
    "phonenumber": "phone",
    "mobile": "phone",
    "tel": "phone",
    "whatsapp": "phone",
}
_PREVIOUS = "previousid"
_FIELDS = re.compile(
    r'"(userId|user_id|anonymousId|anonymous_id|previousId|previous_id|profile_id|phone)"'
    r'\s*:\s*("(?:[^"\\]|\\.)*"|-?[0-9]+)'
)


def digest(kind: str, value: str) -> bytes:
    """The hash of an identifier, however it was written.

    ``kind``: email (any case), phone (digits count), or an id such as user_id (exact).
    """
    value = value.strip()
    if kind == "email":
        value = value.lower()
    elif kind == "phone":
        value = "".join(filter(str.isdecimal, value)).lstrip("0")
    return sha256(f"{kind}:{value}".encode("utf-8", "surrogatepass")).digest()[:_BYTES]


def people_in(*bodies: bytes | None) -> list[bytes]:
    """The hashes of everybody whom ``bodies`` name, or just ``MANY``."""
    found = every_one_in(*bodies)
    return sorted(found) if len(found) <= _MOST else [MANY]


def every_one_in(*bodies: bytes | None) -> set[bytes]:
    """The hashes of everybody whom ``bodies`` name, however many."""
    return {
        digest(kind, value)
        for body in bodies
        if body
        for kind, value in _identifiers(body)
        if value.strip()
    }


def _identifiers(body: bytes) -> Iterator[tuple[str, str]]:
    text = body.decode("utf-8", "replace")
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        yield from _in_text(text)
        return
    # Not recursive: a body may be nested more deeply than Python's stack.
    waiting: list[Any] = [said]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            yield from _named(value)
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
        elif isinstance(value, str):
            yield from (("email", one) for one in _EMAIL.findall(value))


def _named(said: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in said.items():
        kind = name.replace("_", "").lower()
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if not isinstance(value, str):
            continue
        if kind == _PREVIOUS:
            yield from (("user_id", value), ("anonymous_id", value))
        elif kind in _KINDS:
            yield _KINDS[kind], value
    stated, known = said.get("type"), said.get("value", said.get("id"))
    if isinstance(stated, str) and isinstance(known, str):  # identifiers, context.externalIds
        yield stated, known


def _in_text(text: str) -> Iterator[tuple[str, str]]:
    yield from (("email", one) for one in _EMAIL.findall(text))
    for name, quoted in _FIELDS.findall(text):
        try:
            value = str(json.loads(quoted))
        except ValueError:
            continue
        yield from _named({name: value})


def digests(identifiers: Iterable[tuple[str, str]]) -> list[bytes]:
    """The hashes of (kind, value) pairs."""
    return sorted({digest(kind, value) for kind, value in identifiers})

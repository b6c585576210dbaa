"""Which address a person is written to: what they confirm by a mail holds for this one alone."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

import msgspec

from schemas.addresses import address_of, digest_of
from services.profile.build.model import Write
from services.profile.build.rules.edits import shown

TOUCHED = frozenset({"traits.email", "identifiers.email"})
"""Names of changes after which it may be another."""

_NOTHING: frozenset[str] = frozenset()


def mailbox(traits: Mapping[str, Write], identifiers: Mapping[str, Iterable[str]]) -> str:
    """``digest_of`` the address that the notifier would write to; empty where there is none."""
    known = tuple(sorted(identifiers.get("email", _NOTHING)))
    return _digest(shown(traits.get("email")) or b"null", known)


def taken_at(traits: Mapping[str, Write]) -> datetime | None:
    """When the person was last said to have the address; None where no trait says so."""
    write = traits.get("email")
    return None if write is None or write.value is None else write.at


@lru_cache(maxsize=10_000)
def _digest(trait: bytes, known: tuple[str, ...]) -> str:
    said: Any = msgspec.json.decode(trait)
    address = address_of(said, known)
    return digest_of(address) if address else ""

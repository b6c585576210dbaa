"""Which of a person's mail addresses is written to, and the digest by which it is told.

Profile and notifier must agree on both: what somebody confirmed by a mail holds for the
address that it went to, and for no other.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from hashlib import sha256
from typing import Any

from email_validator import EmailNotValidError, validate_email

_PLAIN = re.compile(
    r"[a-z0-9_+-]{1,30}(\.[a-z0-9_+-]{1,30})?@[a-z0-9]{1,63}(\.[a-z0-9]{1,63}){0,3}\.[a-z]{2,63}",
    re.IGNORECASE | re.ASCII,
)
_LONGEST = 254


def address_of(trait: Any, known: Iterable[str]) -> str:
    """The address to write to, in ASCII (IDNA domain), or "" when none is usable.

    ``trait`` is the profile's trait ``email``, ``known`` are its identifiers of that type in
    their order: the first usable one counts.
    """
    for candidate in (trait, *known):
        if isinstance(candidate, str) and (usable := _ascii(candidate)):
            return usable
    return ""


@lru_cache(maxsize=10_000)
def digest_of(address: str) -> str:
    """SHA-256 (hex) of an address in ASCII and lower case."""
    return sha256(address.lower().encode()).hexdigest()


@lru_cache(maxsize=1_000)
def _ascii(value: str) -> str:
    if _PLAIN.fullmatch(value) and len(value) <= _LONGEST:
        return value  # nearly all of them, in a hundredth of the time
    try:
        checked = validate_email(value, check_deliverability=False, globally_deliverable=False)
    except EmailNotValidError:
        return ""
    return checked.ascii_email or ""

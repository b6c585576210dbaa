"""Who sends? A write key by HTTP Basic, by Bearer, or in the body."""

import binascii
from base64 import b64decode
from functools import lru_cache
from typing import Any

from services.runtime.http import Problem
from services.runtime.keys import Keyring

_CHALLENGE = {"WWW-Authenticate": 'Basic realm="ingest", charset="UTF-8", Bearer'}


class Access:
    """The sources by their write keys."""

    def __init__(self, keys: Keyring) -> None:
        # One header value recurs thousands of times a second.
        self._find = lru_cache(maxsize=1_000)(keys.find)

    def by_header(self, authorization: str | None) -> str | None:
        """The source that the header names; None without one; 401 when it is unknown."""
        if not authorization:
            return None
        scheme, _, credentials = authorization.partition(" ")
        key: str | None = None
        if scheme.lower() == "bearer":
            key = credentials.strip()
        elif scheme.lower() == "basic":
            key = _user(credentials)
        return self._known(key)

    def by_key(self, key: Any) -> str:
        """The source of a body's ``writeKey``; 401 when there is none."""
        return self._known(key)

    def _known(self, key: Any) -> str:
        source = self._find(key) if isinstance(key, str) and len(key) <= 256 else None
        if source is None:
            raise Problem(
                401,
                "Unauthorized",
                "Send a known write key: as the user of HTTP Basic, as Bearer, or as writeKey.",
                headers=_CHALLENGE,
                extra={"code": "unknown_write_key"},
            )
        return source


def _user(credentials: str) -> str | None:
    try:
        text = b64decode(credentials.strip(), validate=True).decode()
    except (binascii.Error, ValueError):
        return None
    return text.partition(":")[0]

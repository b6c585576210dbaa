"""Who sends? A write key by HTTP Basic, by Bearer, or in the body."""

import binascii
from base64 import b64decode
from collections.abc import Callable
from typing import Any

from services.ingest.sources.directory import Directory, Unknown
from services.ingest.sources.model import Source
from services.runtime.http import Problem

_CHALLENGE = {"WWW-Authenticate": 'Basic realm="ingest", charset="UTF-8", Bearer'}
_CACHED = 1_000
_DISABLED = "source_disabled"
_LONGEST_KEY = 256


class Access:
    """The sources by their write keys, for every way to send one."""

    def __init__(
        self,
        directory: Directory,
        refused: Callable[[Source, str], None] = lambda _source, _code: None,
    ) -> None:
        self._directory = directory
        self._refused = refused
        """Told of each attempt of a disabled source."""
        # One header value recurs thousands of times a second.
        self._by_header: dict[str, Source] = {}
        self._generation = directory.generation

    def by_header(self, authorization: str | None) -> Source | None:
        """The source that the header names; None without one.

        Raises ``Problem``: 401 when it is unknown, 403 when it is disabled, and 503 before
        this process has read the sources.
        """
        if not authorization:
            return None
        generation = self._directory.generation
        if generation != self._generation or len(self._by_header) > _CACHED:
            self._generation = generation
            self._by_header.clear()
        source = self._by_header.get(authorization)
        if source is None:
            source = self._known(_key_of(authorization))
            self._by_header[authorization] = source
        return source

    def by_key(self, key: Any) -> Source:
        """The source of a body's ``writeKey``; raises as ``by_header`` does."""
        return self._known(key)

    def _known(self, key: Any) -> Source:
        source = None
        if isinstance(key, str) and len(key) <= _LONGEST_KEY:
            try:
                source = self._directory.by_key(key)
            except Unknown:
                raise Problem(
                    503,
                    "Service Unavailable",
                    "The sources have not been read yet: send the same again.",
                    headers={"Retry-After": "2"},
                    extra={"code": "sources_unread"},
                ) from None
        if source is None:
            raise Problem(
                401,
                "Unauthorized",
                "Send a known write key: as the user of HTTP Basic, as Bearer, or as writeKey.",
                headers=_CHALLENGE,
                extra={"code": "unknown_write_key"},
            )
        if not source.enabled:
            self._refused(source, _DISABLED)
            raise Problem(
                403,
                "Forbidden",
                "This source is disabled: an admin can enable it.",
                extra={"code": _DISABLED},
            )
        return source


def _key_of(authorization: str) -> str | None:
    scheme, _, credentials = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return credentials.strip()
    if scheme.lower() == "basic":
        return _user(credentials)
    return None


def _user(credentials: str) -> str | None:
    try:
        text = b64decode(credentials.strip(), validate=True).decode()
    except (binascii.Error, ValueError):
        return None
    return text.partition(":")[0]

"""Hot requests: what they ask, what they are answered, and how they are told from others.

Pure; ``express`` serves them.
"""

import re
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, NamedTuple

_FIELDS = re.compile(rb"(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*\r\n)*")
"""Field lines as RFC 9112 has them, without folding."""
_ODD = frozenset((b"transfer-encoding", b"connection", b"expect", b"upgrade"))
"""Fields that ask for more than an answer."""


class Reply(NamedTuple):
    """An answer; its length is said by who sends it."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


class Asked(NamedTuple):
    """A hot request."""

    path: str
    authorization: str
    encoding: str
    """Content-Encoding."""
    body: bytes
    origin: str = ""
    """Of a page in a browser."""


class Hot(NamedTuple):
    """What is asked for often, and who answers it; ``answer`` never fails."""

    paths: frozenset[str]
    """Where is posted to."""
    longest: int
    """Bytes of a body, as it comes; longer ones are left to the app."""
    answer: Callable[[Asked], Coroutine[Any, Any, Reply | None]]
    """None: the app shall answer, as it answers what is not hot."""
    reads: bytes | None = None
    """A regular expression of what is read (GET): as in the request line, escapes and all."""


class Part(NamedTuple):
    """What has come of a request."""

    asked: Asked | None
    """None: its body has yet to come."""
    rest: bytes
    """What came after it, or all that has come."""


def read(
    data: bytes, lines: Mapping[bytes, str], longest: int, reads: re.Pattern[bytes] | None = None
) -> Part | None:
    """The hot request with which ``data`` begins; None when it is none, or not plainly one.

    ``lines`` are the request lines of hot routes with their paths, ``reads`` matches those of
    hot reads, whose first group is the path. Pure.
    """
    end = data.find(b"\r\n")
    path = lines.get(data[:end])
    none = b""
    if path is None and reads is not None and (found_read := reads.fullmatch(data, 0, max(end, 0))):
        path, longest, none = found_read[1].decode("latin-1"), 0, b"0"
    close = data.find(b"\r\n\r\n", end)
    if path is None or close < 0 or not _FIELDS.fullmatch(data, end + 2, close + 2):
        return None
    found: dict[bytes, bytes] = {}
    for line in data[end + 2 : close].split(b"\r\n"):
        name, _, value = line.partition(b":")
        name = name.lower()
        if name in found or (name in _ODD and not _plain(name, value)):
            return None
        found[name] = value.strip(b" \t")
    length = found.get(b"content-length", none)
    if not length.isdigit() or len(length) > 9 or int(length) > longest:
        return None
    stop = close + 4 + int(length)
    if len(data) < stop:
        return Part(None, data)
    names = (b"authorization", b"content-encoding", b"origin")
    authorization, encoding, origin = (found.get(name, b"").decode("latin-1") for name in names)
    body = data[close + 4 : stop]
    return Part(Asked(path, authorization, encoding, body, origin), data[stop:])


def _plain(name: bytes, value: bytes) -> bool:
    return name == b"connection" and value.strip().lower() == b"keep-alive"

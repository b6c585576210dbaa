"""The guarded way out: HTTP requests to addresses that somebody else may have named.

Webhook targets come from users, certificate addresses from messages. Neither may lead into
our own network (server-side request forgery), so every connection is opened by ``guard``.
Redirects are answers like any other and are not followed; proxies of the environment are
ignored.
"""

import asyncio
import ssl
from collections.abc import Iterable, Mapping
from typing import Protocol

import httpcore
import httpx
from msgspec import Struct

from schemas.validation import Fault
from services.runtime.guard import (
    Guard,
    Refused,
    Resolve,
    is_address,
    is_allowed,
    is_public,
    private,
    resolved,
)


class Limits(Struct, frozen=True):
    """How long one request may take altogether, and how large an answer may be."""

    seconds: float = 10.0
    bytes: int = 1_000_000


class Reply(Struct, frozen=True):
    """An answer, of whatever status; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Fetch(Protocol):
    """What a caller of ``Outbound`` needs to know of it."""

    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Reply | Fault: ...


class Outbound:
    """An HTTP client that reaches public https addresses only.

    ``allowed`` are exceptions by name, ``host`` or ``host:port``: they may be http and may
    lie anywhere. Connections are kept for reuse until ``close``.
    """

    def __init__(
        self,
        allowed: Iterable[str] = (),
        limits: Limits | None = None,
        *,
        resolve: Resolve | None = None,
        trust: ssl.SSLContext | None = None,
        network: httpcore.AsyncNetworkBackend | None = None,
    ) -> None:
        self._allowed = frozenset(name.strip().lower() for name in allowed)
        self._limits = limits or Limits()
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=trust,
            max_connections=100,
            max_keepalive_connections=20,
            keepalive_expiry=30.0,
            network_backend=Guard(
                self._allowed, resolve or resolved, network or httpcore.AnyIOBackend()
            ),
        )

    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Reply | Fault:
        """Send one request; a Fault when there is no whole answer, and then why.

        Codes: bad_url, not_https, unknown_host, private_address, unreachable, timed_out,
        reply_too_large. After the last three the other side may have acted on the request.
        """
        target = self._target(url)
        if isinstance(target, Fault):
            return target
        sent = [(b"accept-encoding", b"identity")]
        sent += [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
        try:
            async with asyncio.timeout(self._limits.seconds):
                return await self._exchange(method, target, sent, body)
        except Refused as refused:
            return refused.fault
        except TimeoutError:
            return Fault("timed_out", f"No whole answer within {self._limits.seconds:g} s.")
        except (
            httpcore.NetworkError,
            httpcore.ProtocolError,
            httpcore.TimeoutException,
            OSError,
        ) as error:
            return Fault("unreachable", type(error).__name__)

    def refusal(self, url: str) -> Fault | None:
        """Why no request to ``url`` would be made, as far as the text itself tells."""
        target = self._target(url)
        if isinstance(target, Fault):
            return target
        host = target.host.decode().strip("[]")
        if is_address(host) and not is_public(host):
            port = target.port or 0
            if not is_allowed(self._allowed, host, port):
                return private()
        return None

    async def close(self) -> None:
        """Drop the kept connections."""
        await self._pool.aclose()

    def _target(self, url: str) -> httpcore.URL | Fault:
        try:
            parsed = httpx.URL(url)
        except (httpx.InvalidURL, ValueError):
            return Fault("bad_url", "This is no URL.")
        if parsed.scheme not in ("http", "https") or not parsed.host or parsed.userinfo:
            return Fault("bad_url", "A URL is https://host/path, without a user.")
        port = parsed.port or (443 if parsed.scheme == "https" else 80)
        if not 0 < port < 65_536:
            return Fault("bad_url", "There is no such port.")
        if parsed.scheme != "https" and not is_allowed(self._allowed, parsed.host, port):
            return Fault("not_https", "Only https addresses are called.")
        return httpcore.URL(
            scheme=parsed.raw_scheme, host=parsed.raw_host, port=port, target=parsed.raw_path
        )

    async def _exchange(
        self, method: str, target: httpcore.URL, headers: list[tuple[bytes, bytes]], body: bytes
    ) -> Reply | Fault:
        async with self._pool.stream(method, target, headers=headers, content=body) as response:
            parts: list[bytes] = []
            size = 0
            async for part in response.aiter_stream():
                size += len(part)
                if size > self._limits.bytes:
                    detail = f"The answer has more than {self._limits.bytes:,} bytes."
                    return Fault("reply_too_large", detail)
                parts.append(part)
            answered = {
                name.decode("latin-1").lower(): value.decode("latin-1")
                for name, value in response.headers
            }
            return Reply(response.status, answered, b"".join(parts))


class Once:
    """A ``Fetch`` that keeps nothing open: for what is asked for once in a while."""

    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Reply | Fault:
        """See ``Outbound.request``; public https addresses only."""
        outbound = Outbound()
        try:
            return await outbound.request(method, url, headers=headers, body=body)
        finally:
            await outbound.close()

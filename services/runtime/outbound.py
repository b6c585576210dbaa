"""The guarded way out: HTTP requests to addresses that somebody else may have named.

Webhook targets come from users, certificate addresses from messages. Neither may lead into
our own network (server-side request forgery), so every name is resolved here, every address
it has is judged, and the connection goes to the address that was judged: a name that
changes its mind in between (DNS rebinding) changes nothing. Redirects are answers like any
other and are not followed; proxies of the environment are ignored.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from socket import IPPROTO_TCP, gaierror
from typing import Any, Protocol

import httpcore
import httpx
from msgspec import Struct

from schemas.validation import Fault

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""The addresses of a host name, as texts; raises OSError when it has none."""

_UNICAST = ip_network("2000::/3")
"""All that is given out of IPv6 (RFC 4291 and IANA's registry)."""
_NAT64 = ip_network("64:ff9b::/96")
"""How a network without IPv4 names the IPv4 hosts outside (RFC 6052)."""
_METADATA = frozenset({ip_address("168.63.129.16")})
"""Public by number, yet answered by the cloud's own host (Azure)."""


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
            network_backend=_Guard(
                self._allowed, resolve or _resolve, network or httpcore.AnyIOBackend()
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
        except _Refused as refused:
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
        if _is_address(host) and not is_public(host):
            port = target.port or 0
            if not _is_allowed(self._allowed, host, port):
                return _private()
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
        if parsed.scheme != "https" and not _is_allowed(self._allowed, parsed.host, port):
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


def is_public(text: str) -> bool:
    """Whether an address belongs to the public internet, and to nobody's inner network.

    An IPv4 address inside an IPv6 one (mapped, NAT64, 6to4, Teredo) must be public too.
    """
    try:
        address = ip_address(text)
    except ValueError:
        return False
    if isinstance(address, IPv4Address):
        return _is_public(address)
    if address.ipv4_mapped is not None:
        return _is_public(address.ipv4_mapped)
    if address in _NAT64:
        return _is_public(IPv4Address(int(address) & 0xFFFF_FFFF))
    if address not in _UNICAST:
        return False
    inside = [each for each in (address.sixtofour, *(address.teredo or ())) if each is not None]
    return all(_is_public(each) for each in (address, *inside))


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    return address.is_global and not address.is_multicast and address not in _METADATA


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _private() -> Fault:
    detail = "The host lies in a private network. Allow it by name if that is meant."
    return Fault("private_address", detail)


def _is_allowed(allowed: Collection[str], host: str, port: int) -> bool:
    host = host.lower()
    return host in allowed or f"{host}:{port}" in allowed


class _Refused(Exception):
    """Carries a Fault through the connection pool."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.code)
        self.fault = fault


class _Guard(httpcore.AsyncNetworkBackend):
    """Opens connections to judged addresses only; TLS still checks the host's name."""

    def __init__(
        self, allowed: Collection[str], resolve: Resolve, network: httpcore.AsyncNetworkBackend
    ) -> None:
        self._allowed = allowed
        self._resolve = resolve
        self._network = network

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's signature
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        error: Exception | None = None
        for address in await self._addresses(host, port):
            try:
                return _Stream(
                    await self._network.connect_tcp(
                        address, port, timeout, local_address, socket_options
                    )
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as failed:
                error = failed
        raise error or httpcore.ConnectError("no address")

    async def sleep(self, seconds: float) -> None:
        await self._network.sleep(seconds)

    async def _addresses(self, host: str, port: int) -> Sequence[str]:
        try:
            addresses = await self._resolve(host, port)
        except (gaierror, UnicodeError, OSError):
            raise _Refused(Fault("unknown_host", "The host has no address.")) from None
        # One inner address among outer ones is no accident: the whole name is refused.
        if not _is_allowed(self._allowed, host, port) and not all(map(is_public, addresses)):
            raise _Refused(_private())
        return addresses


class _Stream(httpcore.AsyncNetworkStream):
    """A connection that is closed when TLS was given up: the pool does not know of it yet."""

    def __init__(self, inner: httpcore.AsyncNetworkStream) -> None:
        self._inner = inner

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        return await self._inner.read(max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        await self._inner.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> httpcore.AsyncNetworkStream:
        try:
            return await self._inner.start_tls(ssl_context, server_hostname, timeout)
        except BaseException:
            await self._inner.aclose()
            raise

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


async def _resolve(host: str, port: int) -> Sequence[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, proto=IPPROTO_TCP)
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))

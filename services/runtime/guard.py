"""The guard at the way out: every name is resolved here, and every address it has is judged.

The connection goes to the address that was judged: a name that changes its mind in between
(DNS rebinding) changes nothing.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from socket import IPPROTO_TCP, gaierror
from typing import Any

import httpcore

from schemas.validation import Fault

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""The addresses of a host name, as texts; raises OSError when it has none."""

_UNICAST = ip_network("2000::/3")
"""All that is given out of IPv6 (RFC 4291 and IANA's registry)."""
_NAT64 = ip_network("64:ff9b::/96")
"""How a network without IPv4 names the IPv4 hosts outside (RFC 6052)."""
_METADATA = frozenset({ip_address("168.63.129.16")})
"""Public by number, yet answered by the cloud's own host (Azure)."""


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


def is_address(host: str) -> bool:
    """Whether it is no name."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def private() -> Fault:
    """Why an inner address is refused."""
    detail = "The host lies in a private network. Allow it by name if that is meant."
    return Fault("private_address", detail)


def is_allowed(allowed: Collection[str], host: str, port: int) -> bool:
    """Whether ``host`` or ``host:port`` is among the names that are excepted."""
    host = host.lower()
    return host in allowed or f"{host}:{port}" in allowed


class Refused(Exception):
    """Carries a Fault through the connection pool."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.code)
        self.fault = fault


class Guard(httpcore.AsyncNetworkBackend):
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
            raise Refused(Fault("unknown_host", "The host has no address.")) from None
        # One inner address among outer ones is no accident: the whole name is refused.
        if not is_allowed(self._allowed, host, port) and not all(map(is_public, addresses)):
            raise Refused(private())
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


async def resolved(host: str, port: int) -> Sequence[str]:
    """Every address of a host, by the system's resolver."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, proto=IPPROTO_TCP)
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))

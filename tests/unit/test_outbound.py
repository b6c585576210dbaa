"""The guarded client reaches what it may, and nothing of what lies inside."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpcore
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from schemas.validation import Fault
from services.runtime.guard import is_public
from services.runtime.outbound import Limits, Outbound, Reply

INNER = [
    "127.0.0.1",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "100.100.100.200",
    "168.63.129.16",
    "0.0.0.0",
    "224.0.0.1",
    "255.255.255.255",
    "240.0.0.1",
    "192.0.2.1",
    "198.18.0.1",
    "::1",
    "::",
    "fe80::1",
    "fe80::1%eth0",
    "fd00:ec2::254",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "2002:7f00:1::",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::a00:1",
    "2001:db8::1",
    "not an address",
]


@pytest.mark.parametrize("address", INNER)
def test_an_inner_address_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "64:ff9b::808:808"])
def test_an_outer_address_is_public(address: str) -> None:
    assert is_public(address)


class Names:
    """A name server that answers from a script, one list a question."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self._answers = list(answers)
        self.asked = 0

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked += 1
        return self._answers.pop(0)


class Nowhere(httpcore.AsyncNetworkBackend):
    """A network that notes whom it was to connect to, and cannot."""

    def __init__(self) -> None:
        self.wanted: list[str] = []

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        self.wanted.append(host)
        raise httpcore.ConnectError


async def test_the_connection_goes_to_the_address_that_was_judged() -> None:
    names, network = Names(["8.8.8.8", "1.1.1.1"], ["127.0.0.1"]), Nowhere()
    answer = await Outbound(resolve=names, network=network).request("GET", "https://a.example/")
    assert answer == Fault("unreachable", "ConnectError")
    assert network.wanted == ["8.8.8.8", "1.1.1.1"]
    assert names.asked == 1


@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["8.8.8.8", "10.0.0.1"], ["::ffff:7f00:1"]])
async def test_a_name_with_any_inner_address_is_refused(addresses: list[str]) -> None:
    network = Nowhere()
    outbound = Outbound(resolve=Names(addresses), network=network)
    answer = await outbound.request("POST", "https://a.example/")
    assert isinstance(answer, Fault)
    assert (answer.code, network.wanted) == ("private_address", [])


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://a.example/", "not_https"),
        ("ftp://a.example/", "bad_url"),
        ("https://user:word@a.example/", "bad_url"),
        ("https:///path", "bad_url"),
        ("//a.example/", "bad_url"),
        ("https://a.example:99999/", "bad_url"),
        ("https://[::1", "bad_url"),
        ("https://\x00/", "bad_url"),
        ("", "bad_url"),
        ("https://127.0.0.1/", "private_address"),
        ("https://2130706433/", "private_address"),
        ("https://0x7f.1/", "private_address"),
        ("https://[::1]/", "private_address"),
        ("https://[::ffff:169.254.169.254]/latest/meta-data", "private_address"),
        ("https://localhost/", "private_address"),
    ],
)
async def test_a_url_that_leads_inside_is_refused_before_anything_is_sent(
    url: str, code: str
) -> None:
    network = Nowhere()
    answer = await Outbound(network=network).request("GET", url)
    assert isinstance(answer, Fault)
    assert (answer.code, network.wanted) == (code, [])


async def test_a_name_without_an_address_is_unknown() -> None:
    async def nobody(_host: str, _port: int) -> Sequence[str]:
        raise OSError

    answer = await Outbound(resolve=nobody).request("GET", "https://a.example/")
    assert answer == Fault("unknown_host", "The host has no address.")


class Server:
    """A local HTTP server that sends fixed bytes and keeps what it was asked."""

    def __init__(self, answer: bytes) -> None:
        self.asked: list[bytes] = []
        self._answer = answer
        self.port = 0
        self.calls: list[asyncio.Task[None] | None] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.calls.append(asyncio.current_task())
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            writer.close()
            return
        length = next(
            (int(line[15:]) for line in head.split(b"\r\n") if line[:15] == b"Content-Length:"), 0
        )
        self.asked.append(head + await reader.readexactly(length))
        if self._answer:
            writer.write(self._answer)
            if writer.can_write_eof():
                writer.write_eof()
        await reader.read()  # until the client hangs up
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


@asynccontextmanager
async def serving(answer: bytes, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    server = Server(answer)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=tls)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
        await asyncio.gather(*(call for call in server.calls if call is not None))


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Who: me\r\n\r\nhi"


async def test_a_host_that_is_allowed_by_name_is_reached_over_http() -> None:
    async with serving(OK) as server:
        outbound = Outbound([f"localhost:{server.port}"])
        url = f"http://localhost:{server.port}/in?a=b"
        answer = await outbound.request("POST", url, headers={"x-id": "1"}, body=b"{}")
        await outbound.close()
    assert answer == Reply(200, {"content-length": "2", "x-who": "me"}, b"hi")
    head, _, body = server.asked[0].partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"POST /in?a=b HTTP/1.1"
    assert set(lines[1:]) >= {b"Host: localhost:%d" % server.port, b"x-id: 1"}
    assert body == b"{}"


async def test_another_port_of_an_allowed_host_is_not_allowed() -> None:
    async with serving(OK) as server:
        outbound = Outbound(["localhost:1"])
        answer = await outbound.request("GET", f"https://localhost:{server.port}/")
    assert isinstance(answer, Fault)
    assert (answer.code, server.asked) == ("private_address", [])


async def test_a_redirect_is_an_answer_and_not_followed() -> None:
    moved = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\nContent-Length: 0\r\n\r\n"
    async with serving(moved) as server:
        outbound = Outbound(["localhost"])
        answer = await outbound.request("GET", f"http://localhost:{server.port}/")
        await outbound.close()
    assert isinstance(answer, Reply)
    assert (answer.status, len(server.asked)) == (302, 1)


async def test_an_answer_that_does_not_end_is_cut_off() -> None:
    endless = b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 50_000
    async with serving(endless) as server:
        outbound = Outbound(["localhost"], Limits(bytes=10_000))
        answer = await outbound.request("GET", f"http://localhost:{server.port}/")
        await outbound.close()
    assert answer == Fault("reply_too_large", "The answer has more than 10,000 bytes.")


async def test_a_host_that_does_not_answer_is_given_up() -> None:
    async with serving(b"") as server:
        outbound = Outbound(["localhost"], Limits(seconds=0.05))
        answer = await outbound.request("GET", f"http://localhost:{server.port}/")
        await outbound.close()
    assert answer == Fault("timed_out", "No whole answer within 0.05 s.")


async def test_a_host_that_does_not_shake_hands_keeps_no_connection() -> None:
    async with serving(b"") as server:
        outbound = Outbound(["localhost"], Limits(seconds=0.1))
        answer = await outbound.request("GET", f"https://localhost:{server.port}/")
        [call] = server.calls
        assert call is not None
        async with asyncio.timeout(10):
            await call  # ends when the client has hung up
    assert answer == Fault("timed_out", "No whole answer within 0.1 s.")


@pytest.mark.parametrize(
    "noise", [b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"]
)
async def test_a_host_that_does_not_speak_http_is_unreachable(noise: bytes) -> None:
    async with serving(noise) as server:
        outbound = Outbound(["localhost"])
        answer = await outbound.request("GET", f"http://localhost:{server.port}/")
        await outbound.close()
    assert answer == Fault("unreachable", "RemoteProtocolError")


def certified(name: str, folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """TLS contexts of a server with a certificate for ``name``, and of a client that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    chain = folder / "chain.pem"
    chain.write_bytes(
        pem
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(chain)
    client = ssl.create_default_context(cadata=pem.decode())
    return server, client


async def test_the_certificate_is_checked_against_the_name_not_the_address(tmp_path: Path) -> None:
    tls, trust = certified("hooks.example", tmp_path)

    async def here(_host: str, _port: int) -> Sequence[str]:
        return ["127.0.0.1"]

    async with serving(OK, tls) as server:
        outbound = Outbound(["hooks.example", "other.example"], resolve=here, trust=trust)
        right = await outbound.request("GET", f"https://hooks.example:{server.port}/")
        wrong = await outbound.request("GET", f"https://other.example:{server.port}/")
        await outbound.close()
    assert isinstance(right, Reply)
    assert right.body == b"hi"
    assert wrong == Fault("unreachable", "ConnectError")
    assert len(server.asked) == 1

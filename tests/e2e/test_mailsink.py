"""The demo's mail server: what it accepts can be listed, read and waited for over HTTP."""

import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
import pytest_asyncio

from deploy.demo import mailbox
from deploy.demo.mailsink import Sink, create_app
from deploy.local.ports import free_port

RAW = (
    b"From: Shop <shop@example.com>\r\nTo: ada@example.com\r\nMessage-ID: <m1@shop.example>\r\n"
    b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nX-Tag: one\r\nX-Tag: two\r\n"
    b"Content-Type: multipart/alternative; boundary=b\r\n\r\n"
    b"--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nHello\r\n"
    b"--b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<script>alert(1)</script>\r\n--b--\r\n"
)


@pytest.fixture
def sink() -> Sink:
    made = Sink()
    made.mailbox.add("shop@example.com", ("ada@example.com",), RAW)
    return made


@pytest_asyncio.fixture
async def http(sink: Sink) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(create_app(sink))
    async with httpx.AsyncClient(transport=transport, base_url="http://sink") as client:
        yield client


async def test_a_mail_is_shown_taken_apart(http: httpx.AsyncClient) -> None:
    page = (await http.get("/messages")).json()
    [mail] = page["items"]
    assert (mail["to"], mail["subject"], mail["text"].strip(), mail["html"].strip()) == (
        "ada@example.com",
        "Grüße",
        "Hello",
        "<script>alert(1)</script>",
    )
    assert (mail["headers"]["Message-ID"], mail["headers"]["X-Tag"]) == ("<m1@shop.example>", "one")
    assert (page["next"], page["received"], page["kept"]) == (None, 1, 1)


async def test_mails_are_found_by_recipient_and_message_id_a_page_at_a_time(
    sink: Sink, http: httpx.AsyncClient
) -> None:
    for n in range(5):
        sink.mailbox.add(
            "s@example.com", (f"p{n}@example.com",), b"Message-ID: <x%d@y>\r\n\r\n" % n
        )
    for query, ids in (
        ("to=ADA@example.com", [1]),
        ("message_id=m1@shop.example", [1]),
        ("message_id=x3", [5]),
        ("to=nobody@example.com", []),
        ("limit=2", [6, 5]),
        ("limit=2&cursor=5", [4, 3]),
    ):
        found = (await http.get(f"/messages?{query}")).json()
        assert [mail["id"] for mail in found["items"]] == ids
    assert (await http.delete("/messages")).status_code == 204
    assert (await http.get("/messages")).json()["received"] == 0


async def test_the_page_lists_mails_and_shuts_their_html_in(http: httpx.AsyncClient) -> None:
    page = (await http.get("/?id=1")).text
    assert "Grüße" in page
    assert "<iframe sandbox title" in page
    assert "<script" not in page
    framed = await http.get("/messages/1/html")
    assert framed.headers["content-security-policy"].startswith("sandbox; default-src 'none'")
    assert (await http.get("/messages/2/html")).status_code == 404


async def test_what_is_no_proper_mail_is_shown_as_far_as_it_goes(
    sink: Sink, http: httpx.AsyncClient
) -> None:
    for raw in (
        b"",
        b"\xff\xfe\x00",
        b"Content-Type: text/plain; charset=klingon\r\n\r\n\xff",
        b"Subject: =?utf-8?b?!!!?=\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x",
        b"Date: never\r\nTo: <<<>>\r\nMessage-ID: <\r\n\r\nx",
    ):
        sink.mailbox.add("", ("p@example.com",), raw)
    assert len((await http.get("/messages")).json()["items"]) == 6
    assert (await http.get("/")).status_code == 200


def test_old_mails_go_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailbox, "KEPT", 3)
    monkeypatch.setattr(mailbox, "KEPT_BYTES", 25)
    box = mailbox.Mailbox()
    for size in (1, 1, 1, 1, 20, 10):
        box.add("", ("p",), b"x" * size)
    assert ([mail.id for mail in box.find("", "", None)], box.received) == ([6], 6)


@pytest.fixture
def process() -> Iterator[tuple[subprocess.Popen[bytes], int, int]]:
    smtp, http = free_port(), free_port()
    command = [sys.executable, "-m", "deploy.demo.mailsink"]
    ports = ["--smtp-port", str(smtp), "--http-port", str(http)]
    running = subprocess.Popen([*command, *ports])
    yield running, smtp, http
    running.kill()
    running.wait()


def test_it_runs_as_a_process_and_ends_when_told(
    process: tuple[subprocess.Popen[bytes], int, int],
) -> None:
    running, smtp, http = process
    deadline = time.monotonic() + 30
    while True:
        try:
            assert httpx.get(f"http://127.0.0.1:{http}/health/live").json() == {"status": "live"}
            break
        except httpx.TransportError:
            assert time.monotonic() < deadline
            assert running.poll() is None
    with socket.create_connection(("127.0.0.1", smtp), timeout=5) as connection:
        assert connection.recv(100).startswith(b"220 ")
    running.terminate()
    assert running.wait(timeout=10) == 0

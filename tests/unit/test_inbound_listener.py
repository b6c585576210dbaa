"""The mail listener: real SMTP and LMTP, and ingest's own routes in this process."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from aiosmtplib import SMTP, SMTPConnectResponseError, SMTPDataError, SMTPRecipientRefused
from pydantic import SecretStr

from services.ingest.inbound_mail.api import create_app
from services.ingest.inbound_mail.letterbox import Courier, Letterbox
from services.ingest.inbound_mail.settings import InboundMailSettings, MailRoute
from tests.hooking import Tray, doorway, source

MAIL = (
    b"From: Ann <ann@customer.example>\r\nMessage-ID: <a@b>\r\nSubject: Tea\r\n\r\nIs it back?\r\n"
)
ROUTE = MailRoute(source="shop", token=SecretStr("word"))
ROUTES = {"Help@shop.example": ROUTE, "@other.example": ROUTE}


def settings(**given: Any) -> InboundMailSettings:
    routed = {"inbound_mail_routes": ROUTES, "inbound_mail_smtp_port": 0}
    return InboundMailSettings(**{**routed, **given})


@asynccontextmanager
async def listening(tray: Tray, token: str = "word", **given: Any) -> AsyncIterator[int]:
    """The port of a listener whose ingest is in this process."""
    chosen = settings(inbound_mail_ingest_url="http://ingest", **given)
    async with doorway(tray, source("mail", {"token": [token]})) as client:
        letterbox = Letterbox(chosen, Courier(chosen, client))
        port = await letterbox.start()
        try:
            yield port
        finally:
            await letterbox.stop()


@asynccontextmanager
async def sender(port: int) -> AsyncIterator[SMTP]:
    client = SMTP(hostname="127.0.0.1", port=port, start_tls=False)
    async with client:
        yield client


async def test_a_mail_is_acknowledged_once_its_event_is_stored() -> None:
    tray = Tray()
    async with listening(tray) as port, sender(port) as client:
        _, answer = await client.sendmail("<ann@customer.example>", ["help+4@SHOP.example"], MAIL)
    assert answer == "2.0.0 Taken"
    [event] = tray.events
    assert (event["event"], event["context"]["traits"]) == (
        "Email Received",
        {"email": "ann@customer.example"},
    )
    assert event["properties"] == {
        "conversation_id": "a@b",
        "message_id": "a@b",
        "from_name": "Ann",
        "to": "help+4@SHOP.example",
        "subject": "Tea",
        "text": "Is it back?",
    }


async def test_a_bounce_is_known_by_its_empty_return_path() -> None:
    tray = Tray()
    async with listening(tray) as port, sender(port) as client:
        await client.ehlo()
        await client.execute_command(b"MAIL FROM:<>")
        await client.rcpt("help@shop.example")
        await client.data(MAIL)
    assert tray.events[0]["properties"]["automatic"] is True


async def test_while_ingest_cannot_store_the_mail_is_to_come_again_and_counts_once() -> None:
    tray = Tray()
    async with listening(tray) as port, sender(port) as client:
        tray.trouble = "Kafka is away."
        with pytest.raises(SMTPDataError) as refused:
            await client.sendmail("ann@customer.example", ["help@shop.example"], MAIL)
        tray.trouble = None
        for _ in range(2):
            await client.sendmail("ann@customer.example", ["help@shop.example"], MAIL)
    assert refused.value.code == 451
    assert len({event["messageId"] for event in tray.events}) == 1


async def test_mail_to_others_is_refused() -> None:
    tray = Tray()
    async with listening(tray) as port, sender(port) as client:
        await client.mail("ann@customer.example")
        for stranger in ("root@shop.example", "help@shop.example.evil.example", "help"):
            with pytest.raises(SMTPRecipientRefused) as refused:
                await client.rcpt(stranger)
            assert refused.value.code == 550
        await client.rcpt("anything@Other.example")
    assert tray.events == []


@pytest.mark.parametrize(
    ("token", "mail", "code"),
    [("other", MAIL, 451), ("word", b"\r\n" + b"\r\n--x" * 6_000, 554)],
)
async def test_what_ingest_refuses_is_not_acknowledged(token: str, mail: bytes, code: int) -> None:
    tray = Tray()
    async with listening(tray, token) as port, sender(port) as client:
        with pytest.raises(SMTPDataError) as refused:
            await client.sendmail("ann@customer.example", ["help@shop.example"], mail)
    assert (refused.value.code, tray.events) == (code, [])


async def test_lmtp_answers_for_each_recipient() -> None:
    tray = Tray()
    async with listening(tray, inbound_mail_protocol="lmtp") as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)

        async def say(line: bytes, answers: int = 1) -> list[bytes]:
            writer.write(line + b"\r\n")
            return [(await reader.readline())[:3] for _ in range(answers)]

        assert (await reader.readline())[:3] == b"220"
        assert await say(b"EHLO mx.shop.example") == [b"500"]
        writer.write(b"LHLO mx.shop.example\r\n")
        while (await reader.readline())[3:4] == b"-":
            pass
        await say(b"MAIL FROM:<ann@customer.example>")
        await say(b"RCPT TO:<help@shop.example>")
        await say(b"RCPT TO:<two@other.example>")
        assert await say(b"DATA") == [b"354"]
        assert await say(MAIL + b".", answers=2) == [b"250", b"250"]
        writer.close()
        await writer.wait_closed()
    assert [event["properties"]["to"] for event in tray.events] == [
        "help@shop.example",
        "two@other.example",
    ]


async def test_more_connections_than_allowed_are_sent_away() -> None:
    async with listening(Tray(), inbound_mail_connections=1) as port, sender(port):
        with pytest.raises(SMTPConnectResponseError) as refused:
            async with sender(port):
                pass
    assert refused.value.code == 421


async def test_a_mail_that_is_too_large_is_refused_before_it_is_sent() -> None:
    async with listening(Tray()) as port, sender(port) as client:
        await client.ehlo()
        answer = await client.execute_command(b"MAIL FROM:<a@b.example> SIZE=99000000")
    assert answer.code == 552


class Away(httpx.AsyncBaseTransport):
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("nobody")


async def test_without_ingest_nothing_is_acknowledged() -> None:
    async with httpx.AsyncClient(transport=Away()) as client:
        assert await Courier(settings(), client)(ROUTE, MAIL) == (
            "451 4.3.0 Not stored: try again later"
        )


async def test_the_process_says_whether_it_can_work() -> None:
    async def ready(**given: Any) -> tuple[int, str]:
        app = create_app(settings(inbound_mail_ingest_url="http://127.0.0.1:9", **given))
        transport = httpx.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://listener") as client,
            sender(app.state.smtp_port) as line,
        ):
            assert (await line.noop()).code == 250
            answer = await client.get("/health/ready")
        return answer.status_code, answer.json()["detail"]

    assert await ready() == (503, "Ingest does not answer (ConnectError).")
    assert await ready(inbound_mail_routes={}) == (
        503,
        "No address is routed: set REGULARS_INBOUND_MAIL_ROUTES.",
    )

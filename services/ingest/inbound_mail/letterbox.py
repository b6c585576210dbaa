"""Mail by SMTP (RFC 5321) or LMTP (RFC 2033), brought to ingest before it is acknowledged.

Stands behind the shop's mail server, which knows of spam, TLS and queues: 250 is answered
once ingest has stored the mail's event, and 451 otherwise, so that the server tries again. A
repetition counts once, by the mail's Message-ID. Nothing is kept here.
"""

import asyncio
import re
from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import quote

import httpx
import structlog
from aiosmtpd.lmtp import LMTP
from aiosmtpd.smtp import SMTP, Envelope, Session

from services.ingest.hooks.model import MAX_MAIL
from services.ingest.inbound_mail.settings import InboundMailSettings, MailRoute
from services.runtime import metrics

log = structlog.get_logger()

_TAKEN = "250 2.0.0 Taken"
_LATER = "451 4.3.0 Not stored: try again later"
_ANSWERS: Mapping[int, str] = {
    200: _TAKEN,
    400: "554 5.6.0 The mail cannot be read",
    413: "552 5.3.4 The mail is too large",
}
_MISUSED = frozenset({401, 403, 404, 405})
"""Ingest does not know us: our fault, so the mail server may keep the mail until it is mended."""
_UNFIT = re.compile(r"[\x00-\x20<>\x7f]")
_IDLE_SECONDS = 120.0


class Bring(Protocol):
    """Brings a mail to a source, and says what to answer."""

    async def __call__(self, route: MailRoute, mail: bytes) -> str: ...


class Courier:
    """Brings mails to ingest's webhooks over HTTP."""

    def __init__(self, settings: InboundMailSettings, client: httpx.AsyncClient) -> None:
        self._base = settings.inbound_mail_ingest_url.rstrip("/")
        self._client = client

    async def __call__(self, route: MailRoute, mail: bytes) -> str:
        """The SMTP answer to ``mail``."""
        try:
            response = await self._client.post(
                f"{self._base}/v1/hooks/{quote(route.source, safe='')}",
                content=mail,
                headers={"content-type": "message/rfc822"},
                auth=("inbound-mail", route.token.get_secret_value()),
            )
        except httpx.HTTPError as error:
            log.warning("ingest away", error=type(error).__name__)
            return _LATER
        if response.status_code in _MISUSED:
            log.error("ingest refuses us", source=route.source, status=response.status_code)
        return _ANSWERS.get(response.status_code, _LATER)


class Letterbox:
    """The listener: an aiosmtpd handler, and its server."""

    def __init__(self, settings: InboundMailSettings, bring: Bring) -> None:
        self._settings = settings
        self._routes = {
            address.strip().lower(): route
            for address, route in settings.inbound_mail_routes.items()
        }
        self._bring = bring
        self._server: asyncio.Server | None = None
        self.connected = 0

    async def start(self) -> int:
        """Listen; answers the port (a free one for 0)."""
        loop = asyncio.get_running_loop()
        settings = self._settings
        self._server = await loop.create_server(
            self._line, settings.host, settings.inbound_mail_smtp_port
        )
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Take no more. Who is in the middle of a mail was not answered, and comes again."""
        if self._server is not None:
            self._server.close()

    async def handle_RCPT(  # noqa: N802  # aiosmtpd's names
        self, _server: SMTP, _session: Session, envelope: Envelope, to: str, _options: list[str]
    ) -> str:
        if self.route(to) is None:
            return "550 5.1.1 No mailbox of this name"
        envelope.rcpt_tos.append(to)
        return "250 2.1.5 OK"

    async def handle_DATA(  # noqa: N802
        self, _server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        content = envelope.content or b""
        assert isinstance(content, bytes)
        answers = [
            await self._deliver(envelope.mail_from or "", to, content) for to in envelope.rcpt_tos
        ]
        if self._settings.inbound_mail_protocol == "lmtp":
            return "\r\n".join(answers)  # one for each recipient (RFC 2033, 4.2)
        # One answer for all: what is brought again to those who have it counts once.
        return max(answers, key=lambda answer: (answer == _LATER, answer != _TAKEN))

    def route(self, address: str) -> MailRoute | None:
        """Where mail to ``address`` goes; ``name+anything@`` is ``name@``."""
        local, _, domain = address.strip().lower().rpartition("@")
        for name in (f"{local}@{domain}", f"{local.partition('+')[0]}@{domain}", f"@{domain}"):
            if name in self._routes:
                return self._routes[name]
        return None

    async def _deliver(self, mail_from: str, to: str, content: bytes) -> str:
        route = self.route(to)
        assert route is not None
        # The trace that a final delivery adds (RFC 5321, 4.4), above what the sender wrote.
        trace = f"Return-Path: <{_fit(mail_from)}>\r\nDelivered-To: {_fit(to)}\r\n"
        answer = await self._bring(route, trace.encode("utf-8", "replace") + content)
        metrics.INBOUND_MAILS.labels(answer[:3]).inc()
        return answer

    def _line(self) -> SMTP:
        """The protocol of one connection."""
        letterbox = self
        speaks: Any = LMTP if self._settings.inbound_mail_protocol == "lmtp" else SMTP

        class Line(speaks):  # type: ignore[misc]
            def connection_made(self, transport: Any) -> None:
                letterbox.connected += 1
                super().connection_made(transport)
                if letterbox.connected > letterbox._settings.inbound_mail_connections:
                    transport.write(b"421 4.3.2 Too many connections\r\n")
                    transport.close()

            def connection_lost(self, error: Exception | None) -> None:
                letterbox.connected -= 1
                super().connection_lost(error)

        line: SMTP = Line(
            self,
            hostname="inbound-mail",
            ident="inbound-mail",
            enable_SMTPUTF8=True,
            data_size_limit=MAX_MAIL - 10_000,  # with room for the trace
            timeout=_IDLE_SECONDS,
        )
        return line


def _fit(address: str) -> str:
    return _UNFIT.sub("", address)[:320]

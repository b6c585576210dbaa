"""The demo's mail server: accepts every mail over SMTP, delivers none, shows all over HTTP.

    python -m deploy.demo.mailsink --smtp-port 1025 --http-port 1080

For tests it can also be slow, refuse, or hang up (``PUT /faults``).
"""

import argparse
import asyncio
import signal
from itertools import islice
from typing import Annotated, Any, Literal

import uvloop
from aiosmtpd.smtp import SMTP, Envelope, Session
from fastapi import FastAPI, HTTPException, Query
from fastapi.responses import HTMLResponse
from granian.constants import Interfaces
from granian.server.embed import Server
from pydantic import BaseModel, Field

from deploy.demo import mailpage
from deploy.demo.mailbox import MailAnswer, Mailbox


class Faults(BaseModel):
    """What goes wrong with the mails that follow. All defaults: nothing."""

    delay_seconds: float = Field(0, ge=0, le=60, description="Wait before answering the text.")
    reject: int | None = Field(None, ge=400, le=599, description="The code to refuse with.")
    reject_at: Literal["rcpt", "data"] = "rcpt"
    drop_after_data: bool = Field(False, description="Keep the mail, hang up without an answer.")
    times: int | None = Field(None, ge=1, description="Only the next so many; null: all.")


class MailPage(BaseModel):
    """Mails, the latest first; ``next`` is the cursor of what follows."""

    items: list[MailAnswer]
    next: str | None
    received: int = Field(description="Accepted since the start or the last DELETE.")
    kept: int


class Sink:
    """The SMTP side: an aiosmtpd handler with faults."""

    def __init__(self) -> None:
        self.mailbox = Mailbox()
        self.faults = Faults()
        self._server: asyncio.Server | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen; answers the port (a free one for 0)."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._protocol, host, port)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()

    def _protocol(self) -> SMTP:
        return SMTP(self, hostname="mailsink", enable_SMTPUTF8=True, data_size_limit=None)

    async def handle_RCPT(  # noqa: N802  # aiosmtpd's names
        self, _server: SMTP, _session: Session, envelope: Envelope, to: str, _options: list[str]
    ) -> str:
        if self.faults.reject is not None and self.faults.reject_at == "rcpt":
            return self._refuse(self._next_fault())
        envelope.rcpt_tos.append(to)
        return "250 OK"

    async def handle_DATA(  # noqa: N802
        self, server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        faults = self._next_fault()
        await asyncio.sleep(faults.delay_seconds)
        if faults.reject is not None:
            return self._refuse(faults)
        raw = envelope.content or b""
        assert isinstance(raw, bytes)
        self.mailbox.add(envelope.mail_from or "", tuple(envelope.rcpt_tos), raw)
        if faults.drop_after_data:
            transport: Any = server.transport  # uvloop's is no asyncio.Transport
            transport.abort()
        return "250 OK"

    def _next_fault(self) -> Faults:
        faults = self.faults
        if faults.times is not None:
            left = faults.times - 1
            self.faults = faults.model_copy(update={"times": left}) if left else Faults()
        return faults

    def _refuse(self, faults: Faults) -> str:
        code = faults.reject or 451
        status = "5.1.1" if code >= 500 else "4.3.0"
        return f"{code} {status} refused on request"


def create_app(sink: Sink) -> FastAPI:
    """The HTTP side of ``sink``."""
    app = FastAPI(title="Mail sink", docs_url=None, redoc_url=None)

    @app.get("/messages", summary="Mails, the latest first")
    async def messages(
        to: str = "",
        message_id: str = "",
        cursor: int | None = None,
        limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
    ) -> MailPage:
        found = []
        for mail in sink.mailbox.find(to, message_id, cursor):
            found.append(mail)
            if len(found) > limit:
                break
        items = [mail.parsed for mail in found[:limit]]
        following = str(items[-1].id) if len(found) > limit else None
        return MailPage(
            items=items,
            next=following,
            received=sink.mailbox.received,
            kept=len(sink.mailbox),
        )

    @app.delete("/messages", summary="Forget all mails", status_code=204)
    async def forget() -> None:
        sink.mailbox.clear()

    @app.get("/messages/{id_}/html", summary="One mail's HTML, shut in")
    async def html(id_: int) -> HTMLResponse:
        mail = sink.mailbox.get(id_)
        if mail is None or mail.parsed.html is None:
            raise HTTPException(404)
        return HTMLResponse(mail.parsed.html, headers=mailpage.SHUT_IN)

    @app.get("/faults", summary="What goes wrong on purpose")
    async def faults() -> Faults:
        return sink.faults

    @app.put("/faults", summary="Make things go wrong")
    async def put_faults(body: Faults) -> Faults:
        sink.faults = body
        return body

    @app.get("/health/live", summary="Is it alive?")
    async def live() -> dict[str, str]:
        return {"status": "live"}

    @app.get("/", response_class=HTMLResponse, include_in_schema=False)
    async def page(id_: Annotated[int | None, Query(alias="id")] = None, to: str = "") -> str:
        mails = [mail.parsed for mail in islice(sink.mailbox.find(to, "", None), 100)]
        opened = sink.mailbox.get(id_) if id_ is not None else None
        shown = opened.parsed if opened is not None else None
        return mailpage.page(mails, shown, sink.mailbox.received, to)

    return app


async def serve(host: str, smtp_port: int, http_port: int) -> None:
    """Run both until SIGTERM or SIGINT."""
    sink = Sink()
    await sink.start(host, smtp_port)
    server = Server(
        create_app(sink),
        address=host,
        port=http_port,
        interface=Interfaces.ASGI,
        websockets=False,
        log_enabled=False,
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.stop)
    await server.serve()
    await sink.stop()


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="mailsink", description="Accepts mail, delivers none.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--smtp-port", type=int, default=1025)
    parser.add_argument("--http-port", type=int, default=1080)
    options = parser.parse_args(arguments)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(options.host, options.smtp_port, options.http_port))


if __name__ == "__main__":
    main()

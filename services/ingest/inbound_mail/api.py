"""The process: the listener, and beside it health and metrics over HTTP."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from fastapi import FastAPI

from services.ingest.inbound_mail.letterbox import Courier, Letterbox
from services.ingest.inbound_mail.settings import InboundMailSettings
from services.runtime.http import create_api


def create_app(settings: InboundMailSettings | None = None) -> FastAPI:
    """The pages of the listener, which listens for as long as the app runs."""
    settings = settings or InboundMailSettings()
    client = httpx.AsyncClient(timeout=settings.inbound_mail_seconds, trust_env=False)
    letterbox = Letterbox(settings, Courier(settings, client))

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.smtp_port = await letterbox.start()
        try:
            yield
        finally:
            await letterbox.stop()
            await client.aclose()

    async def unready() -> str | None:
        if not settings.inbound_mail_routes:
            return "No address is routed: set REGULARS_INBOUND_MAIL_ROUTES."
        try:
            response = await client.get(f"{settings.inbound_mail_ingest_url}/health/ready")
        except httpx.HTTPError as error:
            return f"Ingest does not answer ({type(error).__name__})."
        return None if response.status_code == 200 else "Ingest is not ready."

    return create_api(
        name="inbound mail",
        summary="Takes mail by SMTP or LMTP and brings it to ingest.",
        settings=settings,
        lifespan=lifespan,
        ready=unready,
    )

"""Settings of the mail listener, from ``REGULARS_*`` environment variables."""

from typing import Literal

from pydantic import BaseModel, Field, SecretStr

from services.runtime.settings import Settings


class MailRoute(BaseModel):
    """Where the mail to an address goes: a source of kind ``mail``, and its secret ``token``."""

    source: str
    token: SecretStr


class InboundMailSettings(Settings):
    """Addresses, and where their mail goes."""

    inbound_mail_port: int = 8120
    """HTTP: health and metrics."""
    inbound_mail_smtp_port: int = 2525
    """Where mail servers bring their mail."""
    inbound_mail_protocol: Literal["smtp", "lmtp"] = "smtp"
    inbound_mail_routes: dict[str, MailRoute] = Field(default_factory=dict)
    """Address -> its source: ``{"help@shop.example": {"source": "support", "token": "..."}}``.
    ``@shop.example`` stands for every other address there. All else is refused."""
    inbound_mail_ingest_url: str = "http://127.0.0.1:8100"
    inbound_mail_seconds: float = Field(30.0, gt=0)
    """How long a mail waits for ingest before its sender is told to come again."""
    inbound_mail_connections: int = Field(20, ge=1)
    """Mail servers that may be connected at once; each may hold one mail in memory."""

"""The settings of the notifier, beside those that every process shares."""

from pydantic import Field, SecretStr

from services.runtime.settings import Settings


class NotifierSettings(Settings):
    """Where mail goes, where consent is asked for, and how hard to try."""

    notifier_port: int = 8400
    """The API's port."""
    notifier_worker_port: int = 8410
    """The port of the worker's metrics and health."""
    notifier_public_url: str = "http://127.0.0.1:8400"
    """The API as people's mail clients reach it: unsubscribe and confirmation links begin so."""
    notifier_secret: SecretStr = SecretStr("")
    """Signs unsubscribe and confirmation links, hashes addresses; at least 16 characters. Required.

    With another secret, links in mails already sent stop working.
    """
    notifier_message_domain: str = "regulars.invalid"
    """The right side of Message-ID headers: a domain of yours."""

    notifier_profile_url: str = "http://127.0.0.1:8200"
    """The profile API, asked for traits and consent before each send."""
    notifier_profile_token: SecretStr = SecretStr("")
    """A bearer token with the role reader there."""
    notifier_profile_seconds: float = Field(5.0, gt=0)
    """How long one answer of the profile API may take."""

    notifier_confirm_days: int = Field(7, ge=1, le=60)
    """How long the link works by which somebody confirms a consent (double opt-in)."""
    notifier_confirm_hourly: int = Field(5, ge=1)
    """Of these mails, how many one person gets within an hour at most."""
    notifier_confirm_daily: int = Field(10, ge=1)
    """Of these mails, how many go to one address within a day at most, whoever gives it as
    theirs."""
    notifier_confirm_most: int = Field(5, ge=1)
    """How often a person who signs up again and again is asked to confirm the same for the same
    address; a refusal in between starts anew."""
    notifier_confirm_from: str = ""
    """Who sends that mail: ``Shop <hello@shop.example>``. Empty: confirm@ the message domain."""
    notifier_confirm_subject: str = "Please confirm that you want our emails"
    """Its subject; like its text it is a Liquid template."""
    notifier_confirm_text: str = ""
    """Its text, in which ``{{ confirm_url }}`` is the link; also ``traits`` and ``purpose``.
    Empty: a few plain sentences."""
    notifier_confirm_html: str = ""
    """The same as HTML; empty: text only."""

    smtp_host: str = "127.0.0.1"
    smtp_port: int = 1025
    smtp_user: str = ""
    smtp_password: SecretStr = SecretStr("")
    smtp_tls: bool = False
    """TLS from the first byte (port 465); otherwise STARTTLS is used where it is offered."""
    smtp_connections: int = Field(10, ge=1)
    """Connections kept open: the most mails whose fate a crash can leave uncertain."""
    smtp_seconds: float = Field(60.0, gt=0)
    """How long the server may take to answer a command."""
    smtp_data_seconds: float = Field(600.0, gt=0)
    """How long it may take to accept a whole message (RFC 5321, 4.5.3.2.6: 10 minutes)."""

    notifier_queue: int = Field(2_000, ge=1)
    """Messages held in memory for sending; the rest wait in the ledger."""
    notifier_hold_seconds: float = Field(30.0, gt=0)
    """How long a message waits on a connection for a server that is away."""
    notifier_poll_seconds: float = Field(5.0, gt=0)
    """How often the ledger is asked for due messages that nobody has handed over."""
    notifier_grace_seconds: float = Field(15.0, gt=0)
    """How long a former owner of a partition has to report what it had in flight."""
    notifier_retry_limit: int = Field(8, ge=1)
    notifier_retry_first_seconds: float = Field(30.0, gt=0)
    notifier_retry_cap_seconds: float = Field(3_600.0, gt=0)


def secret_of(settings: NotifierSettings) -> bytes:
    """The signing secret; raises ``ValueError`` when there is none worth the name."""
    secret = settings.notifier_secret.get_secret_value().encode()
    if len(secret) < 16:
        raise ValueError("set REGULARS_NOTIFIER_SECRET to at least 16 characters")
    return secret

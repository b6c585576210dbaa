"""Settings of the console, beside those that every process shares."""

from pydantic import Field, SecretStr

from services.runtime.settings import Settings


class ConsoleSettings(Settings):
    """Where the console answers, which APIs it asks, and as whom."""

    console_port: int = 8000
    """The port of the pages."""
    console_ingest_url: str = "http://127.0.0.1:8100"
    console_profile_url: str = "http://127.0.0.1:8200"
    console_segmentation_url: str = "http://127.0.0.1:8300"
    console_notifier_url: str = "http://127.0.0.1:8400"
    console_reporting_url: str = "http://127.0.0.1:8500"
    console_seconds: float = Field(5.0, gt=0, le=30)
    """How long one answer of an API may take."""
    console_refresh_seconds: float = Field(2.0, gt=0)
    """How often the overview asks for new numbers."""

    console_token: SecretStr = SecretStr("")
    """A bearer token of the APIs that every visitor gets: for a demo on one machine, or behind
    a proxy that logs people in. Empty: visitors log in with a token of their own."""
    console_session_hours: float = Field(12.0, gt=0)
    """How long a login lasts."""

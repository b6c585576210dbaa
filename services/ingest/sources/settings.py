"""Settings of ``regulars sources``, which asks a running ingest."""

from pydantic import SecretStr

from services.runtime.settings import Settings


class SourcesSettings(Settings):
    """Whom the command asks, and as whom."""

    ingest_url: str = "http://127.0.0.1:8100"
    """Where ``regulars sources`` finds the API of ingest."""
    admin_token: SecretStr = SecretStr("")
    """The bearer token of ``regulars sources``: an admin's to change something."""

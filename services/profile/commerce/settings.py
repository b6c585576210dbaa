"""Settings of ``regulars rates``, which asks a running profile API."""

from pydantic import SecretStr

from services.runtime.settings import Settings


class RatesSettings(Settings):
    """Whom the command asks, and as whom."""

    profile_url: str = "http://127.0.0.1:8200"
    """Where ``regulars rates`` finds the API of profile."""
    admin_token: SecretStr = SecretStr("")
    """The bearer token of ``regulars sources`` and ``regulars rates``: an admin's to change
    something."""

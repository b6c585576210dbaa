"""Secrets at rest: write keys and tokens are configured as SHA-256, never in the clear."""

from collections.abc import Mapping
from hashlib import sha256
from hmac import compare_digest


def digest(secret: str) -> str:
    """SHA-256 of a key or token, in hex, as the settings hold it.

    Keys are long random strings, so that a slow password hash would add nothing but load.
    """
    return sha256(secret.encode("utf-8", "backslashreplace")).hexdigest()


class Keyring:
    """Finds what a secret stands for (a source, a role) among hashed secrets."""

    def __init__(self, hashed: Mapping[str, str]) -> None:
        self._entries = [(key.lower().encode(), meaning) for key, meaning in hashed.items()]

    def find(self, secret: str) -> str | None:
        """What ``secret`` stands for, or None. Takes as long for a near miss as for any other."""
        wanted = digest(secret).encode()
        found = None
        for key, meaning in self._entries:
            if compare_digest(key, wanted):
                found = meaning
        return found

"""Secrets at rest that must be read again: sealed with Fernet, opened only where they are used.

A seal names the second in which it was made (Fernet spec, "Timestamp"), so a rotated secret's
previous value needs no date of its own.
"""

from base64 import urlsafe_b64decode
from binascii import Error
from collections.abc import Sequence
from datetime import UTC, datetime

from cryptography.fernet import Fernet, InvalidToken, MultiFernet


class NoSecretKeys(Exception):
    """REGULARS_SECRET_KEYS is empty: nothing can be sealed."""


class Seals:
    """Seals with the first key, opens with any. ``ValueError`` when a key is none."""

    def __init__(self, keys: Sequence[str]) -> None:
        try:
            fernets = [Fernet(key) for key in keys]
        except ValueError:
            # Never the value itself: this ends in a log.
            raise ValueError(
                "REGULARS_SECRET_KEYS: each must be 32 bytes in URL-safe base64; "
                "`regulars sources secret-key` makes one"
            ) from None
        self._fernet = MultiFernet(fernets) if fernets else None

    def seal(self, value: str, at: datetime) -> str:
        """``value`` sealed; raises ``NoSecretKeys``."""
        if self._fernet is None:
            raise NoSecretKeys
        return self._fernet.encrypt_at_time(value.encode(), int(at.timestamp())).decode()

    def open(self, sealed: str) -> str | None:
        """The value; None when none of the keys opens it."""
        if self._fernet is None:
            return None
        try:
            return self._fernet.decrypt(sealed).decode()
        except InvalidToken:
            return None


def sealed_at(sealed: str) -> datetime:
    """When it was sealed, to the second; 1970 when it is no seal."""
    try:
        return datetime.fromtimestamp(int.from_bytes(urlsafe_b64decode(sealed)[1:9]), UTC)
    except (Error, ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(0, UTC)

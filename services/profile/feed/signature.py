"""Standard Webhooks: secrets, and the signature of what is sent.

Source: https://github.com/standard-webhooks/standard-webhooks, spec/standard-webhooks.md
(symmetric signatures, ``v1``).
"""

import hmac
from base64 import b64decode, b64encode
from binascii import Error
from collections.abc import Sequence
from hashlib import sha256

PREFIX = "whsec_"
SECRET_BYTES = 32
"""The specification asks for 24 to 64."""


def secret_of(key: bytes) -> str:
    """The key as a receiver configures it."""
    return PREFIX + b64encode(key).decode()


def key_of(secret: str) -> bytes:
    """The inverse; raises ``ValueError`` for what is no secret."""
    try:
        return b64decode(secret.removeprefix(PREFIX), validate=True)
    except Error:
        raise ValueError("not a webhook secret") from None


def sign(secrets: Sequence[str], webhook_id: str, timestamp: int, body: bytes) -> str:
    """``webhook-signature``: one for each secret, so that a receiver may have any of them."""
    said = f"{webhook_id}.{timestamp}.".encode() + body
    signatures = (hmac.digest(key_of(secret), said, sha256) for secret in secrets)
    return " ".join(f"v1,{b64encode(each).decode()}" for each in signatures)


def headers(secrets: Sequence[str], webhook_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Everything that a delivery carries beside its body; ``timestamp`` is in seconds."""
    return {
        "content-type": "application/json",
        "user-agent": "Regulars-Webhooks/1",
        "webhook-id": webhook_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": sign(secrets, webhook_id, timestamp, body),
    }

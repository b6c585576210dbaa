"""Is this delivery signed by somebody who knows the secret? Pure, and in constant time."""

import hmac
from base64 import b64encode
from collections.abc import Sequence
from typing import Literal

from schemas.validation import Fault

Algorithm = Literal["sha256", "sha1", "sha512"]
Encoding = Literal["base64", "hex"]

BAD_SIGNATURE = Fault("bad_signature", "The signature does not fit the body and the secret.")


def sign(
    secret: bytes, payload: bytes, algorithm: Algorithm = "sha256", encoding: Encoding = "base64"
) -> str:
    """The HMAC of ``payload`` as a provider writes it (RFC 2104)."""
    mac = hmac.digest(secret, payload, algorithm)
    return mac.hex() if encoding == "hex" else b64encode(mac).decode()


def check(
    secrets: Sequence[bytes],
    payload: bytes,
    given: Sequence[str],
    algorithm: Algorithm = "sha256",
    encoding: Encoding = "base64",
) -> Fault | None:
    """None when one of ``given`` is the signature by one of ``secrets``.

    Every pair is compared, so that time tells neither how near a guess was nor which secret
    of a rotation fits. Codes: missing_secret, bad_signature.
    """
    secrets = [secret for secret in secrets if secret]  # with no key, anybody could sign
    if not secrets:
        return missing_secret()
    found = False
    for secret in secrets:
        wanted = sign(secret, payload, algorithm, encoding)
        for one in given:
            text = one.strip()
            if encoding == "hex":
                text = text.lower()
            found |= hmac.compare_digest(wanted.encode(), text.encode("utf-8", "replace"))
    return None if found else BAD_SIGNATURE


def missing_secret(name: str = "secret") -> Fault:
    """Nothing is believed of a source that has no secret to check it by."""
    return Fault("missing_secret", f"The source has no {name} yet, so nothing can be verified.")

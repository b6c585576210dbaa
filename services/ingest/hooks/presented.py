"""What a provider shows besides signatures: passwords, tokens, and how old its word is. Pure."""

import binascii
import hmac
from base64 import b64decode
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from schemas.validation import Fault
from services.ingest.hooks.model import Delivery, Options
from services.ingest.hooks.reading import Tolerance, settled

BAD_SECRET = Fault("bad_secret", "The password or token is none of this source.")


def shown(secrets: Sequence[str], value: str | None) -> bool:
    """Whether ``value`` is one of ``secrets``, in constant time."""
    found = False
    given = (value or "").encode("utf-8", "surrogatepass")
    for secret in secrets:
        found |= hmac.compare_digest(secret.encode("utf-8", "surrogatepass"), given) and bool(given)
    return found


def basic(headers: Mapping[str, str]) -> str | None:
    """``user:password`` of HTTP Basic, or None."""
    scheme, _, credentials = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        return b64decode(credentials.strip(), validate=True).decode()
    except (binascii.Error, ValueError):
        return None


def token(delivery: Delivery) -> str | None:
    """A token as providers can be made to send it: ``?token=``, or the password of HTTP Basic."""
    credentials = basic(delivery.headers)
    return delivery.query.get("token") or (credentials and credentials.partition(":")[2])


def stale(timestamp: str | None, now: datetime, options: Options, default: float) -> Fault | None:
    """Why a signature of ``timestamp`` (Unix seconds) is from another time, or None.

    ``options.tolerance_seconds`` says how far it may be from now, else ``default``. Codes:
    stale_signature, bad_options.
    """
    given = settled(options, Tolerance)
    if isinstance(given, Fault):
        return given
    tolerance = default if given.tolerance_seconds is None else given.tolerance_seconds
    try:
        signed_at = datetime.fromtimestamp(float(timestamp or ""), UTC)
    except (ValueError, OverflowError, OSError):
        return Fault("stale_signature", "The signature has no time.")
    if abs(now - signed_at) > timedelta(seconds=tolerance):
        return Fault("stale_signature", f"Signed more than {tolerance:,.0f} s from now.")
    return None

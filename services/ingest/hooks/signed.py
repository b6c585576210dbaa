"""Signatures as a source declares them: an HMAC of any make, Standard Webhooks, a token. Pure.

Standard Webhooks (its specification, "Verifying webhook authenticity"): ``webhook-signature``
is a list of ``v1,<base64 HMAC-SHA256 of id.timestamp.body>``, the secret ``whsec_<base64>``.
"""

import binascii
import re
from base64 import b64decode
from collections.abc import Sequence
from hmac import compare_digest

from schemas.validation import Fault
from services.ingest.hooks.body import instant
from services.ingest.hooks.generic_model import Signature
from services.ingest.hooks.model import Delivery
from services.ingest.hooks.signature import BAD_SIGNATURE, check, missing_secret

_PREFIX = "whsec_"
_UNIX = re.compile(r"[0-9]{1,13}")
_STALE = Fault("stale_signature", "The delivery was signed too long ago, or for the future.")


def verify(delivery: Delivery, secrets: Sequence[str], said: Signature) -> Fault | None:
    """Codes: missing_secret, bad_signature, stale_signature."""
    secrets = [secret for secret in secrets if secret]
    if not secrets:
        return missing_secret()
    if said.scheme == "token":
        return _token(delivery, secrets, said)
    if said.scheme == "standard":
        return _standard(delivery, secrets, said)
    header = delivery.headers.get(said.header.lower(), "")
    listed = _listed(header) if said.fields else []
    given = (
        [value for name, value in listed if name == said.fields.get("signature")]
        if said.fields
        else [header]
    )
    given = [one.strip().removeprefix(said.prefix) for one in given]
    timestamp = delivery.headers.get((said.timestamp_header or "").lower(), "")
    if "timestamp" in said.fields:
        times = [value for name, value in listed if name == said.fields["timestamp"]]
        timestamp = times[0] if times else ""
    before, _, after = said.signed.partition("{body}")
    values = {
        "{timestamp}": timestamp,
        "{id}": delivery.headers.get((said.id_header or "").lower(), ""),
    }
    payload = _filled(before, values) + delivery.body + _filled(after, values)
    keys = [secret.encode() for secret in secrets]
    fault = check(keys, payload, given, said.algorithm, said.encoding)
    if fault is None and "{timestamp}" in said.signed:
        return _fresh(delivery, timestamp, said.tolerance_seconds)
    return fault


def _token(delivery: Delivery, secrets: Sequence[str], said: Signature) -> Fault | None:
    given = delivery.headers.get(said.header.lower(), "").strip().removeprefix(said.prefix)
    found = False
    for secret in secrets:
        found |= compare_digest(secret.encode(), given.encode("utf-8", "replace"))
    return None if found else BAD_SIGNATURE


def _standard(delivery: Delivery, secrets: Sequence[str], said: Signature) -> Fault | None:
    timestamp = delivery.headers.get("webhook-timestamp", "")
    signed = f"{delivery.headers.get('webhook-id', '')}.{timestamp}.".encode() + delivery.body
    given = [
        one.partition(",")[2]
        for one in delivery.headers.get("webhook-signature", "").split()
        if one.startswith("v1,")
    ]
    fault = check([_standard_key(secret) for secret in secrets], signed, given)
    return fault or _fresh(delivery, timestamp, said.tolerance_seconds)


def _standard_key(secret: str) -> bytes:
    try:
        return b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        return secret.encode()


def _fresh(delivery: Delivery, timestamp: str, tolerance: float) -> Fault | None:
    """A signed time protects from a delivery that somebody kept and sends again."""
    at = instant(int(timestamp)) if _UNIX.fullmatch(timestamp) else instant(timestamp)
    if at is None or abs((delivery.received_at - at).total_seconds()) > tolerance:
        return _STALE
    return None


def _listed(header: str) -> list[tuple[str, str]]:
    """``t=1,v1=abc`` by its parts."""
    parts = (part.partition("=") for part in header.split(","))
    return [(name.strip(), value.strip()) for name, _, value in parts]


def _filled(template: str, values: dict[str, str]) -> bytes:
    for name, value in values.items():
        template = template.replace(name, value)
    return template.encode("utf-8", "replace")

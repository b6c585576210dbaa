"""SendGrid's Event Webhook: signed by ECDSA, many events a call.

Source: "Event Webhook Reference" and "Getting Started with the Event Webhook Security
Features" in Twilio's documentation. Secret ``verification_key``: the public key that
SendGrid shows (base64 DER, or PEM); several while one is changed. Option
``tolerance_seconds`` (a day and an hour by default, since SendGrid tries for a day, and a
repetition counts once anyway).
"""

import binascii
from base64 import b64decode
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key, load_pem_public_key

from schemas.validation import Fault
from services.ingest.hooks import emails
from services.ingest.hooks.body import instant, read
from services.ingest.hooks.event import message_id
from services.ingest.hooks.model import Delivery, Options, Secrets, Translated
from services.ingest.hooks.presented import stale
from services.ingest.hooks.reading import Tolerance, at, faults, text, texts
from services.ingest.hooks.signature import BAD_SIGNATURE, missing_secret

_SIGNATURE = "x-twilio-email-event-webhook-signature"
_TIMESTAMP = "x-twilio-email-event-webhook-timestamp"
_TOLERANCE = 90_000.0
_NAMES = {
    "processed": emails.PROCESSED,
    "deferred": emails.DEFERRED,
    "delivered": emails.DELIVERED,
    "bounce": emails.BOUNCED,
    "dropped": emails.DROPPED,
    "open": emails.OPENED,
    "click": emails.CLICKED,
    "spamreport": emails.SPAM,
    "unsubscribe": emails.UNSUBSCRIBED,
    # Who leaves one group is no longer written to at all: rather too silent than too loud.
    "group_unsubscribe": emails.UNSUBSCRIBED,
    "group_resubscribe": emails.RESUBSCRIBED,
}


class SendGrid:
    """See ``services.ingest.hooks.model.Hook``."""

    kind = "sendgrid"
    secrets = ("verification_key",)
    methods = frozenset({"POST"})

    def check(self, options: Any) -> list[Fault]:
        """``tolerance_seconds``, optional."""
        return faults(options, Tolerance)

    def verify(self, delivery: Delivery, secrets: Secrets, options: Options) -> Fault | None:
        """The signature covers the timestamp and the body as they came."""
        timestamp = delivery.headers.get(_TIMESTAMP, "")
        keys = secrets("verification_key")
        if not keys:
            return missing_secret("verification_key")
        signature = delivery.headers.get(_SIGNATURE, "")
        if not _signed(keys, timestamp.encode() + delivery.body, signature):
            return BAD_SIGNATURE
        return stale(timestamp, delivery.received_at, options, _TOLERANCE)

    def translate(self, delivery: Delivery, options: Options) -> Translated | Fault:
        """A list of events; each is translated or ignored alone."""
        said = read(delivery.body)
        if isinstance(said, Fault):
            return said
        if not isinstance(said, list):
            return Fault("bad_json", "The body must be a list of events.")
        translated = Translated()
        for item in said:
            event = _event(item)
            if isinstance(event, Fault):
                translated.ignored.append(event)
            else:
                translated.events.append(event)
        return translated


def _signed(keys: Sequence[str], message: bytes, signature: str) -> bool:
    try:
        given = b64decode(signature, validate=True)
    except (binascii.Error, ValueError):
        return False
    for text_of_key in keys:
        key = _key(text_of_key)
        if key is None:
            continue
        try:
            key.verify(given, message, ec.ECDSA(SHA256()))
        except InvalidSignature:
            continue
        return True
    return False


@lru_cache(maxsize=100)
def _key(said: str) -> ec.EllipticCurvePublicKey | None:
    try:
        if "BEGIN" in said:
            key = load_pem_public_key(said.encode())
        else:
            key = load_der_public_key(b64decode(said))
    except (binascii.Error, ValueError, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, ec.EllipticCurvePublicKey) else None


def _event(said: Any) -> dict[str, Any] | Fault:
    kind = text(said, "event")
    name = _NAMES.get(kind or "")
    if name is None:
        return Fault("not_translated", "An event that Regulars does not translate.")
    id_ = text(said, "sg_event_id")
    if id_ is None:
        return Fault("no_event_id", "The event has no sg_event_id.")
    properties = {
        "email_id": text(said, emails.OUR_MESSAGE) or text(said, "smtp-id"),
        "provider_message_id": text(said, "sg_message_id"),
        "link_url": text(said, "url"),
        "reason": text(said, "reason") or text(said, "response"),
        "status": text(said, "status"),
        "user_agent": text(said, "useragent"),
        "ip": text(said, "ip"),
        "list_id": text(said, "asm_group_id"),
        "tags": texts(said, "category"),
        "machine": True if at(said, "sg_machine_open") is True else None,
    }
    if kind == "bounce":
        # "blocked": the server refused this time, the address may be good.
        properties["bounce_type"] = "soft" if text(said, "type") == "blocked" else "hard"
        properties["bounce_classification"] = text(said, "bounce_classification")
    return emails.email_event(
        SendGrid.kind,
        emails.Happening(
            name=name,
            message_id=message_id(SendGrid.kind, id_),
            at=instant(at(said, "timestamp")),
            recipient=text(said, "email") or "",
            properties=properties,
        ),
    )

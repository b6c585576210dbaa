"""Mailgun's webhooks: one event a call, the signature within the body.

Source: "Securing Webhooks", "Webhook Payloads" and "Event Types" in Mailgun's
documentation. Secret ``signing_key``: the HTTP webhook signing key; of a subaccount, its own
or its parent's. The signature covers only a timestamp and a token, not the event, so
whoever has seen one call could put another event beneath it. Two things stand against
that: signatures expire (option ``tolerance_seconds``, nine hours by default, since Mailgun
tries again for eight), and a token, once used, is good for the same body only. This memory
is bounded and this process's own; a plain repetition needs no memory, since its event has
the same messageId and counts once.
"""

from collections import OrderedDict
from hashlib import sha256
from typing import Any

from schemas.validation import Fault
from services.ingest.hooks import emails, signature
from services.ingest.hooks.body import instant, read
from services.ingest.hooks.event import message_id
from services.ingest.hooks.model import Delivery, Options, Secrets, Translated
from services.ingest.hooks.presented import stale
from services.ingest.hooks.reading import Tolerance, at, faults, text, texts

_TOLERANCE = 32_400.0
_TOKENS = 100_000
_NAMES = {
    "accepted": emails.PROCESSED,
    "rejected": emails.DROPPED,
    "delivered": emails.DELIVERED,
    "opened": emails.OPENED,
    "clicked": emails.CLICKED,
    "unsubscribed": emails.UNSUBSCRIBED,
    "complained": emails.SPAM,
}


class Mailgun:
    """See ``services.ingest.hooks.model.Hook``. Remembers tokens."""

    kind = "mailgun"
    secrets = ("signing_key",)
    methods = frozenset({"POST"})

    def __init__(self, tokens: int = _TOKENS) -> None:
        self._bodies: OrderedDict[str, bytes] = OrderedDict()
        self._most = tokens

    def check(self, options: Any) -> list[Fault]:
        """``tolerance_seconds``, optional."""
        return faults(options, Tolerance)

    def verify(self, delivery: Delivery, secrets: Secrets, options: Options) -> Fault | None:
        """Codes: missing_secret, bad_signature, stale_signature, used_token."""
        said = at(read(delivery.body), "signature")
        timestamp, token = text(said, "timestamp") or "", text(said, "token") or ""
        fault = signature.check(
            [key.encode() for key in secrets("signing_key")],
            f"{timestamp}{token}".encode(),
            [text(said, name) or "" for name in ("signature", "parent-signature")],
            encoding="hex",
        )
        return (
            fault
            or stale(timestamp, delivery.received_at, options, _TOLERANCE)
            or self._use(token, delivery.body)
        )

    def translate(self, delivery: Delivery, options: Options) -> Translated | Fault:
        """The one event of the call."""
        said = read(delivery.body)
        if isinstance(said, Fault):
            return said
        event = _event(at(said, "event-data"))
        if isinstance(event, Fault):
            return Translated(ignored=[event])
        return Translated(events=[event])

    def _use(self, token: str, body: bytes) -> Fault | None:
        """Not: "seen before". A call that we could not store comes again with its token."""
        digest = sha256(body).digest()
        if self._bodies.setdefault(token, digest) != digest:
            return Fault("used_token", "The token of this signature was used for another body.")
        if len(self._bodies) > self._most:
            self._bodies.popitem(last=False)
        return None


def _event(said: Any) -> dict[str, Any] | Fault:
    kind = text(said, "event")
    name = _NAMES.get(kind or "")
    reason = text(said, "reason")
    bounce_type = None
    if kind == "failed":
        if text(said, "severity") == "temporary":
            name = emails.DEFERRED
        elif (reason or "").startswith("suppress-"):
            name = emails.DROPPED  # Not even tried: the address was on Mailgun's own list.
        else:
            name = emails.BOUNCED
            bounce_type = "soft" if reason == "old" else "hard"  # old: tried for too long
    if name is None:
        return Fault("not_translated", "An event that Regulars does not translate.")
    id_ = text(said, "id")
    if id_ is None:
        return Fault("no_event_id", "The event has no id.")
    mail_id = text(said, "message", "headers", "message-id")
    properties = {
        "email_id": text(said, "user-variables", emails.OUR_MESSAGE) or mail_id,
        "provider_message_id": mail_id,
        "email_subject": text(said, "message", "headers", "subject"),
        "link_url": text(said, "url"),
        "bounce_type": bounce_type,
        "reason": text(said, "delivery-status", "message")
        or text(said, "delivery-status", "description")
        or reason,
        "status": text(said, "delivery-status", "enhanced-code")
        or text(said, "delivery-status", "code"),
        "user_agent": text(said, "client-info", "user-agent"),
        "ip": text(said, "ip"),
        "tags": texts(said, "tags"),
        # "apple", "gmail" or "generic": a privacy proxy or a scanner.
        "machine": True if text(said, "client-info", "bot") else None,
    }
    return emails.email_event(
        Mailgun.kind,
        emails.Happening(
            name=name,
            message_id=message_id(Mailgun.kind, id_),
            at=instant(at(said, "timestamp")),
            recipient=text(said, "recipient") or "",
            properties=properties,
        ),
    )

"""Postmark's webhooks: one record a call, authenticated by a password, not signed.

Source: "Webhooks" in Postmark's developer documentation. Secrets, one of them or both:
``basic_auth`` (``user:password``, as put into the webhook's address) and ``header_secret``
(the value of a custom header, whose name is the option ``header``, ``x-webhook-secret`` by
default). A record has no id: message, record type and time make one.
"""

from typing import Any

from msgspec import Struct

from schemas.validation import Fault
from services.ingest.hooks import emails
from services.ingest.hooks.body import instant, read
from services.ingest.hooks.event import message_id
from services.ingest.hooks.model import Delivery, Options, Secrets, Translated
from services.ingest.hooks.presented import BAD_SECRET, basic, shown
from services.ingest.hooks.reading import at, faults, nameless, settled, text
from services.ingest.hooks.signature import missing_secret

_HEADER = "x-webhook-secret"
_HARD = frozenset({"HardBounce", "BadEmailAddress", "ManuallyDeactivated"})
_SOFT = frozenset(
    {
        "SoftBounce",
        "Transient",
        "Blocked",
        "DnsError",
        "SpamNotification",
        "SMTPApiError",
        "DMARCPolicy",
        "TemplateRenderingFailed",
        "InboundError",
        "Unknown",
    }
)


class PostmarkOptions(Struct, forbid_unknown_fields=True):
    """The options of a source of this kind."""

    header: str | None = None


class Postmark:
    """See ``services.ingest.hooks.model.Hook``."""

    kind = "postmark"
    secrets = ("basic_auth", "header_secret")
    methods = frozenset({"POST"})

    def check(self, options: Any) -> list[Fault]:
        """``header``, optional."""
        return faults(options, PostmarkOptions)

    def verify(self, delivery: Delivery, secrets: Secrets, options: Options) -> Fault | None:
        """Either secret will do. Codes: missing_secret, bad_options, bad_secret."""
        passwords, values = secrets("basic_auth"), secrets("header_secret")
        if not passwords and not values:
            return missing_secret("basic_auth or header_secret")
        given = settled(options, PostmarkOptions)
        if isinstance(given, Fault):
            return given
        header = (given.header or _HEADER).lower()
        known = shown(passwords, basic(delivery.headers))
        known |= shown(values, delivery.headers.get(header))
        return None if known else BAD_SECRET

    def translate(self, delivery: Delivery, options: Options) -> Translated | Fault:
        """The one record of the call."""
        said = read(delivery.body)
        if isinstance(said, Fault):
            return said
        event = _event(said)
        if isinstance(event, Fault):
            return Translated(ignored=[event])
        return Translated(events=[event])


def _event(said: Any) -> dict[str, Any] | Fault:
    record = text(said, "RecordType") or ""
    meaning = _MEANINGS.get(record, lambda _said: None)(said)
    mail_id = text(said, "MessageID")
    if meaning is None:
        return Fault("not_translated", "A record that Regulars does not translate.")
    name, when, of_record = meaning
    moment = text(said, when)
    if mail_id is None or moment is None:
        return Fault("no_event_id", "The record has no MessageID or no time.")
    recipient = text(said, "Recipient") or text(said, "Email") or ""
    properties = {
        "email_id": text(said, "Metadata", emails.OUR_MESSAGE),
        "provider_message_id": mail_id,
        "email_subject": text(said, "Subject"),
        "user_agent": text(said, "UserAgent"),
        "ip": text(said, "Geo", "IP"),
        "tags": [tag] if (tag := text(said, "Tag")) else None,
        **of_record,
    }
    return emails.email_event(
        Postmark.kind,
        emails.Happening(
            name=name,
            message_id=message_id(Postmark.kind, mail_id, record, nameless(recipient), moment),
            at=instant(moment),
            recipient=recipient,
            properties=properties,
        ),
    )


Meaning = tuple[str, str, dict[str, Any]] | None
"""The event's name, the field that holds its time, and what the record adds."""


def _delivery(said: Any) -> Meaning:
    return emails.DELIVERED, "DeliveredAt", {"reason": text(said, "Details")}


def _bounce(said: Any) -> Meaning:
    kind = text(said, "Type") or "Unknown"
    reason = {
        "reason": text(said, "Details") or text(said, "Description"),
        "status": kind,
    }
    if kind in ("Unsubscribe", "SpamComplaint"):
        name = emails.UNSUBSCRIBED if kind == "Unsubscribe" else emails.SPAM
        return name, "BouncedAt", reason
    if kind in _HARD or kind in _SOFT:
        bounce_type = "hard" if kind in _HARD else "soft"
        return emails.BOUNCED, "BouncedAt", {**reason, "bounce_type": bounce_type}
    return None  # Notices of absence, changes of address and the like bounce nothing.


def _complaint(said: Any) -> Meaning:
    return emails.SPAM, "BouncedAt", {}


def _open(said: Any) -> Meaning:
    return emails.OPENED, "ReceivedAt", {}


def _click(said: Any) -> Meaning:
    return emails.CLICKED, "ReceivedAt", {"link_url": text(said, "OriginalLink")}


def _subscription(said: Any) -> Meaning:
    reason = text(said, "SuppressionReason")
    if at(said, "SuppressSending") is not True:
        name = emails.RESUBSCRIBED
    elif reason == "HardBounce":
        name = emails.SUPPRESSED
    else:
        name = emails.UNSUBSCRIBED
    return name, "ChangedAt", {"reason": reason, "list_id": text(said, "MessageStream")}


_MEANINGS = {
    "Delivery": _delivery,
    "Bounce": _bounce,
    "SpamComplaint": _complaint,
    "Open": _open,
    "Click": _click,
    "SubscriptionChange": _subscription,
}

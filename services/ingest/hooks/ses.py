"""Amazon SES's events, which come through an SNS topic: one message a call, signed by SNS.

Source: "Contents of event data that Amazon SES publishes to Amazon SNS" in the SES
developer guide; both forms, ``eventType`` (event publishing) and ``notificationType``
(feedback of an identity). No secret: the signature is SNS's own, and option ``topic_arns``
says which topics may speak for the source. A subscription is confirmed on its own once its
message is verified. An event has no id: message, type, recipient and time make one.
"""

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Struct

from schemas.validation import Fault
from services.ingest.hooks import emails
from services.ingest.hooks.body import instant, parts, read
from services.ingest.hooks.event import message_id
from services.ingest.hooks.model import Delivery, Options, Reply, Secrets, Translated
from services.ingest.hooks.reading import at, faults, nameless, settled, text, texts
from services.ingest.hooks.sns import CONFIRMATION, NOTIFICATION, Sns
from services.runtime.outbound import Fetch


class SesOptions(Struct, forbid_unknown_fields=True):
    """The options of a source of this kind."""

    topic_arns: tuple[str, ...]
    """The SNS topics that may speak for the source."""


class Ses:
    """See ``services.ingest.hooks.model.Hook``. ``fetch`` reaches SNS."""

    kind = "ses"
    secrets: tuple[str, ...] = ()
    methods = frozenset({"POST"})

    def __init__(self, fetch: Fetch) -> None:
        self._sns = Sns(fetch)

    def check(self, options: Any) -> list[Fault]:
        """``topic_arns``, needed."""
        return faults(options, SesOptions)

    async def verify(
        self, delivery: Delivery, secrets: Secrets, options: Options
    ) -> Fault | Reply | None:
        """Codes: bad_options, those of ``Sns``. Raises ``Unavailable`` when SNS is away."""
        said = read(delivery.body)
        given = settled(options, SesOptions)
        if isinstance(given, Fault):
            return given
        fault = await self._sns.check(said, given.topic_arns, delivery.received_at)
        if fault is not None:
            return fault
        if at(said, "Type") == CONFIRMATION:
            return await self._sns.confirm(said) or Reply(b"subscribed")
        return None

    def translate(self, delivery: Delivery, options: Options) -> Translated | Fault:
        """One event for each recipient that the message is about."""
        envelope = read(delivery.body)
        if isinstance(envelope, Fault):
            return envelope
        if at(envelope, "Type") != NOTIFICATION:
            return Translated(ignored=[Fault("not_translated", "No notification.")])
        said = read(str(at(envelope, "Message")).encode("utf-8", "surrogatepass"))
        if isinstance(said, Fault):
            # SES itself says "Successfully validated SNS topic ..." in plain words.
            return Translated(ignored=[Fault("not_translated", "The message is no event.")])
        translated = Translated()
        for event in _events(said):
            if isinstance(event, Fault):
                translated.ignored.append(event)
            else:
                translated.events.append(event)
        return translated


class _Said(Struct):
    """What one event says, beside the mail itself."""

    name: str
    when: str | None
    recipients: list[str]
    properties: dict[str, Any] = msgspec.field(default_factory=dict)


def _events(said: Any) -> Iterable[dict[str, Any] | Fault]:
    kind = text(said, "eventType") or text(said, "notificationType") or ""
    reading = _READINGS.get(kind, lambda _said: None)(said)
    mail_id = text(said, "mail", "messageId")
    if reading is None or mail_id is None:
        yield Fault("not_translated", "An event that Regulars does not translate.")
        return
    when = reading.when or text(said, "mail", "timestamp") or ""
    for recipient in dict.fromkeys(reading.recipients):
        yield emails.email_event(
            Ses.kind,
            emails.Happening(
                name=reading.name,
                message_id=message_id(Ses.kind, mail_id, kind, nameless(recipient), when),
                at=instant(when),
                recipient=recipient,
                properties=_of_mail(said, mail_id) | reading.properties,
            ),
        )
    if not reading.recipients:
        # A mail to several is opened by one of them, and SES does not say by whom.
        yield Fault("unknown_recipient", "The event does not say which recipient it is about.")


def _of_mail(said: Any, mail_id: str) -> dict[str, Any]:
    header = next(
        (
            text(one, "value")
            for one in parts(at(said, "mail"), "headers")
            if (text(one, "name") or "").lower() == emails.OUR_HEADER
        ),
        None,
    )
    tagged = texts(said, "mail", "tags", emails.OUR_MESSAGE)
    return {
        "email_id": (tagged[0] if tagged else header)
        or text(said, "mail", "commonHeaders", "messageId"),
        "provider_message_id": mail_id,
        "email_subject": text(said, "mail", "commonHeaders", "subject"),
    }


def _all(said: Any) -> list[str]:
    return texts(said, "mail", "destination")


def _only(said: Any) -> list[str]:
    """The recipient of a mail that went to one alone."""
    found = _all(said)
    return found if len(found) == 1 else []


def _listed(said: Any, part: str, name: str) -> list[str]:
    found = (text(one, "emailAddress") for one in parts(at(said, part), name))
    return [address for address in found if address]


def _send(said: Any) -> _Said:
    return _Said(emails.PROCESSED, None, _all(said))


def _delivery(said: Any) -> _Said:
    delivery = at(said, "delivery")
    return _Said(
        emails.DELIVERED,
        text(delivery, "timestamp"),
        texts(delivery, "recipients"),
        {"reason": text(delivery, "smtpResponse")},
    )


def _bounce(said: Any) -> _Said:
    bounce = at(said, "bounce")
    bounced = parts(bounce, "bouncedRecipients")
    first = bounced[0] if bounced else None
    return _Said(
        emails.BOUNCED,
        text(bounce, "timestamp"),
        _listed(said, "bounce", "bouncedRecipients"),
        {
            # "Undetermined" may be anything; it is not held against the address.
            "bounce_type": "hard" if text(bounce, "bounceType") == "Permanent" else "soft",
            "reason": text(first, "diagnosticCode") or text(bounce, "bounceSubType"),
            "status": text(first, "status"),
        },
    )


def _complaint(said: Any) -> _Said | None:
    complaint = at(said, "complaint")
    reason = text(complaint, "complaintFeedbackType") or text(complaint, "complaintSubType")
    if reason == "not-spam":
        return None
    # All who may have complained, where the provider hides who did: rather too silent.
    complained = _listed(said, "complaint", "complainedRecipients")
    return _Said(emails.SPAM, text(complaint, "timestamp"), complained, {"reason": reason})


def _dropped(part: str, field: str) -> Any:
    def reading(said: Any) -> _Said:
        return _Said(emails.DROPPED, None, _all(said), {"reason": text(said, part, field)})

    return reading


def _open(said: Any) -> _Said:
    return _Said(emails.OPENED, text(said, "open", "timestamp"), _only(said), _agent(said, "open"))


def _click(said: Any) -> _Said:
    properties = {"link_url": text(said, "click", "link"), **_agent(said, "click")}
    return _Said(emails.CLICKED, text(said, "click", "timestamp"), _only(said), properties)


def _agent(said: Any, part: str) -> dict[str, Any]:
    return {"ip": text(said, part, "ipAddress"), "user_agent": text(said, part, "userAgent")}


def _delay(said: Any) -> _Said:
    delayed = _listed(said, "deliveryDelay", "delayedRecipients")
    reason = {"reason": text(said, "deliveryDelay", "delayType")}
    return _Said(emails.DEFERRED, text(said, "deliveryDelay", "timestamp"), delayed, reason)


def _subscription(said: Any) -> _Said:
    subscription = at(said, "subscription")
    left = at(subscription, "newTopicPreferences", "unsubscribeAll") is True
    return _Said(
        emails.UNSUBSCRIBED if left else emails.PREFERENCES,
        text(subscription, "timestamp"),
        _only(said),
        {"list_id": text(subscription, "contactList")},
    )


_READINGS = {
    "Send": _send,
    "Delivery": _delivery,
    "Bounce": _bounce,
    "Complaint": _complaint,
    "Reject": _dropped("reject", "reason"),
    "Rendering Failure": _dropped("failure", "errorMessage"),
    "Open": _open,
    "Click": _click,
    "DeliveryDelay": _delay,
    "Subscription": _subscription,
}

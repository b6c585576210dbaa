"""Shopify's customers: who they are, what they allow, and what they ask to be done. Pure."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from schemas.catalogue import CONSENT_UPDATED
from schemas.messages import PrivacyRequest, SubjectIdentity
from schemas.validation import Fault
from services.ingest.hooks.body import instant, part, present, text
from services.ingest.hooks.event import context, message_id, time_of
from services.ingest.hooks.model import Translated
from services.ingest.hooks.shopify_model import KIND, Call

Customer = Mapping[str, Any]

_STATES = {
    "subscribed": "granted",
    "unsubscribed": "withdrawn",
    "redacted": "withdrawn",
    "invalid": "withdrawn",
    "pending": "denied",
    "not_subscribed": "denied",
}
"""``pending`` has yet to confirm: closed until then (double opt-in)."""
_CHANNELS = (("email", "email_marketing_consent"), ("sms", "sms_marketing_consent"))


def changed(customer: Customer, call: Call) -> Translated:
    """customers/create and update: an identify, and what the customer allows."""
    home = part(customer, "default_address")
    tags = text(customer.get("tags")) or ""
    traits = present(
        {
            "email": text(customer.get("email")),
            "firstName": text(customer.get("first_name")),
            "lastName": text(customer.get("last_name")),
            "phone": text(customer.get("phone")) or text(home.get("phone")),
            "createdAt": text(customer.get("created_at")),
            "tags": [tag.strip() for tag in tags.split(",") if tag.strip()],
            "emailVerified": customer.get("verified_email"),
            "address": present(
                {
                    "street": text(home.get("address1")),
                    "city": text(home.get("city")),
                    "state": text(home.get("province_code")) or text(home.get("province")),
                    "postalCode": text(home.get("zip")),
                    "country": text(home.get("country_code")) or text(home.get("country")),
                }
            ),
        }
    )
    identify = {
        "type": "identify",
        "messageId": call.id(),
        "timestamp": time_of(call.within(instant(customer.get("updated_at")))),
        **_ids(customer),
        "traits": traits,
    }
    return Translated(events=[identify, *consents(customer, call)])


def deleted(customer: Customer, call: Call) -> Translated:
    """customers/delete has the id alone: the shop forgot an account, nobody asked us to."""
    event = {
        "type": "track",
        "event": "Customer Deleted",
        "messageId": call.id(),
        "timestamp": time_of(call.at),
        **_ids(customer),
        "properties": {},
    }
    return Translated(events=[event])


def email_consent(said: Mapping[str, Any], call: Call) -> Translated:
    """customers_email_marketing_consent/update."""
    return Translated(events=consents(_flat(said), call))


def sms_consent(said: Mapping[str, Any], call: Call) -> Translated:
    """customers_marketing_consent/update."""
    return Translated(events=consents(_flat(said), call))


def _flat(said: Mapping[str, Any]) -> dict[str, Any]:
    """The customer of a consent topic, in which the id is ``customer_id`` or ``id``."""
    return {
        **said,
        "id": said.get("customer_id", said.get("id")),
        "email": said.get("email_address", said.get("email")),
    }


def consents(customer: Customer, call: Call) -> list[dict[str, Any]]:
    """Consent Updated for each channel on which the customer ever said a word.

    Known by its own time and state, so that the many deliveries that repeat it add nothing.
    """
    events = []
    for channel, name in _CHANNELS:
        said = part(customer, name)
        if not said and channel == "email":
            said = _former(customer)
        state = _STATES.get(text(said.get("state")) or "")
        at = instant(said.get("consent_updated_at"))
        if at is None and said.get("state") in ("subscribed", "unsubscribed"):
            at = instant(customer.get("updated_at")) or call.at
        if state is None or at is None:
            continue  # not_subscribed without a date: never asked.
        who = text(customer.get("id")) or call.webhook_id
        events.append(
            {
                "type": "track",
                "event": CONSENT_UPDATED,
                "messageId": message_id(KIND, "consent", who, channel, state, time_of(at)),
                "timestamp": time_of(at),
                **_ids(customer),
                "properties": present(
                    {
                        "channel": channel,
                        "state": state,
                        "opt_in_level": text(said.get("opt_in_level")),
                        "collected_from": text(said.get("consent_collected_from")),
                    }
                ),
            }
        )
    return events


def _former(customer: Customer) -> dict[str, Any]:
    """Consent to mail as versions of the API before 2022-04 say it."""
    accepts = customer.get("accepts_marketing")
    at = customer.get("accepts_marketing_updated_at")
    if not isinstance(accepts, bool) or at is None:
        return {}
    return {"state": "subscribed" if accepts else "unsubscribed", "consent_updated_at": at}


def _ids(customer: Customer) -> dict[str, Any]:
    customer_id = text(customer.get("id"))
    traits = present({"email": text(customer.get("email"))})
    return present(
        {
            "userId": customer_id,
            "context": context(KIND, traits, [("shopify_customer_id", customer_id)]),
        }
    )


def data_request(said: Mapping[str, Any], call: Call) -> Translated | Fault:
    """customers/data_request: the customer wants to see what is known."""
    asked = text(part(said, "data_request").get("id"))
    request_id = message_id(KIND, "data_request", asked) if asked else call.id()
    if "orders_to_redact" in said:
        return _no_request()
    return _request(said, call, "access", request_id)


def redact(said: Mapping[str, Any], call: Call) -> Translated | Fault:
    """customers/redact: the customer is to be forgotten."""
    if "data_request" in said or "orders_requested" in said:
        return _no_request()
    return _request(said, call, "erasure", call.id())


def shop_redact(said: Mapping[str, Any], call: Call) -> Translated | Fault:
    """shop/redact: the shop has left, and with it all that came from it."""
    if not _from_shop(said, call) or part(said, "customer") or "line_items" in said:
        return _no_request()
    return Translated(
        requests=[
            PrivacyRequest(
                subject_request_id=call.id(),
                subject_request_type="erasure",
                submitted_time=call.at,
                scope="source",
                extensions={KIND: _extension(said)},
            )
        ]
    )


def _request(
    said: Mapping[str, Any], call: Call, kind: Literal["access", "erasure"], request_id: str
) -> Translated | Fault:
    customer = part(said, "customer")
    names = (("controller_customer_id", "id"), ("email", "email"), ("phone_number", "phone"))
    identities = [
        SubjectIdentity(identity_type=type, identity_value=value)
        for type, name in names
        if (value := text(customer.get(name)))
    ]
    if not _from_shop(said, call) or not identities:
        return _no_request()
    at: datetime = call.at
    return Translated(
        requests=[
            PrivacyRequest(
                subject_request_id=request_id,
                subject_request_type=kind,
                submitted_time=at,
                subject_identities=identities,
                extensions={KIND: _extension(said)},
            )
        ]
    )


def _from_shop(said: Mapping[str, Any], call: Call) -> bool:
    """The topic is in a header that nobody signs: the body must be such a request itself."""
    domain = text(said.get("shop_domain"))
    wanted = call.options.shop_domain
    return domain is not None and (wanted is None or domain.lower() == wanted.strip().lower())


def _extension(said: Mapping[str, Any]) -> dict[str, Any]:
    names = ("shop_id", "shop_domain", "orders_requested", "orders_to_redact")
    return present({name: said.get(name) for name in names})


def _no_request() -> Fault:
    detail = "This is no privacy request of the shop: it needs shop_domain, and its customer."
    return Fault("bad_privacy_request", detail)

"""Amazon SES through SNS: only SNS is believed, only SNS is asked, and what it says is told."""

import base64
import json
from datetime import timedelta
from functools import cache
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from schemas.validation import Fault
from services.ingest.handler import Unavailable
from services.ingest.hooks.model import Reply as Answer
from services.ingest.hooks.ses import Ses
from services.ingest.hooks.sns import is_of_sns
from services.runtime.outbound import Reply
from tests.hooking import NOW, Tray, doorway, source
from tests.posting import accepted, knowing, posted, told, translated

TOPIC = "arn:aws:sns:eu-west-1:123456789012:mail"
CERTIFICATE = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0a.pem"
OPTIONS = {"topic_arns": [TOPIC]}
ANN = "ann@shop.example"


@cache
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65_537, key_size=2_048)


def pem(days: int = 365, signer: Any = None) -> bytes:
    signer = signer or key()
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "sns.amazonaws.com")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(signer.public_key())
        .serial_number(1)
        .not_valid_before(NOW - timedelta(days=400))
        .not_valid_after(NOW + timedelta(days=days))
        .sign(signer, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM)


class Web:
    """What lies at each address, and who was asked for."""

    def __init__(self, answer: Reply | Fault) -> None:
        self.answer = answer
        self.asked: list[str] = []

    async def request(
        self, method: str, url: str, *, headers: Any = None, body: bytes = b""
    ) -> Reply | Fault:
        self.asked.append(f"{method} {url}")
        return self.answer


def web(body: bytes | None = None, status: int = 200) -> Web:
    return Web(Reply(status, {}, pem() if body is None else body))


SIGNED = {
    "Notification": ["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"],
    "SubscriptionConfirmation": [
        "Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type",
    ],
}  # fmt: skip


def by_sns(version: str = "2", **given: Any) -> dict[str, Any]:
    said = {
        "Type": "Notification",
        "MessageId": "22b80b92-0000-4000-8000-000000000000",
        "TopicArn": TOPIC,
        "Message": "{}",
        "Timestamp": "2026-03-14T09:26:00.000Z",
        "SignatureVersion": version,
        "SigningCertURL": CERTIFICATE,
        **given,
    }
    text = "".join(f"{name}\n{said[name]}\n" for name in SIGNED[said["Type"]] if name in said)
    hash_ = hashes.SHA1() if version == "1" else hashes.SHA256()
    signature = key().sign(text.encode(), padding.PKCS1v15(), hash_)
    return {**said, "Signature": base64.b64encode(signature).decode()}


def confirmation(url: str = "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&x=1"):  # type: ignore[no-untyped-def]
    return by_sns(Type="SubscriptionConfirmation", SubscribeURL=url, Token="t", Message="Visit.")


async def verdict(said: Any, outside: Web | None = None, options: Any = OPTIONS) -> Any:
    hook = Ses(outside or web())
    outcome = await hook.verify(posted(said), knowing(), options)
    return outcome.code if isinstance(outcome, Fault) else outcome


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize("more", [{}, {"Subject": "Amazon SES Email Event Notification"}])
async def test_a_message_that_sns_signed_is_believed(version: str, more: Any) -> None:
    assert await verdict(by_sns(version, **more)) is None


@pytest.mark.parametrize(
    "changed",
    [
        {"Message": '{"x": 1}'},
        {"MessageId": "another"},
        {"Timestamp": "2026-03-15T09:26:00.000Z"},
        {"Subject": "Hello"},
        {"SignatureVersion": "1"},
        {"SignatureVersion": "3"},
        {"Signature": ""},
        {"Signature": "%"},
        {"Signature": None},
        {"Message": None},
        {"Message": 7},
        {"Type": "UnsubscribeConfirmation"},
        {"Type": "Other"},
        {"Type": ["Notification"]},
        {"Type": " Notification"},
    ],
)
async def test_a_message_that_was_changed_is_not(changed: dict[str, Any]) -> None:
    assert await verdict(by_sns() | changed) == "bad_signature"


@pytest.mark.parametrize("said", [b"", b"{", b"[]", b"7", b"null", b'{"Type": {}}'])
async def test_what_is_no_message_is_refused_without_asking_anybody(said: bytes) -> None:
    outside = web()
    assert await verdict(said, outside) == "bad_signature"
    assert outside.asked == []


async def test_another_topic_is_refused_without_asking_anybody() -> None:
    outside = web()
    strange = by_sns(TopicArn="arn:aws:sns:eu-west-1:999999999999:mail")
    assert await verdict(strange, outside) == "wrong_topic"
    assert await verdict(by_sns(), outside, {}) == "bad_options"
    assert outside.asked == []


BAD_HOSTS = [
    "http://sns.eu-west-1.amazonaws.com/a.pem",
    "https://sns.eu-west-1.amazonaws.com.evil.example/a.pem",
    "https://evil.example/sns.eu-west-1.amazonaws.com/a.pem",
    "https://sns.eu-west-1.amazonaws.com@evil.example/a.pem",
    "https://user@sns.eu-west-1.amazonaws.com/a.pem",
    "https://sns.eu-west-1.amazonaws.com:8443/a.pem",
    "https://evilsns.eu-west-1.amazonaws.com/a.pem",
    "https://x.sns.eu-west-1.amazonaws.com/a.pem",
    "https://sns.amazonaws.com/a.pem",
    "https://s3.eu-west-1.amazonaws.com/a.pem",
    "https://sns.eu-west-1.amazonaws.com.de/a.pem",
    "https://sns.eu.west.1.amazonaws.com/a.pem",
    "https://sns.eu-west-1.amazonaws.com\\@evil.example/a.pem",
    "https://169.254.169.254/a.pem",
    "file:///etc/passwd.pem",
    "https://sns.eu-west-1.amazonaws.com/" + "a" * 3_000 + ".pem",
    "",
    7,
    None,
    ["https://sns.eu-west-1.amazonaws.com/a.pem"],
]


@pytest.mark.parametrize("url", BAD_HOSTS)
async def test_a_certificate_that_lies_elsewhere_is_not_fetched(url: Any) -> None:
    outside = web()
    assert await verdict(by_sns(SigningCertURL=url), outside) == "bad_certificate"
    assert outside.asked == []


@pytest.mark.parametrize(
    "url",
    [CERTIFICATE, "https://sns.cn-north-1.amazonaws.com.cn/a.pem", "https://SNS.us-east-1.AMAZONAWS.com:443/"],
)  # fmt: skip
def test_addresses_of_sns_are_known(url: str) -> None:
    assert is_of_sns(url)


async def test_only_a_certificate_is_a_certificate() -> None:
    assert await verdict(by_sns(SigningCertURL=CERTIFICATE[:-4])) == "bad_certificate"
    assert await verdict(by_sns(), web(b"no certificate")) == "bad_certificate"
    assert await verdict(by_sns(), web(b"", 404)) == "bad_certificate"
    assert await verdict(by_sns(), web(pem(days=-1))) == "bad_certificate"
    elliptic = pem(signer=ec.generate_private_key(ec.SECP256R1()))
    assert await verdict(by_sns(), web(elliptic)) == "bad_signature"


async def test_a_certificate_is_fetched_once() -> None:
    outside = web()
    hook = Ses(outside)
    for _ in range(3):
        assert await hook.verify(posted(by_sns()), knowing(), OPTIONS) is None
    assert outside.asked == [f"GET {CERTIFICATE}"]


@pytest.mark.parametrize("answer", [Fault("timed_out"), Reply(503, {}, b"")])
async def test_while_sns_cannot_be_reached_the_message_is_to_come_again(answer: Any) -> None:
    with pytest.raises(Unavailable):
        await verdict(by_sns(), Web(answer))


async def test_a_subscription_is_confirmed_once_its_message_is_verified() -> None:
    outside, said = web(), confirmation()
    assert await verdict(said, outside) == Answer(b"subscribed")
    assert outside.asked == [f"GET {CERTIFICATE}", f"GET {said['SubscribeURL']}"]


async def test_a_forged_or_misled_confirmation_goes_nowhere() -> None:
    outside = web()
    changed = confirmation() | {"Token": "another"}
    assert await verdict(changed, outside) == "bad_signature"
    elsewhere = confirmation("https://evil.example/?Action=ConfirmSubscription")
    assert await verdict(elsewhere, outside) == "bad_confirmation"
    assert set(outside.asked) == {f"GET {CERTIFICATE}"}


def ses(kind: str, field: str = "eventType", /, **more: Any) -> dict[str, Any]:
    mail = {
        "timestamp": "2026-03-14T09:00:00.000Z",
        "messageId": "0102-mail",
        "destination": [ANN],
        "headers": [{"name": "X-Regulars-Message", "value": "m_7"}],
        "commonHeaders": {"subject": "Spring tea", "messageId": "0102-mail"},
        **more.pop("mail", {}),
    }
    return {
        "Type": "Notification",
        "TopicArn": TOPIC,
        "Message": json.dumps({field: kind, "mail": mail, **more}),
    }


AT = "2026-03-14T09:20:00.000Z"
MAIL = {"email_id": "m_7", "provider_message_id": "0102-mail", "email_subject": "Spring tea"}


@pytest.mark.parametrize(
    ("said", "name", "more"),
    [
        (
            ses("Delivery", delivery={"timestamp": AT, "recipients": [ANN], "smtpResponse": "250"}),
            "Email Delivered",
            {"reason": "250"},
        ),
        (
            ses(
                "Bounce",
                "notificationType",
                bounce={
                    "timestamp": AT,
                    "bounceType": "Permanent",
                    "bounceSubType": "General",
                    "bouncedRecipients": [
                        {"emailAddress": ANN, "status": "5.1.1", "diagnosticCode": "smtp; 550"}
                    ],
                },
            ),
            "Email Bounced",
            {"bounce_type": "hard", "status": "5.1.1", "reason": "smtp; 550"},
        ),
        (
            ses(
                "Bounce",
                bounce={
                    "timestamp": AT,
                    "bounceType": "Transient",
                    "bounceSubType": "MailboxFull",
                    "bouncedRecipients": [{"emailAddress": ANN}],
                },
            ),
            "Email Bounced",
            {"bounce_type": "soft", "reason": "MailboxFull"},
        ),
        (
            ses(
                "Complaint",
                complaint={
                    "timestamp": AT,
                    "complaintFeedbackType": "abuse",
                    "complainedRecipients": [{"emailAddress": ANN}],
                },
            ),
            "Email Marked as Spam",
            {"reason": "abuse"},
        ),
        (
            ses("Open", open={"timestamp": AT, "userAgent": "Mail/1", "ipAddress": "203.0.113.5"}),
            "Email Opened",
            {"user_agent": "Mail/1", "ip": "203.0.113.5"},
        ),
        (
            ses("Click", click={"timestamp": AT, "link": "https://shop.example/tea"}),
            "Email Link Clicked",
            {"link_url": "https://shop.example/tea"},
        ),
        (
            ses(
                "DeliveryDelay",
                deliveryDelay={
                    "timestamp": AT,
                    "delayType": "MailboxFull",
                    "delayedRecipients": [{"emailAddress": ANN}],
                },
            ),
            "Email Deferred",
            {"reason": "MailboxFull"},
        ),
        (
            ses(
                "Subscription",
                subscription={
                    "timestamp": AT,
                    "contactList": "news",
                    "newTopicPreferences": {"unsubscribeAll": True},
                },
            ),
            "Unsubscribed",
            {"list_id": "news"},
        ),
        (
            ses("Subscription", subscription={"timestamp": AT, "newTopicPreferences": {}}),
            "Email Preferences Changed",
            {},
        ),
    ],
)
def test_every_event_of_ses_has_its_meaning(
    said: dict[str, Any], name: str, more: dict[str, Any]
) -> None:
    at = "2026-03-14T09:20:00Z"
    assert told(Ses(web()), said) == [("events.emails", name, ANN, at, {**MAIL, **more})]


@pytest.mark.parametrize(
    ("said", "name", "more"),
    [
        (ses("Send"), "Email Processed", {}),
        (ses("Reject", reject={"reason": "Bad"}), "Email Dropped", {"reason": "Bad"}),
        (
            ses("Rendering Failure", failure={"errorMessage": "no value"}),
            "Email Dropped",
            {"reason": "no value"},
        ),
    ],
)  # fmt: skip
def test_what_ses_did_not_send_has_the_mails_time(
    said: dict[str, Any], name: str, more: dict[str, Any]
) -> None:
    at = "2026-03-14T09:00:00Z"
    assert told(Ses(web()), said) == [("events.emails", name, ANN, at, {**MAIL, **more})]


def test_our_id_may_come_as_a_tag_or_as_the_message_id() -> None:
    tagged = ses("Send", mail={"tags": {"regulars_message_id": ["m_8"]}})
    assert told(Ses(web()), tagged)[0][4]["email_id"] == "m_8"
    named = ses(
        "Send", mail={"headers": [], "commonHeaders": {"messageId": "<m_9@mail.shop.example>"}}
    )
    assert told(Ses(web()), named)[0][4]["email_id"] == "<m_9@mail.shop.example>"


def test_a_delivery_to_two_is_two_events_and_an_open_of_two_is_nobodys() -> None:
    two = {"destination": [ANN, "bob@shop.example"]}
    delivered = ses(
        "Delivery", mail=two, delivery={"timestamp": AT, "recipients": two["destination"]}
    )
    assert [event[2] for event in told(Ses(web()), delivered)] == two["destination"]
    ids = {event.message_id for event in accepted(Ses(web()), delivered)}
    assert len(ids) == 2
    assert not any("shop.example" in each for each in ids)
    opened = translated(Ses(web()), ses("Open", mail=two, open={"timestamp": AT}))
    assert [fault.code for fault in opened.ignored] == ["unknown_recipient"]


def test_the_same_event_is_the_same_message() -> None:
    said = ses("Open", open={"timestamp": AT})
    later = ses("Open", open={"timestamp": "2026-03-14T09:25:00.000Z"})
    ids = [accepted(Ses(web()), each)[0].message_id for each in (said, said, later)]
    assert ids[0] == ids[1] != ids[2]


@pytest.mark.parametrize(
    "said",
    [
        {"Type": "UnsubscribeConfirmation"},
        {"Type": "Notification", "Message": "Successfully validated SNS topic"},
        {"Type": "Notification", "Message": 7},
        {"Type": "Notification"},
        ses("Other"),
        ses("Send", mail={"messageId": None}),
        ses(
            "Complaint",
            complaint={
                "complaintFeedbackType": "not-spam",
                "complainedRecipients": [{"emailAddress": ANN}],
            },
        ),
    ],
)
def test_what_ses_says_beside_is_ignored(said: dict[str, Any]) -> None:
    outcome = translated(Ses(web()), said)
    assert (outcome.events, [fault.code for fault in outcome.ignored]) == ([], ["not_translated"])


def test_a_source_of_ses_names_its_topics() -> None:
    assert Ses(web()).check({"topic_arns": [TOPIC]}) == []
    for options in ({}, {"topic_arns": TOPIC}, {"topic_arns": [TOPIC], "tolerance": 1}):
        assert [fault.code for fault in Ses(web()).check(options)] == ["bad_options"]


async def test_over_http_a_call_that_could_not_be_verified_is_to_come_again() -> None:
    tray, said = Tray(), by_sns(Message=json.dumps(json.loads(ses("Send")["Message"])))
    outside = web()
    hooks = {"ses": Ses(outside)}
    async with doorway(tray, source("ses", {}, OPTIONS), hooks=hooks) as client:
        outside.answer = Fault("timed_out")
        away = await client.post("/v1/hooks/shop", json=said)
        outside.answer = Reply(200, {}, pem())
        taken = await client.post("/v1/hooks/shop", json=said)
        begun = await client.post("/v1/hooks/shop", json=confirmation())
    assert (away.status_code, away.json()["code"]) == (503, "not_verified")
    assert (taken.status_code, taken.json()["accepted"]) == (200, 1)
    assert (begun.status_code, begun.text) == (200, "subscribed")
    assert [event["event"] for event in tray.events] == ["Email Processed"]

"""Mail providers: what they sign, what they say, and what becomes of it."""

import base64
import hmac
import json
from datetime import timedelta
from functools import cache
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from services.ingest.hooks.mailgun import Mailgun
from services.ingest.hooks.model import Delivery
from services.ingest.hooks.postmark import Postmark
from services.ingest.hooks.sendgrid import SendGrid
from services.notifier import responses
from services.notifier.model import Response
from tests.hooking import NOW, Tray, doorway, source
from tests.posting import accepted, knowing, posted, told, translated

ANN = "Ann@shop.example"


def code(verdict: Any) -> str | None:
    return None if verdict is None else str(verdict.code)


# -- SendGrid -----------------------------------------------------------------------------


@cache
def signer(_name: str) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def shown_by_sendgrid(key: ec.EllipticCurvePrivateKey) -> str:
    der = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return base64.b64encode(der).decode()


def by_sendgrid(body: bytes, at: float = NOW.timestamp(), name: str = "now") -> Delivery:
    timestamp = str(int(at))
    signature = signer(name).sign(timestamp.encode() + body, ec.ECDSA(hashes.SHA256()))
    return posted(
        body,
        headers={
            "x-twilio-email-event-webhook-signature": base64.b64encode(signature).decode(),
            "x-twilio-email-event-webhook-timestamp": timestamp,
        },
    )


def test_sendgrid_is_known_by_any_of_its_keys() -> None:
    keys = knowing(
        verification_key=[shown_by_sendgrid(signer("new")), shown_by_sendgrid(signer("now"))]
    )
    for name in ("now", "new"):
        assert SendGrid().verify(by_sendgrid(b"[]", name=name), keys, {}) is None
    strange = by_sendgrid(b"[]", name="strange")
    assert code(SendGrid().verify(strange, keys, {})) == "bad_signature"


def test_sendgrids_key_may_be_pem() -> None:
    pem = (
        signer("now")
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    secrets = knowing(verification_key=pem.decode())
    assert SendGrid().verify(by_sendgrid(b"[]"), secrets, {}) is None


def test_sendgrids_signature_covers_the_body_and_the_time() -> None:
    keys = knowing(verification_key=shown_by_sendgrid(signer("now")))
    good = by_sendgrid(b"[]")
    for changed in (
        posted(b"[ ]", headers=good.headers),
        posted(b"[]", headers=dict.fromkeys(good.headers, "") | {"x-other": "1"}),
        posted(b"[]", headers={**good.headers, "x-twilio-email-event-webhook-timestamp": "1"}),
        posted(b"[]", headers={**good.headers, "x-twilio-email-event-webhook-signature": "%"}),
        posted(b"[]"),
    ):
        assert code(SendGrid().verify(changed, keys, {})) == "bad_signature"


@pytest.mark.parametrize("key", ["", "no key", "AAAA", "-----BEGIN PUBLIC KEY-----\nAAAA\n"])
def test_a_key_that_is_none_believes_nobody(key: str) -> None:
    outcome = SendGrid().verify(by_sendgrid(b"[]"), knowing(verification_key=key), {})
    assert code(outcome) == "bad_signature"
    assert code(SendGrid().verify(by_sendgrid(b"[]"), knowing(), {})) == "missing_secret"


def test_an_old_signature_is_refused_and_how_old_is_an_option() -> None:
    keys = knowing(verification_key=shown_by_sendgrid(signer("now")))
    hour_ago = by_sendgrid(b"[]", NOW.timestamp() - 3_600)
    assert SendGrid().verify(hour_ago, keys, {}) is None
    outcome = SendGrid().verify(hour_ago, keys, {"tolerance_seconds": 600})
    assert code(outcome) == "stale_signature"
    tomorrow = by_sendgrid(b"[]", NOW.timestamp() + 100_000)
    assert code(SendGrid().verify(tomorrow, keys, {})) == "stale_signature"


def sendgrid(event: str, **more: Any) -> dict[str, Any]:
    return {
        "email": ANN,
        "timestamp": 1773480000,
        "event": event,
        "sg_event_id": f"id-of-{event}",
        "sg_message_id": "abc.filter-1",
        "smtp-id": "<m_1@shop.example>",
        **more,
    }


def test_every_event_of_sendgrid_has_its_meaning() -> None:
    events = [
        sendgrid("processed"),
        sendgrid("deferred", response="421 later", attempt="3"),
        sendgrid("delivered", response="250 OK", regulars_message_id="m_7"),
        sendgrid("bounce", type="bounce", reason="550 no such user", status="5.1.1"),
        sendgrid("dropped", reason="Bounced Address"),
        sendgrid("open", useragent="Mail/1", ip="203.0.113.5", sg_machine_open=True),
        sendgrid("click", url="https://shop.example/tea", category=["spring", "tea"]),
        sendgrid("spamreport"),
        sendgrid("unsubscribe"),
        sendgrid("group_unsubscribe", asm_group_id=10, category="spring"),
        sendgrid("group_resubscribe", asm_group_id=10),
    ]
    mail = {"email_id": "<m_1@shop.example>", "provider_message_id": "abc.filter-1"}
    at = "2026-03-14T09:20:00Z"
    assert told(SendGrid(), events) == [
        ("events.emails", "Email Processed", ANN, at, mail),
        ("events.emails", "Email Deferred", ANN, at, {**mail, "reason": "421 later"}),
        (
            "events.emails",
            "Email Delivered",
            ANN,
            at,
            {**mail, "reason": "250 OK", "email_id": "m_7"},
        ),
        (
            "events.emails",
            "Email Bounced",
            ANN,
            at,
            {**mail, "reason": "550 no such user", "status": "5.1.1", "bounce_type": "hard"},
        ),
        ("events.emails", "Email Dropped", ANN, at, {**mail, "reason": "Bounced Address"}),
        (
            "events.emails",
            "Email Opened",
            ANN,
            at,
            {**mail, "user_agent": "Mail/1", "ip": "203.0.113.5", "machine": True},
        ),
        (
            "events.emails",
            "Email Link Clicked",
            ANN,
            at,
            {**mail, "link_url": "https://shop.example/tea", "tags": ["spring", "tea"]},
        ),
        ("events.emails", "Email Marked as Spam", ANN, at, mail),
        ("events.emails", "Unsubscribed", ANN, at, mail),
        ("events.emails", "Unsubscribed", ANN, at, {**mail, "list_id": "10", "tags": ["spring"]}),
        ("events.emails", "Email Resubscribed", ANN, at, {**mail, "list_id": "10"}),
    ]


def test_a_block_is_a_soft_bounce() -> None:
    [event] = told(SendGrid(), [sendgrid("bounce", type="blocked")])
    assert event[4]["bounce_type"] == "soft"


def test_a_sendgrid_event_delivered_46_times_is_one_event() -> None:
    calls = [[sendgrid("open")] * 23, *[[sendgrid("open")]] * 23]
    ids = {event.message_id for call in calls for event in accepted(SendGrid(), call)}
    assert ids == {"sendgrid:id-of-open"}


def test_a_strange_event_costs_no_other() -> None:
    outcome = translated(
        SendGrid(),
        [7, None, {"event": "dance"}, sendgrid("open", sg_event_id=None), sendgrid("click")],
    )
    assert [event["event"] for event in outcome.events] == ["Email Link Clicked"]
    assert [fault.code for fault in outcome.ignored] == [
        "not_translated",
        "not_translated",
        "not_translated",
        "no_event_id",
    ]
    nobody = translated(SendGrid(), [sendgrid("open", email="nobody")])
    assert [fault.code for fault in nobody.ignored] == ["no_recipient"]


# -- Mailgun ------------------------------------------------------------------------------

SIGNING_KEY = "key-of-mailgun"


def by_mailgun(event: dict[str, Any], **changed: Any) -> Delivery:
    timestamp = str(int(changed.pop("at", NOW.timestamp())))
    token = changed.pop("token", "token-1")
    key = changed.pop("key", SIGNING_KEY)
    digest = hmac.new(key.encode(), f"{timestamp}{token}".encode(), "sha256").hexdigest()
    signature = {"timestamp": timestamp, "token": token, "signature": digest, **changed}
    return posted({"signature": signature, "event-data": event})


def test_mailgun_is_known_by_its_signing_key_or_its_parents() -> None:
    keys = knowing(signing_key=["old", SIGNING_KEY])
    assert Mailgun().verify(by_mailgun({}), keys, {}) is None
    parent = by_mailgun({}, key="of-the-subaccount")
    said = json.loads(parent.body)
    said["signature"]["parent-signature"] = json.loads(by_mailgun({}).body)["signature"][
        "signature"
    ]
    assert Mailgun().verify(posted(said), keys, {}) is None
    for strange in (parent, by_mailgun({}, signature="00"), posted({}), posted(b"{"), posted([1])):
        assert code(Mailgun().verify(strange, keys, {})) == "bad_signature"
    assert code(Mailgun().verify(by_mailgun({}), knowing(), {})) == "missing_secret"


def test_mailguns_signature_ends() -> None:
    old = by_mailgun({}, at=(NOW - timedelta(hours=10)).timestamp())
    assert code(Mailgun().verify(old, knowing(signing_key=SIGNING_KEY), {})) == "stale_signature"


def test_mailguns_token_is_good_for_one_body_however_often_it_comes() -> None:
    keys, hook = knowing(signing_key=SIGNING_KEY), Mailgun(tokens=2)
    first = by_mailgun({"id": "1"})
    assert hook.verify(first, keys, {}) is None
    assert hook.verify(first, keys, {}) is None
    assert code(hook.verify(by_mailgun({"id": "2"}), keys, {})) == "used_token"
    for number in range(5):
        assert hook.verify(by_mailgun({}, token=f"other-{number}"), keys, {}) is None
    assert len(hook._bodies) == 2


def mailgun(event: str, **more: Any) -> dict[str, Any]:
    return {
        "event-data": {
            "event": event,
            "id": f"id-of-{event}",
            "timestamp": 1773480000.25,
            "recipient": ANN,
            "message": {"headers": {"message-id": "m_1@shop.example", "subject": "Spring tea"}},
            **more,
        }
    }


@pytest.mark.parametrize(
    ("said", "name", "more"),
    [
        (mailgun("accepted"), "Email Processed", {}),
        (mailgun("rejected"), "Email Dropped", {}),
        (mailgun("delivered", tags=["spring"]), "Email Delivered", {"tags": ["spring"]}),
        (
            mailgun(
                "failed",
                severity="permanent",
                reason="bounce",
                **{"delivery-status": {"code": 550, "message": "no such user"}},
            ),
            "Email Bounced",
            {"bounce_type": "hard", "status": "550", "reason": "no such user"},
        ),
        (
            mailgun("failed", severity="permanent", reason="old"),
            "Email Bounced",
            {"bounce_type": "soft", "reason": "old"},
        ),
        (
            mailgun("failed", severity="permanent", reason="suppress-unsubscribe"),
            "Email Dropped",
            {"reason": "suppress-unsubscribe"},
        ),
        (
            mailgun("failed", severity="temporary", reason="generic"),
            "Email Deferred",
            {"reason": "generic"},
        ),
        (
            mailgun(
                "opened",
                ip="203.0.113.5",
                **{"client-info": {"user-agent": "Mozilla/5.0", "bot": "apple"}},
            ),
            "Email Opened",
            {"ip": "203.0.113.5", "user_agent": "Mozilla/5.0", "machine": True},
        ),
        (
            mailgun("clicked", url="https://shop.example/tea", **{"client-info": {"bot": ""}}),
            "Email Link Clicked",
            {"link_url": "https://shop.example/tea"},
        ),
        (
            mailgun("clicked", url="https://shop.example/", **{"client-info": {"bot": "generic"}}),
            "Email Link Clicked",
            {"link_url": "https://shop.example/", "machine": True},
        ),
        (
            mailgun("unsubscribed", **{"user-variables": {"regulars_message_id": "m_7"}}),
            "Unsubscribed",
            {"email_id": "m_7"},
        ),
        (mailgun("complained"), "Email Marked as Spam", {}),
    ],
)
def test_every_event_of_mailgun_has_its_meaning(
    said: dict[str, Any], name: str, more: dict[str, Any]
) -> None:
    mail = {
        "email_id": "m_1@shop.example",
        "provider_message_id": "m_1@shop.example",
        "email_subject": "Spring tea",
    }
    assert told(Mailgun(), said) == [
        ("events.emails", name, ANN, "2026-03-14T09:20:00.250000Z", {**mail, **more})
    ]


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({}, "not_translated"),
        (mailgun("stored"), "not_translated"),
        (mailgun("opened", id=None), "no_event_id"),
        (mailgun("opened", recipient=None), "no_recipient"),
    ],
)
def test_what_mailgun_says_beside_is_ignored(said: dict[str, Any], reason: str) -> None:
    assert [fault.code for fault in translated(Mailgun(), said).ignored] == [reason]


# -- Postmark -----------------------------------------------------------------------------


def with_password(pair: str) -> Delivery:
    word = base64.b64encode(pair.encode()).decode()
    return posted({}, headers={"authorization": f"Basic {word}"})


def test_postmark_is_known_by_its_password_or_its_header() -> None:
    secrets = knowing(basic_auth="postmark:word", header_secret="quiet")
    own = {"header": "X-Shop"}
    for known, options in (
        (with_password("postmark:word"), {}),
        (posted({}, headers={"x-webhook-secret": "quiet"}), {}),
        (posted({}, headers={"x-shop": "quiet"}), own),
    ):
        assert Postmark().verify(known, secrets, options) is None
    for strange in (
        posted({}),
        with_password("postmark:words"),
        posted({}, headers={"authorization": "Basic %"}),
        posted({}, headers={"authorization": "Bearer postmark:word"}),
        posted({}, headers={"x-webhook-secret": "loud"}),
        posted({}, headers={"x-webhook-secret": ""}),
    ):
        assert code(Postmark().verify(strange, secrets, {})) == "bad_secret"
    assert code(Postmark().verify(with_password(":"), knowing(), {})) == "missing_secret"


def postmark(record: str, **more: Any) -> dict[str, Any]:
    when = {
        "Delivery": "DeliveredAt",
        "Bounce": "BouncedAt",
        "SpamComplaint": "BouncedAt",
        "SubscriptionChange": "ChangedAt",
    }.get(record, "ReceivedAt")
    who = "Email" if record in ("Bounce", "SpamComplaint") else "Recipient"
    return {
        "RecordType": record,
        "MessageID": "883953f4-0000-4000-8000-00000000000a",
        who: ANN,
        when: "2026-03-14T05:20:00.2735393-04:00",
        "Metadata": {"regulars_message_id": "m_7"},
        "Tag": "spring",
        **more,
    }


@pytest.mark.parametrize(
    ("said", "name", "more"),
    [
        (postmark("Delivery", Details="250 OK"), "Email Delivered", {"reason": "250 OK"}),
        (
            postmark("Bounce", Type="HardBounce", Details="no such user", Subject="Tea"),
            "Email Bounced",
            {
                "bounce_type": "hard",
                "status": "HardBounce",
                "reason": "no such user",
                "email_subject": "Tea",
            },
        ),
        (
            postmark("Bounce", Type="SoftBounce", Description="full"),
            "Email Bounced",
            {"bounce_type": "soft", "status": "SoftBounce", "reason": "full"},
        ),
        (postmark("Bounce", Type="Unsubscribe"), "Unsubscribed", {"status": "Unsubscribe"}),
        (postmark("SpamComplaint"), "Email Marked as Spam", {}),
        (
            postmark("Open", UserAgent="Mail/1", Geo={"IP": "203.0.113.5"}),
            "Email Opened",
            {"user_agent": "Mail/1", "ip": "203.0.113.5"},
        ),
        (
            postmark("Click", OriginalLink="https://shop.example/tea"),
            "Email Link Clicked",
            {"link_url": "https://shop.example/tea"},
        ),
        (
            postmark(
                "SubscriptionChange", SuppressSending=True, SuppressionReason="ManualSuppression"
            ),
            "Unsubscribed",
            {"reason": "ManualSuppression"},
        ),
        (
            postmark("SubscriptionChange", SuppressSending=True, SuppressionReason="HardBounce"),
            "Email Suppressed",
            {"reason": "HardBounce"},
        ),
        (postmark("SubscriptionChange", SuppressSending=False), "Email Resubscribed", {}),
    ],
)
def test_every_record_of_postmark_has_its_meaning(
    said: dict[str, Any], name: str, more: dict[str, Any]
) -> None:
    mail = {
        "email_id": "m_7",
        "provider_message_id": "883953f4-0000-4000-8000-00000000000a",
        "tags": ["spring"],
    }
    assert told(Postmark(), said) == [
        ("events.emails", name, ANN, "2026-03-14T09:20:00.273539Z", {**mail, **more})
    ]


def test_a_record_of_postmark_is_one_event_and_another_time_another() -> None:
    first, second = postmark("Open"), postmark("Open", ReceivedAt="2026-03-14T09:25:00Z")
    ids = [accepted(Postmark(), said)[0].message_id for said in (first, first, second)]
    assert ids[0] == ids[1] != ids[2]
    assert "shop.example" not in ids[0].lower()


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({}, "not_translated"),
        ([], "not_translated"),
        (postmark("Bounce", Type="AutoResponder"), "not_translated"),
        (postmark("Open", MessageID=None), "no_event_id"),
        (postmark("Open", Recipient=None), "no_recipient"),
    ],
)
def test_what_postmark_says_beside_is_ignored(said: Any, reason: str) -> None:
    assert [fault.code for fault in translated(Postmark(), said).ignored] == [reason]


# -- over HTTP ----------------------------------------------------------------------------


async def test_a_provider_that_tries_46_times_is_answered_46_times_and_heard_once() -> None:
    tray, call = Tray(), by_sendgrid(json.dumps([sendgrid("open")] * 2).encode())
    async with doorway(
        tray, source("sendgrid", {"verification_key": [shown_by_sendgrid(signer("now"))]})
    ) as client:
        answers = [
            await client.post("/v1/hooks/shop", content=call.body, headers=dict(call.headers))
            for _ in range(46)
        ]
        forged = await client.post("/v1/hooks/shop", content=b"[]", headers=dict(call.headers))
    assert {answer.status_code for answer in answers} == {200}
    assert (answers[0].json()["accepted"], answers[0].json()["duplicates"]) == (1, 1)
    assert {event["messageId"] for event in tray.events} == {"sendgrid:id-of-open"}
    assert (forged.status_code, forged.json()["code"]) == (401, "bad_signature")


async def test_a_mailgun_call_that_could_not_be_stored_is_taken_when_it_comes_again() -> None:
    tray, call = Tray(), by_mailgun(mailgun("opened")["event-data"])
    async with doorway(tray, source("mailgun", {"signing_key": [SIGNING_KEY]})) as client:
        tray.trouble = "Kafka is away."
        first = await client.post("/v1/hooks/shop", content=call.body)
        tray.trouble = None
        second = await client.post("/v1/hooks/shop", content=call.body)
    assert (first.status_code, second.status_code) == (503, 200)
    assert [event["messageId"] for event in tray.events] == ["mailgun:id-of-opened"]


@pytest.mark.parametrize("hook", [SendGrid(), Mailgun()])
def test_what_may_be_set_of_a_mail_source(hook: SendGrid | Mailgun) -> None:
    assert hook.check({}) == hook.check({"tolerance_seconds": 60}) == []
    assert [fault.detail for fault in hook.check({"tolerance_seconds": "x"})] == [
        "options.tolerance_seconds: Expected `float | null`, got `str`"
    ]
    assert [fault.code for fault in hook.check({"tolerance": 1})] == ["bad_options"]
    assert [fault.code for fault in hook.check([])] == ["bad_options"]


def test_options_that_do_not_fit_are_said_to_be_bad() -> None:
    stored_before = {"tolerance_seconds": "soon", "header": 7}
    keys = knowing(verification_key=shown_by_sendgrid(signer("now")), signing_key=SIGNING_KEY)
    for hook, call, secrets in (
        (SendGrid(), by_sendgrid(b"[]"), keys),
        (Mailgun(), by_mailgun({}), keys),
        (Postmark(), posted({}), knowing(header_secret="quiet")),
    ):
        assert code(hook.verify(call, secrets, stored_before)) == "bad_options"


# -- and then -----------------------------------------------------------------------------

OURS = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize(
    ("hook", "said", "state", "reason"),
    [
        (SendGrid(), [sendgrid("delivered", regulars_message_id=OURS)], "delivered", ""),
        (
            SendGrid(),
            [sendgrid("open", sg_machine_open=True, **{"smtp-id": f"<{OURS}@mail.shop.example>"})],
            "machine_opened",
            "",
        ),
        (
            SendGrid(),
            [sendgrid("bounce", type="blocked", regulars_message_id=OURS)],
            "bounced",
            "soft",
        ),
        (
            Mailgun(),
            mailgun(
                "clicked",
                message={"headers": {"message-id": f"{OURS}@mail.shop.example"}},
                **{"client-info": {"bot": "generic"}},
            ),
            "machine_clicked",
            "",
        ),
        (
            Postmark(),
            postmark("Bounce", Type="HardBounce", Metadata={"regulars_message_id": OURS}),
            "bounced",
            "hard",
        ),
        (
            Postmark(),
            postmark("SpamComplaint", Metadata={"regulars_message_id": OURS}),
            "complained",
            "",
        ),
    ],
)
def test_the_notifier_knows_its_own_mail_again(
    hook: SendGrid | Mailgun | Postmark, said: Any, state: str, reason: str
) -> None:
    [event] = accepted(hook, said)
    response = responses.read(event.value, NOW)
    assert isinstance(response, Response)
    assert (response.message_id, response.state, response.reason) == (OURS, state, reason)

"""Mail that people write to the shop: what is read out of it, and how it may come."""

import base64
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from email.message import EmailMessage
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.validation import Fault
from services.ingest.hooks.event import encode
from services.ingest.hooks.letters import Letter, read_letter
from services.ingest.hooks.mail import Mail
from services.ingest.hooks.model import MAX_HOOK, Delivery
from services.ingest.model import Accepted, Receipt, Shared
from services.ingest.rules import accept
from tests.hooking import Tray, doorway, source
from tests.posting import knowing, posted
from tests.tried import tried

NOW = datetime(2026, 3, 14, 12, tzinfo=UTC)


def letter(body: str | None = "Is the tea back?", **headers: str) -> EmailMessage:
    mail = EmailMessage()
    said = {
        "From": "Ann Önder <Ann@customer.example>",
        "To": "help@shop.example",
        "Subject": "Tee für 茶",
        "Message-ID": "<a1@customer.example>",
        "Date": "Sat, 14 Mar 2026 10:20:00 +0100",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    for name, value in said.items():
        if value:
            mail[name] = value
    if body is not None:
        mail.set_content(body)
    return mail


def heard(mail: EmailMessage | bytes) -> Letter:
    raw = mail if isinstance(mail, bytes) else mail.as_bytes()
    found = read_letter(raw, NOW)
    assert isinstance(found, Letter), found
    return found


def properties(mail: EmailMessage | bytes) -> dict[str, Any]:
    return {name: value for name, value in heard(mail).properties.items() if value}


def test_a_mail_is_who_wrote_what_to_whom_and_when() -> None:
    found = heard(letter())
    assert (found.sender, found.at) == (
        "Ann@customer.example",
        datetime(2026, 3, 14, 9, 20, tzinfo=UTC),
    )
    assert properties(letter()) == {
        "conversation_id": "a1@customer.example",
        "message_id": "a1@customer.example",
        "from_name": "Ann Önder",
        "to": "help@shop.example",
        "subject": "Tee für 茶",
        "text": "Is the tea back?",
    }


def test_an_answer_stands_in_the_thread_of_what_it_answers() -> None:
    answer = letter(
        In_Reply_To="<r2@shop.example>", References="<m0@shop.example> <r2@shop.example>"
    )
    assert properties(answer)["conversation_id"] == "m0@shop.example"
    assert properties(answer)["in_reply_to"] == "r2@shop.example"
    without = letter(In_Reply_To="<r2@shop.example>")
    assert properties(without)["conversation_id"] == "r2@shop.example"


def test_the_quoted_mail_is_left_out() -> None:
    body = "Yes, please.\n\nOn Fri, 13 Mar 2026 at 10:11, Shop <help@shop.example> wrote:\n> Tea?\n"
    assert (properties(letter(body))["text"], properties(letter(body))["quoted"]) == (
        "Yes, please.",
        True,
    )
    forwarded = "---------- Forwarded message ---------\nFrom: X <x@y.example>\nSubject: s\n\nhi\n"
    assert properties(letter(forwarded))["text"] == forwarded.strip()
    inline = "> Tea?\nYes.\n> And cake?\nNo.\n"
    assert properties(letter(inline))["text"] == inline.strip()


def test_html_is_read_where_there_is_no_text() -> None:
    mail = letter("plain words")
    mail.add_alternative("<p>other words</p>", subtype="html")
    assert properties(mail)["text"] == "plain words"
    mail = letter(None)
    mail.set_content("<style>p{}</style><p>One</p><p>Two<script>x()</script></p>", subtype="html")
    assert properties(mail)["text"] == "One\n\nTwo"


def test_attachments_are_named_and_not_kept() -> None:
    mail = letter()
    mail.add_attachment(b"x" * 300, maintype="image", subtype="png", filename="tea\tpot.png")
    mail.add_attachment("words", filename="notes.txt")
    found = properties(mail)
    assert found["attachments"] == [
        {"name": "tea pot.png", "type": "image/png", "size": 300},
        {"name": "notes.txt", "type": "text/plain", "size": 6},
    ]
    assert (found["attachment_count"], found["text"]) == (2, "Is the tea back?")


@pytest.mark.parametrize(
    "headers",
    [
        {"Auto_Submitted": "auto-replied"},
        {"Precedence": "bulk"},
        {"Return_Path": "<>"},
        {"X_Autoreply": "yes"},
    ],
)
def test_what_a_machine_wrote_is_automatic(headers: dict[str, str]) -> None:
    assert properties(letter(**headers))["automatic"] is True
    assert "automatic" not in properties(letter(Auto_Submitted="no", Return_Path="<a@b.example>"))


REPORT = b"""\
Return-Path: <>
From: Mail Delivery System <MAILER-DAEMON@mx.example>
To: help@shop.example
Subject: Undelivered
Message-ID: <report@mx.example>
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: text/plain

It could not be delivered.
--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example

Final-Recipient: rfc822; bob@customer.example
Action: failed
Status: 5.1.1

--b--
"""


def test_a_report_of_a_mail_that_failed_is_about_who_did_not_get_it() -> None:
    found = heard(REPORT)
    assert (found.sender, found.properties["automatic"]) == ("bob@customer.example", True)


def test_what_the_receiving_server_found_is_noted_from_its_own_header_alone() -> None:
    mail = letter(
        Authentication_Results="mx.shop.example; spf=pass smtp.mailfrom=x; dkim=fail; dmarc=none"
    )
    raw = mail.as_bytes() + b""
    forged = b"Authentication-Results: mx.shop.example; spf=fail\r\n" + raw
    assert {name: properties(mail).get(name) for name in ("spf", "dkim", "dmarc")} == {
        "spf": "pass",
        "dkim": "fail",
        "dmarc": "none",
    }
    assert properties(forged)["spf"] == "fail"


@pytest.mark.parametrize(
    "date",
    ["", "tomorrow", "Sat, 14 Mar 2026 23:20:00 +0000", "Sun, 1 Mar 2026 10:00:00 +0000", "9" * 99],
)
def test_a_date_that_cannot_be_is_not_believed(date: str) -> None:
    assert heard(letter(Date=date)).at == NOW


def test_the_same_mail_is_the_same_event_and_another_sender_another() -> None:
    keys = [
        heard(mail).key
        for mail in (
            letter(),
            letter("changed on its way"),
            letter(From="eve@customer.example"),
            letter(Message_ID=""),
            letter("other", Message_ID=""),
        )
    ]
    assert keys[0] == keys[1]
    assert len(set(keys)) == 4


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"", "no_sender"),
        (b"nothing of the kind", "no_sender"),
        (b"From: nobody\n\nhi", "no_sender"),
        (b"From: a@b.example\n\n" + b"\n--x" * 6_000, "bad_mime"),
        (b"From: a@b.example\nContent-Type: multipart/mixed; boundary=x\n" * 60, "bad_mime"),
        (b"From: a@b.example\n" + b"X: y\r\n" * 50_000 + b"\r\nhi", "bad_mime"),
    ],
)
def test_what_is_no_mail_is_said_to_be_none(raw: bytes, code: str) -> None:
    found = read_letter(raw, NOW)
    assert isinstance(found, Fault)
    assert found.code == code


ODDITIES = [
    b"From: =?utf-8?q?=ZZ?= <a@b.example>\nSubject: =?nonsense?b?%%%?=\n\nhi",
    b"From: a@b.example\nSubject: =?utf-8?b?YQ?=\n\nhi",
    b"From: a@b.example\nSubject: \xff\xfe\x00\n\n\xff\xfe\x00",
    b"From: a@b.example\nContent-Type: text/plain; charset=nonsense\n\nhi",
    b"From: a@b.example\nContent-Type: text/plain; charset*=utf-8''x%%\n\nhi",
    b'From: a@b.example\nContent-Type: text/plain; charset="a\\\x00"\n\nhi',
    b"From: a@b.example\nContent-Type: text/plain; charset=undefined\n\nhi",
    b"From: a@b.example\nContent-Transfer-Encoding: base64\n\n%%%",
    b"From: a@b.example\nContent-Transfer-Encoding: x-uuencode\n\nbegin 666 x\n%%%",
    b"From: a@b.example\nContent-Type: multipart/mixed\n\nhi",
    b"From: a@b.example\nContent-Type: message/rfc822\n\n\xff",
    b"From: a@b.example\nContent-Disposition: attachment; filename*0*=x''%ff; filename*2=x\n\nhi",
    b"From: a@b.example\nContent-Disposition: attachment; filename*=nonsense''%ff\n\nhi",
    b"From: " + b"(" * 5_000 + b"a@b.example\n\nhi",
    b"From: a@b.example\nReferences: " + b"<" * 100_000 + b"\n\nhi",
    b"From: a@b.example\nDate: Mon, 99 Foo 99999 99:99:99 +9999\n\nhi",
]


@pytest.mark.parametrize("raw", ODDITIES, ids=range(len(ODDITIES)))
def test_an_odd_mail_is_read_as_far_as_it_goes(raw: bytes) -> None:
    found = read_letter(raw, NOW)
    assert isinstance(found, Letter) or found.code in ("no_sender", "bad_mime")


LINES = st.sampled_from(
    [
        b"From: Ann <a@b.example>",
        b"Content-Type: multipart/mixed; boundary=x",
        b"Content-Type: text/html",
        b"Content-Type: message/delivery-status",
        b"Content-Transfer-Encoding: base64",
        b"Content-Disposition: attachment; filename=a",
        b"References: <a@b> <c@d>",
        b"Final-Recipient: rfc822; x@y.example",
        b"--x",
        b"--x--",
        b"",
        b"> quoted",
        b"On Monday wrote:",
        b"=?utf-8?q?a?=",
    ]
) | st.binary(max_size=20)


@given(lines=st.lists(LINES, max_size=25))
@tried(300)
def test_no_mail_breaks_the_door(lines: list[bytes]) -> None:
    raw = b"From: a@b.example\n" + b"\n".join(lines)
    outcome = Mail().translate(posted(raw, headers=RFC822), {})
    if isinstance(outcome, Fault):
        return
    receipt = Receipt("s", datetime(2027, 1, 1, tzinfo=UTC), lambda: "made-up")
    for event in outcome.events:
        assert isinstance(accept(encode(event), None, Shared(), receipt), Accepted)


# -- how it comes -------------------------------------------------------------------------

RFC822 = {"content-type": "message/rfc822"}


def form(fields: dict[str, bytes], boundary: str = "xYz") -> Delivery:
    lines = b""
    for name, value in fields.items():
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'
        lines += head.encode() + value + b"\r\n"
    kind = {"content-type": f"multipart/form-data; boundary={boundary}"}
    return posted(lines + f"--{boundary}--\r\n".encode(), headers=kind)


RAW = letter().as_bytes()
FORMS = {
    "raw": posted(RAW, headers=RFC822),
    "field email": form({"to": b"help@shop.example", "email": RAW}),
    "field body-mime": form({"body-mime": RAW, "subject": b"Tea"}),
    "urlencoded": posted(
        urlencode({"recipient": "x", "body-mime": RAW.decode()}).encode(),
        headers={"content-type": "application/x-www-form-urlencoded"},
    ),
    "json": posted({"RawEmail": RAW.decode()}, headers={"content-type": "application/json"}),
}


@pytest.mark.parametrize("way", FORMS)
def test_a_mail_is_the_same_however_it_comes(way: str) -> None:
    outcome = Mail().translate(FORMS[way], {})
    assert not isinstance(outcome, Fault)
    [event] = outcome.events
    assert event["messageId"] == f"mail:{heard(letter()).key}"
    assert event["event"] == "Email Received"
    assert event["context"]["traits"] == {"email": "Ann@customer.example"}
    receipt = Receipt("s", datetime(2027, 1, 1, tzinfo=UTC), lambda: "made-up")
    accepted = accept(encode(event), None, Shared(), receipt)
    assert isinstance(accepted, Accepted)
    assert accepted.topic == "events.emails"


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (posted(b"", headers=RFC822), "no_mail"),
        (posted(RAW), "no_mail"),
        (posted(RAW, headers={"content-type": "image/png"}), "no_mail"),
        (form({"text": b"hi"}), "no_mail"),
        (posted(b"xx", headers={"content-type": "multipart/form-data"}), "bad_form"),
        (posted(b"x", headers={"content-type": "multipart/form-data; boundary=x"}), "bad_form"),
        (
            posted(b"\xff", headers={"content-type": "application/x-www-form-urlencoded"}),
            "bad_form",
        ),
        (posted(b"{", headers={"content-type": "application/json"}), "bad_json"),
        (posted({}, headers={"content-type": "application/json"}), "no_mail"),
        (posted({"RawEmail": 7}, headers={"content-type": "application/json"}), "no_mail"),
    ],
)
def test_what_brings_no_mail_is_refused(sent: Delivery, code: str) -> None:
    outcome = Mail().translate(sent, {})
    assert isinstance(outcome, Fault)
    assert outcome.code == code


def test_who_brings_mail_shows_the_token() -> None:
    secrets = knowing(token=["new", "old"])
    basic = base64.b64encode(b"anybody:old").decode()
    for known in (
        posted(query={"token": "new"}),
        posted(headers={"authorization": f"Basic {basic}"}),
    ):
        assert Mail().verify(known, secrets, {}) is None
    for strange in (posted(), posted(query={"token": "x"}), posted(query={"token": ""})):
        verdict = Mail().verify(strange, secrets, {})
        assert verdict is not None
        assert verdict.code == "bad_secret"


async def test_a_large_mail_is_taken_and_a_large_delivery_of_another_kind_is_not() -> None:
    mail, large = letter(), b"x" * (MAX_HOOK + 1)
    mail.add_attachment(large, maintype="image", subtype="png", filename="a.png")
    raw = mail.as_bytes()
    tray = Tray()
    async with doorway(tray, source("mail", {"token": ["word"]})) as client:
        taken = await client.post("/v1/hooks/shop?token=word", content=raw, headers=RFC822)
        strange = await client.post("/v1/hooks/shop?token=no", content=raw, headers=RFC822)
    async with doorway(tray, source("mailgun", {"signing_key": ["word"]})) as client:
        refused = await client.post("/v1/hooks/shop", content=large)
    assert (taken.status_code, strange.status_code, refused.status_code) == (200, 401, 413)
    assert refused.json()["code"] == "body_too_large"
    [event] = tray.events
    assert event["properties"]["attachments"] == [
        {"name": "a.png", "type": "image/png", "size": len(large)}
    ]
    assert json.dumps(event).count("x" * 100) == 0


async def test_of_who_does_not_show_the_token_not_a_byte_is_read() -> None:
    read: list[bytes] = []

    async def mail() -> AsyncIterator[bytes]:
        read.append(RAW)
        yield RAW

    async with doorway(Tray(), source("mail", {"token": ["word"]})) as client:
        for query, status in (("", 401), ("?token=word", 200)):
            answer = await client.post(f"/v1/hooks/shop{query}", content=mail(), headers=RFC822)
            assert (answer.status_code, len(read)) == (status, status == 200)

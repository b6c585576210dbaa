"""Unsubscribe links, and the mail that carries them."""

from datetime import UTC, datetime
from email import message_from_bytes, policy
from typing import Any

import pytest

from services.notifier import unsubscribe
from services.notifier.mail import Mail, build, usable_sender

SECRET = b"a secret of some length"
MESSAGE = "0123456789abcdef" * 2


def mail(**fields: Any) -> Mail:
    given = {
        "message_id": MESSAGE,
        "domain": "mail.shop.example",
        "from_": "Shop <hello@shop.example>",
        "to": "ada@example.com",
        "subject": "Hello",
        "text": "Come back.",
        "at": datetime(2036, 5, 4, 12, tzinfo=UTC),
        "unsubscribe_url": unsubscribe.url("https://shop.example/", MESSAGE, SECRET),
        "campaign": "cart",
    }
    return Mail(**{**given, **fields})


def read(made: Mail) -> Any:
    return message_from_bytes(build(made), policy=policy.default)


def test_a_token_leads_back_to_its_message() -> None:
    token = unsubscribe.token(MESSAGE, SECRET)
    assert unsubscribe.message_of(token, SECRET) == MESSAGE
    assert MESSAGE not in token


def test_no_changed_or_foreign_token_leads_anywhere() -> None:
    token = unsubscribe.token(MESSAGE, SECRET)
    for place in range(len(token) - 1):
        other = "A" if token[place] != "A" else "B"
        assert unsubscribe.message_of(token[:place] + other + token[place + 1 :], SECRET) is None
    assert unsubscribe.message_of(token, b"another secret, as long") is None
    for nonsense in ("", "=", "é", "..%2f", token[:-2], token + "AAAA", "A" * 100_000):
        assert unsubscribe.message_of(nonsense, SECRET) is None


def test_the_pages_ask_with_a_button_and_no_script() -> None:
    page = unsubscribe.page(unsubscribe.ASK)
    assert '<html lang="en">' in page
    assert "<form method='post'>" in page
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "")


def test_a_mail_says_how_to_unsubscribe_with_one_click() -> None:
    message = read(mail())
    link = unsubscribe.url("https://shop.example", MESSAGE, SECRET)
    assert message["List-Unsubscribe"] == f"<{link}>"
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert message["Message-ID"] == f"<{MESSAGE}@mail.shop.example>"
    assert message["Date"] == "Sun, 04 May 2036 12:00:00 +0000"
    assert build(mail()) == build(mail())


def test_a_mail_in_any_language_arrives_as_it_was_written() -> None:
    text = "Grüße, дорогая Ада 🛒\n.\n.dots\n" + "long " * 500
    message = read(
        mail(
            from_="Größe <hello@shop.example>",
            subject="Grüße 🛒 " * 20,
            text=text,
            html=f"<p>{text}</p>",
            reply_to="help@shop.example",
        )
    )
    assert message["From"] == "Größe <hello@shop.example>"
    assert message["Reply-To"] == "help@shop.example"
    assert message["Subject"].strip() == ("Grüße 🛒 " * 20).strip()
    plain, html = (message.get_body(preferencelist=(kind,)) for kind in ("plain", "html"))
    assert plain.get_content().splitlines() == text.splitlines()
    assert html.get_content().splitlines() == f"<p>{text}</p>".splitlines()
    assert all(len(line) <= 998 for line in build(mail(text=text)).split(b"\r\n"))


def test_no_value_can_begin_a_header_of_its_own() -> None:
    evil = "Hello\r\nBcc: everybody@example.com\n\nand a body"
    message = read(mail(subject=evil, campaign=evil, unsubscribe_url=evil))
    assert message["Bcc"] is None
    assert message.get_content().strip() == "Come back."


@pytest.mark.parametrize(
    ("value", "usable"),
    [
        ("hello@shop.example", True),
        ("Shop <hello@shop.example>", True),
        ("Größe <hello@shop.example>", True),
        ("hello", False),
        ("", False),
        ("Shop <hello@shop.example>\r\nBcc: a@b.example", False),
        ("größe@shop.example", False),
    ],
)
def test_a_sender_is_one_address_on_one_line(value: str, usable: bool) -> None:
    assert usable_sender(value) is usable

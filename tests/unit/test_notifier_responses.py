"""What a provider's report says about a mail of ours, and when."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest

from schemas.validation import Fault
from services.notifier import responses
from services.notifier.model import Response
from services.runtime.turn import Source
from tests.notifying import NOW, email_event

ID = "0123456789abcdef" * 2
EMAILS = Source("notifier/events.emails/0", "events.emails", 0)


def read(name: str, at: datetime = NOW, **properties: Any) -> Response | Fault:
    return responses.read(email_event(EMAILS, name, ID, at, **properties).value, NOW)


@pytest.mark.parametrize(
    ("name", "state"),
    [
        ("Email Delivered", "delivered"),
        (" email opened ", "opened"),
        ("Email Link Clicked", "clicked"),
        ("EMAIL MARKED AS SPAM", "complained"),
        ("Unsubscribed", "unsubscribed"),
    ],
)
def test_an_email_event_is_a_state_of_its_message(name: str, state: str) -> None:
    assert read(name) == Response(ID, state, NOW)


@pytest.mark.parametrize("email_id", [ID, f"<{ID}@shop.example>", f"{ID}@shop.example", f"<{ID}>"])
def test_the_id_may_come_as_the_message_id_header(email_id: str) -> None:
    assert read("Email Delivered", email_id=email_id) == Response(ID, "delivered", NOW)


@pytest.mark.parametrize("email_id", [None, 7, "", ID[1:], ID.upper(), f"x{ID}", f"{ID}@a b", [ID]])
def test_any_other_id_is_not_ours(email_id: Any) -> None:
    assert read("Email Delivered", email_id=email_id) == Fault("foreign_email_id")


@pytest.mark.parametrize(
    ("bounce_type", "reason"),
    [(None, "hard"), ("Permanent", "hard"), (3, "hard"), ("Soft", "soft"), ("transient", "soft")],
)
def test_a_bounce_is_hard_unless_it_says_otherwise(bounce_type: Any, reason: str) -> None:
    assert read("Email Bounced", bounce_type=bounce_type) == Response(ID, "bounced", NOW, reason)


def test_only_opens_and_clicks_can_be_a_machines() -> None:
    names = ("Email Opened", "Email Link Clicked", "Email Delivered")
    found = [read(name, machine=True) for name in names]
    assert [isinstance(one, Response) and one.state for one in found] == [
        "machine_opened",
        "machine_clicked",
        "delivered",
    ]
    assert read("Email Opened", machine="no") == Response(ID, "opened", NOW)


def test_nothing_comes_back_later_than_it_was_received() -> None:
    tomorrow = NOW + timedelta(days=1)
    assert read("Email Opened", tomorrow) == Response(ID, "opened", NOW)
    elsewhere = (NOW - timedelta(hours=1)).astimezone(timezone(timedelta(hours=9)))
    back = read("Email Opened", elsewhere)
    assert isinstance(back, Response)
    assert (back.at, back.at.tzinfo) == (NOW - timedelta(hours=1), UTC)


@pytest.mark.parametrize(
    "fields",
    [
        {"timestamp": "yesterday"},
        {"timestamp": "2026-01-01T00:00:00"},
        {"timestamp": "0001-01-01T00:00:00+14:00"},
        {"receivedAt": None},
        {"properties": []},
        {"event": 7},
    ],
)
def test_what_does_not_fit_is_left_to_profile(fields: dict[str, Any]) -> None:
    event = msgspec.json.decode(email_event(EMAILS, "Email Opened", ID, NOW).value or b"")
    assert responses.read(msgspec.json.encode({**event, **fields}), NOW) == Fault("malformed")


def test_other_calls_and_other_events_are_none_of_ours() -> None:
    event = msgspec.json.decode(email_event(EMAILS, "Email Opened", ID, NOW).value or b"")
    for other in ({"type": "identify"}, {"event": None}, {"event": "Email Forwarded"}):
        assert responses.read(msgspec.json.encode({**event, **other}), NOW) == Fault("other_event")

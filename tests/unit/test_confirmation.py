"""The mail that asks somebody to confirm a consent: whom, once, and by which link."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from schemas.addresses import digest_of
from schemas.messages import Confirmation, Consent, ConsentRequested
from services.notifier import confirmation, unsubscribe
from services.notifier.delivery import refusal
from services.notifier.mail import build
from services.notifier.model import Recipient
from services.notifier.settings import NotifierSettings
from services.notifier.worker import check_letter
from tests.notifying import NOW, SOURCE, recipient
from tests.unit.test_unsubscribe import mail, read

SECRET = b"a secret of some length"
WEEK = timedelta(days=7)


def asked(**fields: Any) -> ConsentRequested:
    given = {
        "profile_id": "p1",
        "channel": "email",
        "purpose": "marketing",
        "statement_id": "s1",
        "statement_at": NOW,
        "address": digest_of("ada@example.com"),
    }
    return ConsentRequested(**{**given, **fields})


def entry(**fields: Any) -> Any:
    return confirmation.decide(asked(**fields), SOURCE, NOW, WEEK)


def pending(reason: str = "consent_pending", **fields: Any) -> Recipient:
    said = {"state": "denied", "at": NOW, "message_id": "s1", "reason": reason, **fields}
    consent = {"email": msgspec.convert(said, Consent)}
    return msgspec.structs.replace(recipient(), consent=consent)


def test_a_person_is_asked_once_for_a_purpose_and_again_after_a_refusal() -> None:
    first = entry().message_id
    assert entry(statement_id="s2", statement_at=NOW - timedelta(days=1)).message_id == first
    others = {
        entry(**fields).message_id
        for fields in (
            {"purpose": "news"}, {"since": NOW}, {"profile_id": "p2"}, {"address": digest_of("b")},
        )
    }  # fmt: skip
    assert len(others | {first}) == 5


def test_a_merged_person_keeps_what_their_former_profile_was_asked() -> None:
    ids = confirmation.message_ids(asked(profile_id="p2", merged_from=["p1"], since=NOW))
    assert ids == (entry(profile_id="p2", since=NOW).message_id, [entry(since=NOW).message_id])
    assert confirmation.twin(entry(since=NOW), "p2") == ids[0]


def test_the_link_lives_from_when_the_address_was_to_be_confirmed() -> None:
    moved = entry(asked_at=NOW + timedelta(days=30))
    assert moved.expires_at == NOW + timedelta(days=37)


def test_a_request_that_comes_too_late_is_not_asked_any_more() -> None:
    late = confirmation.decide(asked(), SOURCE, NOW + WEEK, WEEK)
    assert (late.state, late.reason) == ("skipped", "expired")


def test_only_who_is_still_to_confirm_is_asked() -> None:
    granted = {"state": "granted", "reason": "consent_confirmed"}
    assert [
        refusal(who, entry())
        for who in (
            None, pending(), pending(**granted), pending(reason=""), recipient(consent=None),
            msgspec.structs.replace(pending(), traits={}),
            msgspec.structs.replace(pending(), traits={"email": "Ada@Example.com"}),
            msgspec.structs.replace(pending(), traits={"email": "other@example.com"}),
        )
    ] == [
        "no_profile", "", "already_confirmed", "no_consent", "no_consent", "no_address",
        "", "address_changed",
    ]  # fmt: skip
    assert refusal(pending(), entry(address="")) == "address_changed"
    assert refusal(pending(), entry(purpose="news")) == "no_consent"


def test_the_confirmation_is_a_click_that_names_what_it_confirms() -> None:
    made = entry()
    step = confirmation.confirmed(made, NOW, "192.0.2.7")
    assert (step.change_id, step.state) == (f"{made.message_id}/confirmed", "clicked")
    assert step.confirms == Confirmation(
        purpose="marketing", statement_id="s1", statement_at=NOW, ip="192.0.2.7",
        address=digest_of("ada@example.com"),
    )  # fmt: skip


def test_a_link_leads_back_to_its_message_until_it_ends() -> None:
    made = entry()
    url = confirmation.url("https://shop.example/", made, SECRET)
    address, _, token = url.partition("?token=")
    assert address == "https://shop.example/v1/consent/confirm"
    assert confirmation.opened(token, SECRET) == (made.message_id, NOW + WEEK)


def test_no_changed_or_foreign_token_leads_anywhere() -> None:
    token = confirmation.token(entry().message_id, NOW, SECRET)
    for place in range(len(token) - 1):
        other = "A" if token[place] != "A" else "B"
        assert confirmation.opened(token[:place] + other + token[place + 1 :], SECRET) is None
    foreign = unsubscribe.token(entry().message_id, SECRET)
    for nonsense in ("", "é", token[:-2], token + "AAAA", "A" * 10_000, foreign):
        assert confirmation.opened(nonsense, SECRET) is None
    assert confirmation.opened(token, b"another secret, as long") is None


def test_a_mail_that_is_no_marketing_has_no_link_to_unsubscribe() -> None:
    message = read(mail(unsubscribe_url=""))
    assert message["List-Unsubscribe"] is message["List-Unsubscribe-Post"] is None
    assert build(mail(unsubscribe_url="")).count(b"Unsubscribe") == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"notifier_confirm_text": "No link."},
        {"notifier_confirm_text": "{{ confirm_url"},
        {"notifier_confirm_from": "nobody"},
        {"notifier_confirm_subject": "{% include 'x' %}"},
    ],
)
def test_a_letter_that_cannot_work_stops_the_worker_at_its_start(wrong: dict[str, str]) -> None:
    check_letter(NotifierSettings())
    with pytest.raises(ValueError, match=r"REGULARS_NOTIFIER_CONFIRM"):
        check_letter(NotifierSettings(**wrong))  # type: ignore[arg-type]

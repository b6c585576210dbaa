"""Whom to write to, once, and what follows from each attempt."""

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from services.notifier import rules
from services.notifier.model import Entry, Outcome, Retry
from tests.notifying import NOW, SOURCE, changed, email, entry, live, recipient

RETRY = Retry(limit=3, first_seconds=30, cap_seconds=3_600)


def outcome(kind: Any, attempt: int = 0, **fields: Any) -> Outcome:
    return Outcome(message_id=entry().message_id, attempt=attempt, kind=kind, at=NOW, **fields)


def settled(before: Entry, *outcomes: Outcome) -> Entry:
    for one in outcomes:
        after = rules.settle(before, one, RETRY, NOW)
        assert after is not None
        before = after
    return before


def test_a_send_key_has_one_id_and_other_keys_have_others() -> None:
    keys = [("cart", "p1", None), ("cart", "p1", 1), ("cart", "p1", 2), ("car", "tp1", None)]
    keys += [("cart", "p2", None), ("other", "p1", None)]
    ids = {rules.message_id(*key) for key in keys}
    assert len(ids) == len(keys)
    assert rules.message_id("cart", "p1", None) == "f505887456280c736cda9c3ef24e604c"


def test_once_means_one_message_for_all_entries_and_otherwise_one_for_each() -> None:
    first, second = changed(occurrence=1), changed(occurrence=2)
    for once, same in ((True, True), (False, False)):
        campaign = live(once=once)
        ids = [rules.decide(campaign, change, SOURCE, NOW).message_id for change in (first, second)]
        assert (ids[0] == ids[1]) is same


def test_the_delay_counts_from_the_instant_of_entering() -> None:
    an_hour_ago = changed(at=NOW - timedelta(hours=1))
    made = rules.decide(live(delay_seconds=7_200), an_hour_ago, SOURCE, NOW)
    assert (made.state, made.due_at) == ("decided", NOW + timedelta(hours=1))


def test_what_is_expired_when_it_is_decided_is_skipped_at_once() -> None:
    long_ago = changed(at=NOW - timedelta(days=3))
    made = rules.decide(live(expires_seconds=86_400), long_ago, SOURCE, NOW)
    assert [(step.state, step.reason) for step in made.steps] == [
        ("decided", ""),
        ("skipped", "expired"),
    ]
    announced = rules.announcements(None, made)
    assert [change.change_id for change in announced] == [
        f"{made.message_id}/decided",
        f"{made.message_id}/skipped",
    ]


def test_a_refusal_that_may_pass_is_tried_again_later_and_not_for_ever() -> None:
    before = entry()
    once = settled(before, outcome("retry", 0, reason="smtp_451"))
    assert (once.state, once.tries, once.attempt) == ("decided", 1, 1)
    assert timedelta(seconds=15) <= once.due_at - NOW <= timedelta(seconds=30)
    twice = settled(once, outcome("retry", 1, reason="smtp_451"))
    assert timedelta(seconds=30) <= twice.due_at - NOW <= timedelta(seconds=60)
    given_up = settled(twice, outcome("retry", 2, reason="smtp_451"))
    assert (given_up.state, given_up.reason) == ("failed", "smtp_451")
    said = [change.state for change in rules.announcements(before, given_up)]
    assert said == ["failed"]


def test_waiting_for_a_server_that_is_away_uses_up_no_tries_and_one_line_of_history() -> None:
    after = entry()
    for attempt in range(50):
        after = settled(after, outcome("postponed", attempt, reason="smtp_away"))
        assert after.due_at - NOW <= timedelta(seconds=30)
    assert (after.state, after.tries, len(after.steps)) == ("decided", 0, 2)


def test_the_backoff_of_two_messages_differs_and_of_one_is_always_the_same() -> None:
    waits = {rules.backoff(entry(f"p{n}"), 1, RETRY) for n in range(20)}
    assert len(waits) == 20
    assert rules.backoff(entry("p1"), 2, RETRY) == rules.backoff(entry("p1"), 2, RETRY)
    assert rules.backoff(entry("p1"), 99, RETRY) <= 3_600


@pytest.mark.parametrize("state", ["sent", "skipped", "failed"])
def test_a_result_about_a_finished_message_or_another_attempt_changes_nothing(state: str) -> None:
    assert rules.settle(entry(state=state), outcome("sent"), RETRY, NOW) is None
    assert rules.settle(entry(attempt=2), outcome("sent", 1), RETRY, NOW) is None


def test_an_attempt_without_a_sender_is_uncertain_unless_its_result_was_noted() -> None:
    begun = entry(state="attempting", attempt=1)
    lost = rules.abandon(begun, None, RETRY, NOW)
    assert lost is not None
    assert (lost.state, lost.reason) == ("uncertain", "sender_lost")
    noted = rules.abandon(begun, outcome("sent", 1), RETRY, NOW)
    assert noted is not None
    assert noted.state == "sent"
    stale = rules.abandon(begun, outcome("sent", 0), RETRY, NOW)
    assert stale is not None
    assert stale.state == "uncertain"


def test_a_late_result_settles_what_was_uncertain() -> None:
    uncertain = entry(state="uncertain", attempt=1)
    assert settled(uncertain, outcome("sent", 1)).state == "sent"
    for nothing_new in (None, outcome("sent", 0)):
        assert rules.abandon(uncertain, nothing_new, RETRY, NOW) is None


def test_a_message_sent_again_by_hand_counts_its_tries_anew() -> None:
    failed = entry(state="failed", attempt=7, tries=8)
    again = rules.resend(failed, NOW, "admin")
    assert (again.state, again.tries, again.attempt, again.due_at) == ("decided", 0, 8, NOW)
    assert rules.announcements(failed, again) == []


def test_a_state_that_comes_twice_gets_another_change_id() -> None:
    first = settled(entry(), outcome("failed", 0, reason="smtp_550"))
    again = rules.resend(first, NOW, "admin")
    second = settled(again, outcome("failed", 1, reason="smtp_550"))
    ids = [change.change_id for change in rules.announcements(again, second)]
    assert ids == [f"{first.message_id}/failed/2"]


@pytest.mark.parametrize(
    ("why", "person"),
    [
        ("", recipient()),
        ("no_profile", None),
        ("no_consent", recipient(consent=None)),
        ("no_consent", recipient(consent="denied")),
        ("no_consent", recipient(consent="withdrawn")),
        ("no_address", recipient(traits={})),
        ("no_address", recipient(traits={"email": "not an address"})),
        ("no_address", recipient(traits={"email": {"$gt": ""}})),
        ("no_address", recipient(traits={"email": "a@b.example\r\nBcc: all@b.example"})),
        ("", recipient(traits={}, identifiers=[email("ada@example.com")])),
    ],
)
def test_nobody_is_written_to_without_consent_and_a_usable_address(why: str, person: Any) -> None:
    assert rules.refusal(person, "email") == why


def test_an_address_with_a_foreign_domain_is_written_as_the_wire_wants_it() -> None:
    assert rules.address_of(recipient(traits={"email": "ada@bücher.example"})) == (
        "ada@xn--bcher-kva.example"
    )


@pytest.mark.parametrize(
    ("why", "campaign"),
    [
        ("", live()),
        ("campaign_deleted", None),
        ("campaign_disabled", live(enabled=False)),
        ("campaign_changed", live(trigger={"segment": "another"})),
    ],
)
def test_a_campaign_that_changed_its_mind_is_obeyed_at_the_last_moment(
    why: str, campaign: Any
) -> None:
    assert rules.still_meant(entry(), campaign, NOW) == why
    late = replace(entry(), expires_at=NOW)
    assert rules.still_meant(late, campaign, NOW) == "expired"


def test_after_a_merge_the_survivors_message_of_the_same_key_is_its_twin() -> None:
    mine, theirs = entry("p1"), entry("p2")
    assert rules.twin(mine, "p1") is None
    assert rules.twin(mine, "p2") == theirs.message_id

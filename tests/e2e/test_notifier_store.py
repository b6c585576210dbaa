"""The send ledger on a real MongoDB: what a turn stores, and who wins when two want one entry."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from msgspec.structs import replace

from schemas.messages import Confirmation
from services.notifier import rules
from services.notifier.asking import Asked
from services.notifier.confirmation import KEY
from services.notifier.model import Entry, Outcome, Start, Suppression
from services.notifier.records import Records
from services.notifier.store import Ledger
from services.runtime.mongo import Database, PyMongoError, conflict, connect, transaction
from services.runtime.settings import Settings
from tests.notifying import BODY, NOW, SOURCE, entry

pytestmark = pytest.mark.broker


@pytest_asyncio.fixture
async def database(stack: Any) -> AsyncIterator[Database]:
    client = connect(Settings(mongo_url=stack.mongo_url))
    made = client[f"notifier_{uuid4().hex[:8]}"]
    await Ledger(made).prepare()
    await Ledger(made).prepare()  # a second start finds what is there
    yield made
    await client.drop_database(made.name)
    client.close()


@pytest.fixture
def ledger(database: Database) -> Ledger:
    return Ledger(database)


@pytest.fixture
def records(database: Database) -> Records:
    return Records(database)


async def store(
    database: Database,
    *new: Entry,
    changed: tuple[Entry, ...] = (),
    suppressions: tuple[Suppression, ...] = (),
) -> None:
    async with await database.client.start_session() as session, transaction(session):
        await Ledger(database).save(session, new, changed, suppressions)


async def load(database: Database, one: Entry) -> Entry:
    return (await Ledger(database).load(None, [one.message_id]))[one.message_id]


def start(one: Entry, *keys: str, consent_at: datetime = NOW, twin: str | None = None) -> Start:
    return Start(one, keys, consent_at, twin)


def asks(profile_id: str, address: str, hours: int = 0) -> Entry:
    about = Confirmation(
        purpose="marketing", statement_id=f"s-{profile_id}", statement_at=NOW, address=address
    )
    at = NOW + timedelta(hours=hours)
    return entry(profile_id, campaign=KEY, confirms=about, decided_at=at)


async def test_who_was_asked_is_found_by_the_person_and_lately_by_the_address(
    database: Database, ledger: Ledger
) -> None:
    old, new, other = asks("p1", "a1"), asks("p2", "a1", 2), asks("p3", "a2", 2)
    await store(database, old, new, other, entry("p4"))
    since = NOW + timedelta(hours=1)
    assert await ledger.asked(None, Asked({"p4"}, {"a1"}, since)) == [new]
    assert await ledger.asked(None, Asked({"p1", "p2"}, {"a1"}, since)) == [old, new]


async def test_another_link_is_for_what_the_person_was_asked_last_at_that_address(
    database: Database, records: Records
) -> None:
    first, mail = asks("p1", "a1"), entry("p4")
    later = replace(asks("p1", "a1", 3), message_id="f" * 32, refused_at=NOW)
    elsewhere = replace(asks("p1", "a2", 5), message_id="e" * 32)
    await store(database, first, later, elsewhere, asks("p2", "a1", 9), mail)
    assert await records.asked_last(first.message_id) == later
    assert await records.asked_last(elsewhere.message_id) == elsewhere
    assert [await records.asked_last(id_) for id_ in (mail.message_id, "0" * 32)] == [None, None]


async def test_of_two_turns_that_ask_at_one_address_at_once_one_is_tried_again(
    database: Database,
) -> None:
    async def at_once() -> None:
        async with await database.client.start_session() as session, transaction(session):
            await database["messages"].find_one({}, session=session)
            await store(database, asks("p1", "a1"))
            await Ledger(database).save(session, [asks("p2", "a1")], (), ())

    with pytest.raises(PyMongoError) as caught:
        await at_once()
    assert conflict(caught.value)
    await store(database, asks("p2", "a1"), asks("p3", "a2"))


async def test_an_entry_comes_back_as_it_was_stored(database: Database, ledger: Ledger) -> None:
    one = entry("p1", expires_at=NOW + timedelta(days=1), reason="x", address="a1")
    await store(database, one)
    assert await ledger.load(None, [one.message_id, "unknown"]) == {one.message_id: one}
    changed = rules.skip(one, "left_segment", NOW)
    await store(database, changed=(changed,))
    assert await load(database, one) == changed


async def test_a_send_key_is_decided_once_whoever_comes_second(database: Database) -> None:
    await store(database, entry("p1"))
    with pytest.raises(PyMongoError) as caught:
        await store(database, entry("p1"))
    assert conflict(caught.value)  # the turn is tried again, and then finds it


async def test_pending_are_the_decided_entries_of_these_people(
    database: Database, ledger: Ledger
) -> None:
    await store(database, entry("p1"), entry("p2"), entry("p3"), entry("p4", state="sent"))
    found = await ledger.pending(None, ["p1", "p2", "p4", "p5"])
    assert sorted(one.profile_id for one in found) == ["p1", "p2"]


async def test_due_are_the_decided_entries_of_our_partitions_the_longest_due_first(
    database: Database, ledger: Ledger
) -> None:
    await store(
        database,
        entry("p1", due_at=NOW - timedelta(seconds=1)),
        entry("p2", due_at=NOW - timedelta(seconds=2)),
        entry("p3", due_at=NOW + timedelta(seconds=1)),
        entry("p4", source="notifier/segment.changes/1"),
        entry("p5", state="attempting"),
    )
    assert [one.profile_id for one in await ledger.due([SOURCE], NOW, 10)] == ["p2", "p1"]
    assert [one.profile_id for one in await ledger.due([SOURCE], NOW, 1)] == ["p2"]


async def test_a_mail_begins_once_and_what_changed_meanwhile_does_not(
    database: Database, ledger: Ledger
) -> None:
    mine, left, retried = entry("p1"), entry("p2"), entry("p3")
    await store(database, mine, rules.skip(left, "left_segment", NOW), entry("p3", attempt=1))
    began = await ledger.begin([start(mine), start(left), start(retried)], "sender-1")
    assert began == {
        mine.message_id: "begun",
        left.message_id: "gone",
        retried.message_id: "gone",
    }
    stored = await load(database, mine)
    assert (stored.state, stored.attempt, stored.owner) == ("attempting", 1, "sender-1")
    # A zombie with the same entry in hand, and ourselves after a lost answer.
    assert await ledger.begin([start(mine)], "sender-2") == {mine.message_id: "gone"}
    assert await ledger.begin([start(mine)], "sender-1") == {mine.message_id: "begun"}


async def test_of_two_senders_that_begin_at_once_one_wins(
    database: Database, ledger: Ledger
) -> None:
    entries = [entry(f"p{n}") for n in range(100)]
    await store(database, *entries)
    starts = [start(one) for one in entries]
    one, two = await asyncio.gather(ledger.begin(starts, "a"), ledger.begin(starts, "b"))
    for id_ in one:
        assert sorted((one[id_], two[id_])) == ["begun", "gone"]


async def test_an_exit_and_a_mail_that_begins_at_once_never_both_win(
    database: Database, ledger: Ledger
) -> None:
    one = entry("p1")
    await store(database, one)

    async def exits() -> None:
        async with await database.client.start_session() as session, transaction(session):
            [found] = await ledger.pending(session, ["p1"])
            assert await ledger.begin([start(one)], "sender-1") == {one.message_id: "begun"}
            skipped = rules.skip(found, "left_segment", NOW)
            await ledger.save(session, [], [skipped], [])

    with pytest.raises(PyMongoError) as caught:
        await exits()
    assert conflict(caught.value)
    assert (await load(database, one)).state == "attempting"


async def test_who_unsubscribed_is_not_written_to_until_they_agree_again(
    database: Database, ledger: Ledger, records: Records
) -> None:
    sent = entry("p1", state="sent", address="a1")
    await store(database, sent)
    await records.unsubscribe(sent, NOW)
    next_ = entry("p1", message_id="f" * 32)
    await store(database, next_)
    day = timedelta(days=1)
    for keys in (["email/profile/p1"], ["email/profile/merged", "email/address/a1"]):
        began = await ledger.begin([start(next_, *keys, consent_at=NOW - day)], "s")
        assert began == {next_.message_id: "suppressed"}
    again = start(next_, "email/profile/p1", "email/address/a1", consent_at=NOW + day)
    assert await ledger.begin([again], "s") == {next_.message_id: "begun"}


async def test_a_bounced_address_stays_suppressed_whatever_the_person_agrees_to(
    database: Database, ledger: Ledger
) -> None:
    one = entry("p1")
    bounced = Suppression(key="email/address/a1", reason="bounced", at=NOW, message_id="m")
    await store(database, one, suppressions=(bounced,))
    later = NOW + timedelta(days=1)
    began = await ledger.begin([start(one, "email/address/a1", consent_at=later)], "s")
    assert began == {one.message_id: "bounced"}


async def test_a_complaint_is_not_voided_by_an_earlier_or_later_unsubscribe(
    database: Database, ledger: Ledger
) -> None:
    one = entry("p1")
    await store(database, one)
    for reason in ("unsubscribed", "complained", "unsubscribed"):
        said: Any = {"key": "email/profile/p1", "reason": reason, "at": NOW}
        await store(database, suppressions=(Suppression(**said),))
    later = start(one, "email/profile/p1", consent_at=NOW + timedelta(days=1))
    assert await ledger.begin([later], "s") == {one.message_id: "complained"}


async def test_after_a_merge_only_one_of_two_twins_is_sent(
    database: Database, ledger: Ledger
) -> None:
    old, new = entry("old"), entry("new", state="sent")
    await store(database, old, new)
    began = await ledger.begin([start(old, twin=new.message_id)], "s")
    assert began == {old.message_id: "merged"}


def outcome(one: Entry, attempt: int = 1) -> Outcome:
    return Outcome(message_id=one.message_id, attempt=attempt, kind="sent", at=NOW)


async def unfinished(database: Database) -> dict[str, Outcome | None]:
    """What a new owner finds, by profile; the turn is stored."""
    async with await database.client.start_session() as session, transaction(session):
        found = await Ledger(database).unfinished(session, [SOURCE])
    return {one.profile_id: note for one, note in found}


async def test_unfinished_attempts_come_with_what_their_sender_noted(
    database: Database, ledger: Ledger
) -> None:
    lost, noted, settled = entry("lost"), entry("noted"), entry("settled")
    elsewhere = entry("elsewhere", source="notifier/segment.changes/1")
    await store(database, lost, noted, settled, elsewhere, entry("waiting"))
    await ledger.begin([start(one) for one in (lost, noted, settled, elsewhere)], "s")
    await store(database, changed=(rules.skip(await load(database, settled), "x", NOW),))
    receipts = [(SOURCE, outcome(noted)), (SOURCE, outcome(lost, 0)), (SOURCE, outcome(settled, 0))]
    await ledger.note([*receipts, (elsewhere.source, outcome(elsewhere))])
    await ledger.note(receipts)  # after a lost answer
    assert await unfinished(database) == {"lost": None, "noted": outcome(noted)}
    assert await unfinished(database) == {"lost": None, "noted": None}  # the notes went with it
    assert await database["receipts"].count_documents({}) == 1  # another owner's


async def test_what_a_turn_has_stored_is_forgotten(database: Database, ledger: Ledger) -> None:
    one, two = entry("p1"), entry("p2")
    await ledger.note([(SOURCE, outcome(one)), (SOURCE, outcome(two))])
    await ledger.forget([outcome(one)])
    left = [document["_id"] async for document in database["receipts"].find()]
    assert left == [f"{two.message_id}/1"]


async def test_noting_an_answer_does_not_collide_with_a_turn_at_the_same_message(
    database: Database, ledger: Ledger
) -> None:
    one = entry("p1")
    await store(database, one)
    await ledger.begin([start(one)], "s")
    async with await database.client.start_session() as session, transaction(session):
        found = (await ledger.load(session, [one.message_id]))[one.message_id]
        await ledger.note([(SOURCE, outcome(one))])
        await ledger.save(session, [], [rules.skip(found, "x", NOW)], [])
        await ledger.note([(SOURCE, outcome(one, 2))])
    assert (await load(database, one)).state == "skipped"


async def test_a_campaigns_version_rises_only_when_it_changes(records: Records) -> None:
    body = dict(BODY)
    first = await records.put_campaign("cart", body, NOW)
    assert (first.version, first.body, first.published) == (1, body, False)
    await records.published("cart", 1)
    same = await records.put_campaign("cart", dict(reversed(body.items())), NOW)
    assert (same.version, same.published) == (1, True)
    later = NOW + timedelta(seconds=1)
    other = await records.put_campaign("cart", {**body, "name": "$set"}, later)
    assert (other.version, other.updated_at, other.published) == (2, later, False)
    await records.published("cart", 1)  # of the version before: too late
    assert [one.version for one in await records.unpublished()] == [2]
    gone = await records.put_campaign("cart", None, NOW)
    assert (gone.version, gone.body) == (3, None)
    assert await records.campaigns("", 10) == []
    assert (await records.put_campaign("cart", body, NOW)).version == 4


async def test_two_who_change_a_campaign_at_once_get_two_versions(records: Records) -> None:
    bodies = [{**BODY, "name": f"name {n}"} for n in range(8)]
    puts = await asyncio.gather(*(records.put_campaign("cart", body, NOW) for body in bodies))
    assert sorted(put.version for put in puts) == list(range(1, 9))


async def test_pages_of_messages_hold_each_once_the_newest_first(
    database: Database, records: Records
) -> None:
    entries = [entry(f"p{n}", decided_at=NOW + timedelta(seconds=n // 3)) for n in range(10)]
    await store(database, *entries, entry("p1", message_id="e" * 32, state="failed"))
    seen: list[Entry] = []
    after = None
    while page := await records.messages({}, after, 3):
        seen += [one for one, _ in page]
        after = (seen[-1].decided_at, seen[-1].message_id)
    assert len({one.message_id for one in seen}) == len(seen) == 11
    order = [(one.decided_at, one.message_id) for one in seen]
    assert order == sorted(order, reverse=True)
    failed = await records.messages({"profile_id": "p1", "state": "failed"}, None, 10)
    assert [one.message_id for one, _ in failed] == ["e" * 32]


async def test_a_failed_message_sent_again_is_due_and_only_once(
    database: Database, ledger: Ledger, records: Records
) -> None:
    failed = entry("p1", state="failed", attempt=3)
    await store(database, failed)
    again = await records.resend(failed, NOW, "admin")
    assert again is not None
    assert await records.resend(failed, NOW, "admin") is None
    [due] = await ledger.due([SOURCE], NOW, 10)
    assert (due, due.attempt) == (again, 4)


async def test_an_unsubscribe_keeps_its_first_instant_and_is_told_until_it_was(
    database: Database, records: Records
) -> None:
    sent = entry("p1", state="sent")
    await store(database, sent)
    assert await records.unsubscribe(sent, NOW) == NOW
    assert await records.unsubscribe(sent, NOW + timedelta(days=1)) == NOW
    assert [(one.message_id, at) for one, at in await records.untold_unsubscribes()] == [
        (sent.message_id, NOW)
    ]
    await records.unsubscribe_told(sent.message_id)
    await records.unsubscribe(sent, NOW)
    assert await records.untold_unsubscribes() == []
    found = await records.message(sent.message_id)
    assert found is not None
    assert found[1] == NOW

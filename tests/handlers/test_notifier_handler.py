"""The notifier's turns with a fake ledger and sender: one ordered journal of effects."""

from collections.abc import Iterable, Sequence
from copy import deepcopy
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from schemas.messages import ConsentRequested, MessageChanged
from services.notifier import asking, confirmation
from services.notifier.campaigns import Campaigns
from services.notifier.handler import LOOK_AGAIN, Notifier
from services.notifier.model import Entry, Outcome, Recover, Retry, Suppression
from services.runtime.turn import Completion, Record, Source, Timer, Turn
from tests.notifying import NOW, FakeDefinitions, changed, email_event, entry, record

GRACE = timedelta(seconds=15)


class FakeLedger:
    """Entries in a dict, copied in and out as a database would."""

    def __init__(self) -> None:
        self.entries = dict[str, Entry]()
        self.noted = dict[str, Outcome]()
        self.suppressions: list[Suppression] = []

    async def load(self, session: Any, message_ids: Iterable[str]) -> dict[str, Entry]:
        return deepcopy({id_: self.entries[id_] for id_ in message_ids if id_ in self.entries})

    async def pending(self, session: Any, profile_ids: Iterable[str]) -> list[Entry]:
        people = set(profile_ids)
        found = [e for e in self.entries.values() if e.profile_id in people]
        return deepcopy([e for e in found if e.state == "decided"])

    async def asked(self, session: Any, about: asking.Asked) -> list[Entry]:
        return deepcopy(
            [
                e
                for e in self.entries.values()
                if e.confirms is not None
                and (
                    e.profile_id in about.people
                    or (e.confirms.address in about.addresses and e.decided_at > about.since)
                )
            ]
        )

    async def unfinished(
        self, session: Any, sources: Sequence[str]
    ) -> list[tuple[Entry, Outcome | None]]:
        found = [e for e in self.entries.values() if e.source in sources]
        return deepcopy(
            [
                (e, self.noted.get(e.message_id))
                for e in found
                if e.state == "attempting" or e.message_id in self.noted
            ]
        )

    async def save(
        self,
        session: Any,
        new: Sequence[Entry],
        changed: Sequence[Entry],
        suppressions: Sequence[Suppression],
    ) -> None:
        assert not {e.message_id for e in new} & set(self.entries)
        assert {e.message_id for e in changed} <= set(self.entries)
        self.entries |= {e.message_id: deepcopy(e) for e in (*new, *changed)}
        self.suppressions += suppressions


class World:
    """A notifier on one partition, and everything it does, in order."""

    def __init__(self) -> None:
        self.journal: list[str] = []
        self.source = Source("notifier/segment.changes/0", "segment.changes", 0)
        self.requests = Source("notifier/consent.requests/0", "consent.requests", 0)
        self.emails = Source("notifier/events.emails/0", "events.emails", 0)
        self.definitions = FakeDefinitions()
        self.ledger = FakeLedger()
        self.held = set[str]()
        self.now = NOW
        self.timers = dict[str, Timer]()
        self.completed: list[Any] = []
        self.notifier = self.another()

    def another(self) -> Notifier:
        """A notifier in another process, over the same ledger."""
        return Notifier(
            self.ledger,
            Campaigns(self.definitions),
            self,
            lambda _, body: self.completed.append(body),
            retry=Retry(limit=2),
            grace=GRACE,
        )

    # As the sender.
    def offer(self, entries: Sequence[Entry]) -> None:
        self.journal += [f"send {e.profile_id}" for e in entries]

    def settled(self, message_ids: Sequence[str]) -> None:
        self.held -= set(message_ids)

    def holds(self, message_id: str) -> bool:
        return message_id in self.held

    def own(self, sources: Sequence[str]) -> None:
        self.journal.append("own")

    def disown(self, sources: Sequence[str]) -> None:
        self.journal.append("disown")

    # As the stage.
    async def turn(self, *inputs: Any, commit: bool = True) -> Turn:
        completions = [i for i in inputs if isinstance(i, Outcome | Recover)]
        turn = Turn(
            now=self.now,
            session=None,
            records=[i for i in inputs if isinstance(i, Record)],
            timers=[i for i in inputs if isinstance(i, Timer)],
            completions=[Completion(self.source, body) for body in completions],
        )
        await self.notifier.handle(turn)
        if not commit:
            return turn
        self.timers = {k: t for k, t in self.timers.items() if t not in turn.timers}
        for _, key in turn.timers_cancelled:
            self.timers.pop(key, None)
        self.timers |= {key: timer for (_, key), timer in turn.timers_set.items()}
        for _, message in turn.messages:
            step = msgspec.json.decode(message.value or b"", type=MessageChanged)
            assert message.key == step.profile_id
            self.journal.append(" ".join(filter(None, (step.profile_id, step.state, step.reason))))
        await self.notifier.committed(turn)
        return turn

    def entered(self, profile_id: str = "p1", **fields: Any) -> Record:
        return record(self.source, changed(profile_id, **fields))

    def exited(self, profile_id: str = "p1", **fields: Any) -> Record:
        return record(self.source, changed(profile_id, "exited", **fields))

    def email_event(self, name: str, entry: Entry, **properties: Any) -> Record:
        return email_event(self.emails, name, entry.message_id, self.now, **properties)

    def asks(self, profile_id: str = "p1", **fields: Any) -> Record:
        asked = ConsentRequested(
            **{"profile_id": profile_id, "channel": "email", "purpose": "marketing",
               "statement_id": "s1", "statement_at": self.now, "address": "a1", **fields}
        )  # fmt: skip
        key = profile_id.encode()
        return Record(self.requests, 0, key, msgspec.json.encode(asked), {})

    async def time_passes(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        due = [timer for timer in self.timers.values() if timer.due_at <= self.now]
        if due:
            await self.turn(*due)

    def begins(self, profile_id: str = "p1", owner: str = "sender-1") -> Entry:
        """The sender marks an entry, outside of any turn."""
        found = self.entry(profile_id)
        found.state, found.attempt = "attempting", found.attempt + 1
        found.owner, found.begun_at = owner, self.now
        return found

    def entry(self, profile_id: str = "p1") -> Entry:
        return next(e for e in self.ledger.entries.values() if e.profile_id == profile_id)

    def result(self, kind: Any, profile_id: str = "p1", **fields: Any) -> Outcome:
        found = self.entry(profile_id)
        given = {"message_id": found.message_id, "attempt": found.attempt, "at": self.now}
        return Outcome(kind=kind, **{**given, **fields})


@pytest.fixture
def world() -> World:
    made = World()
    made.definitions.put()
    return made


async def test_who_enters_is_written_to_once(world: World) -> None:
    await world.turn(world.entered())
    world.begins()
    await world.turn(world.result("sent"))
    assert world.journal == ["p1 decided", "send p1", "p1 sent"]
    for again in (world.entered(), world.entered(occurrence=2), world.exited(), world.entered()):
        await world.turn(again)
    assert world.journal == ["p1 decided", "send p1", "p1 sent"]


async def test_each_entry_is_written_to_when_the_campaign_says_so(world: World) -> None:
    world.definitions.put(once=False)
    for occurrence in (1, 2, 2, 1):
        await world.turn(world.entered(occurrence=occurrence))
    assert world.journal == ["p1 decided", "send p1"] * 2


async def test_the_same_entry_twice_in_one_turn_is_one_decision(world: World) -> None:
    turn = await world.turn(world.entered(), world.entered())
    assert world.journal == ["p1 decided", "send p1"]
    assert turn.dropped == {"already_decided": 1}


async def test_a_turn_that_is_aborted_and_repeated_sends_once_and_only_when_committed(
    world: World,
) -> None:
    stored = deepcopy(world.ledger.entries)
    await world.turn(world.entered(), commit=False)
    world.ledger.entries = stored  # the transaction was aborted
    world.notifier.lost(None)
    assert world.journal == []
    await world.turn(world.entered())
    assert world.journal == ["p1 decided", "send p1"]


async def test_every_enabled_campaign_of_the_segment_speaks_and_no_other(world: World) -> None:
    world.definitions.put("another")
    world.definitions.put("off", enabled=False)
    world.definitions.put("elsewhere", trigger={"segment": "vip"})
    world.definitions.put("broken", trigger=None)
    turn = await world.turn(world.entered(), world.entered(segment="nobody-cares"))
    assert sorted(e.campaign for e in world.ledger.entries.values()) == ["another", "cart"]
    assert turn.dropped == {"no_campaign": 1, "campaign_disabled": 1}


async def test_who_leaves_before_the_delay_is_over_is_not_written_to(world: World) -> None:
    world.definitions.put(delay_seconds=3_600)
    await world.turn(world.entered())
    await world.time_passes(3_599)
    await world.turn(world.exited())
    await world.time_passes(3_600)
    assert world.journal == ["p1 decided", "p1 skipped left_segment"]
    assert world.timers == {}


async def test_a_delayed_message_is_handed_over_at_its_instant(world: World) -> None:
    world.definitions.put(delay_seconds=3_600)
    await world.turn(world.entered())
    assert world.journal == ["p1 decided"]
    await world.time_passes(3_600)
    assert world.journal == ["p1 decided", "send p1"]


async def test_leaving_after_the_mail_began_does_not_take_it_back(world: World) -> None:
    await world.turn(world.entered())
    world.begins()
    await world.turn(world.exited(), world.result("sent"))
    assert world.journal == ["p1 decided", "send p1", "p1 sent"]


async def test_leaving_another_segment_changes_nothing(world: World) -> None:
    world.definitions.put("vip", trigger={"segment": "vip"})
    await world.turn(world.entered())
    await world.turn(world.exited(segment="vip"))
    assert world.entry().state == "decided"


async def test_entering_and_leaving_in_one_turn_sends_nothing(world: World) -> None:
    await world.turn(world.entered(), world.exited())
    assert world.journal == ["p1 decided", "p1 skipped left_segment"]


async def test_a_refusal_for_now_is_tried_again_and_then_given_up(world: World) -> None:
    await world.turn(world.entered())
    await world.turn(world.result("retry", reason="smtp_451"))
    assert world.journal == ["p1 decided", "send p1"]
    await world.time_passes(31)
    await world.turn(world.result("retry", reason="smtp_451"))
    assert world.journal == ["p1 decided", "send p1", "send p1", "p1 failed smtp_451"]
    await world.time_passes(100_000)
    assert len(world.journal) == 4


async def test_a_result_that_comes_twice_counts_once(world: World) -> None:
    await world.turn(world.entered())
    refused = world.result("retry", reason="smtp_451")
    await world.turn(refused, refused)
    assert world.entry().tries == 1
    world.begins()
    sent = world.result("sent")
    await world.turn(sent)
    turn = await world.turn(sent)
    assert (world.entry().state, turn.dropped) == ("sent", {"result_out_of_date": 1})


async def test_an_address_that_does_not_exist_is_written_to_no_more(world: World) -> None:
    await world.turn(world.entered())
    bounced = world.result("failed", reason="smtp_550", bounced=True, address="a1b2")
    await world.turn(bounced)
    assert [s.key for s in world.ledger.suppressions] == ["email/address/a1b2"]


async def test_a_crash_between_data_and_the_record_leaves_one_uncertain_message(
    world: World,
) -> None:
    await world.turn(world.entered("p1"), world.entered("p2"))
    world.begins("p1")
    world.notifier = world.another()  # the first one is gone without a word
    await world.notifier.assigned([world.source])
    assert world.journal[-1] == "own"
    world.journal.clear()
    await world.turn(*world.completed)
    assert world.journal == []  # its sender may live on: wait
    await world.time_passes(GRACE.total_seconds())
    assert world.journal == ["p1 uncertain sender_lost"]
    assert world.entry("p2").state == "decided"  # had not begun: the sender finds it
    await world.time_passes(100_000)
    assert world.journal == ["p1 uncertain sender_lost"]


async def test_a_result_that_the_former_owner_noted_is_taken_at_once(world: World) -> None:
    await world.turn(world.entered())
    world.begins()
    world.ledger.noted[world.entry().message_id] = world.result("sent")
    await world.turn(Recover())
    assert world.journal[-1] == "p1 sent"


async def test_a_note_that_comes_after_the_verdict_still_counts(world: World) -> None:
    await world.turn(world.entered())
    world.begins()
    world.now += GRACE
    await world.turn(Recover())
    assert world.journal[-1] == "p1 uncertain sender_lost"
    world.ledger.noted[world.entry().message_id] = world.result("sent")
    await world.time_passes(GRACE.total_seconds())
    assert world.journal[-1] == "p1 sent"


async def test_what_our_own_sender_still_holds_is_not_uncertain(world: World) -> None:
    await world.turn(world.entered())
    world.held = {world.begins().message_id}
    world.now += timedelta(minutes=5)
    await world.turn(Recover())
    assert world.entry().state == "attempting"


async def test_the_stage_stops_looking_when_nothing_is_left(world: World) -> None:
    await world.turn(Recover())
    assert list(world.timers) == [LOOK_AGAIN]
    await world.time_passes(GRACE.total_seconds())
    assert world.timers == {}


async def test_a_former_profile_that_was_written_to_counts_after_a_merge(world: World) -> None:
    await world.turn(world.entered("old"))
    world.begins("old")
    await world.turn(world.result("sent", "old"))
    await world.turn(world.entered("new", merged_from=["old"]))
    assert world.journal == ["old decided", "send old", "old sent"]


@pytest.mark.parametrize("order", [("enter", "exit"), ("exit", "enter")])
async def test_a_pending_message_moves_to_the_surviving_profile_in_any_order(
    world: World, order: Sequence[str]
) -> None:
    world.definitions.put(delay_seconds=60)
    await world.turn(world.entered("old"))
    records = {
        "enter": world.entered("new", merged_from=["old"]),
        "exit": world.exited("old", cause="merge"),
    }
    for name in order:
        await world.turn(records[name])
    await world.time_passes(60)
    assert sorted(world.journal) == ["new decided", "old decided", "old skipped merged", "send new"]


async def test_the_survivors_exit_also_ends_what_its_former_profile_had_pending(
    world: World,
) -> None:
    world.definitions.put(delay_seconds=60)
    await world.turn(world.entered("old"))
    await world.turn(world.exited("new", merged_from=["old"]))
    assert world.entry("old").state == "skipped"


async def test_what_does_not_fit_is_a_dead_letter_and_its_neighbour_unharmed(
    world: World,
) -> None:
    bad = [Record(world.source, 0, b"p", value, {}) for value in (None, b"", b"{}", b"\xff", b"[")]
    turn = await world.turn(*bad, world.entered())
    assert [rejected.reason for rejected in turn.rejected] == ["malformed"] * 5
    assert world.journal == ["p1 decided", "send p1"]


async def test_a_lost_partition_is_left_alone(world: World) -> None:
    world.notifier.lost([world.source])
    world.notifier.lost(None)
    assert world.journal == ["disown"]


async def test_what_comes_back_of_a_mail_is_told_once_a_state_however_often_reported(
    world: World,
) -> None:
    await world.turn(world.entered())
    mail = world.begins()
    await world.turn(world.result("sent"))
    world.journal.clear()
    names = ["Delivered", "Opened", "Opened", "Link Clicked", "Bounced", "Marked as Spam"]
    events = [world.email_event(f"email {name.lower()}", mail) for name in names]
    events.append(world.email_event("Unsubscribed", mail))
    for turn in (events[:3], events[3:], reversed(events)):
        await world.turn(*turn)
    told = ["delivered", "opened", "clicked", "bounced hard", "complained", "unsubscribed"]
    assert world.journal == [f"p1 {state}" for state in told]
    assert world.entry().state == "sent"


async def test_a_machine_that_opens_a_mail_is_kept_and_is_no_engagement(world: World) -> None:
    await world.turn(world.entered())
    mail = world.begins()
    await world.turn(world.result("sent"))
    await world.turn(world.email_event("Email Opened", mail, machine=True))
    assert [step.state for step in world.entry().steps] == ["decided", "sent", "machine_opened"]
    assert world.journal[-1] == "p1 sent"
    turn = await world.turn(world.email_event("Email Opened", mail))
    assert world.journal[-1] == "p1 opened"
    [(source, told)] = turn.messages
    assert (source, told.id) == (world.emails, f"{mail.message_id}/opened")


async def test_what_is_no_answer_to_a_mail_of_ours_is_counted_and_left_alone(
    world: World,
) -> None:
    world.definitions.put(delay_seconds=60)
    await world.turn(world.entered())
    waiting, foreign = world.entry(), entry("p9")
    stored = deepcopy(world.ledger.entries)
    turn = await world.turn(
        world.email_event("Email Opened", waiting),  # nothing was sent yet
        world.email_event("Email Opened", foreign),
        world.email_event("Email Opened", foreign, email_id="their-own-17"),
        world.email_event("Email Opened", foreign, email_id=17),
        world.email_event("Email Forwarded", waiting),
        *(Record(world.emails, 0, b"p", value, {}) for value in (None, b"{}", b"[", b"\xff")),
    )
    assert turn.dropped == {
        "nothing_new": 1,
        "unknown_email_id": 1,
        "foreign_email_id": 2,
        "other_event": 1,
        "malformed": 4,
    }
    assert (turn.rejected, turn.messages, turn.timers_set) == ([], [], {})
    assert world.ledger.entries == stored


async def test_a_mail_that_was_answered_is_not_uncertain(world: World) -> None:
    await world.turn(world.entered("before"), world.entered("after"))
    before, after = world.begins("before"), world.begins("after")
    await world.turn(world.email_event("Email Delivered", before))
    world.now += GRACE
    await world.turn(Recover())  # their sender is gone without a word
    assert world.journal[-3:] == [
        "before delivered",
        "before sent confirmed",
        *(["after uncertain sender_lost"]),
    ]
    await world.turn(world.email_event("Email Opened", after))
    assert world.journal[-2:] == ["after sent confirmed", "after opened"]
    assert {one.state for one in world.ledger.entries.values()} == {"sent"}


@pytest.mark.parametrize(
    ("name", "properties", "keys"),
    [
        ("Email Bounced", {}, ["email/address/a1"]),
        ("Email Bounced", {"bounce_type": "Transient"}, []),
        ("Email Marked as Spam", {}, ["email/profile/p1", "email/address/a1"]),
        ("Unsubscribed", {}, ["email/profile/p1", "email/address/a1"]),
        ("Email Opened", {}, []),
    ],
)
async def test_who_cannot_or_does_not_want_to_be_reached_is_suppressed(
    world: World, name: str, properties: Any, keys: list[str]
) -> None:
    await world.turn(world.entered())
    mail = world.begins()
    await world.turn(world.result("sent", address="a1"))
    await world.turn(world.email_event(name, mail, **properties))
    assert [suppression.key for suppression in world.ledger.suppressions] == keys


async def test_a_bounce_that_is_faster_than_our_own_record_suppresses_the_address_too(
    world: World,
) -> None:
    await world.turn(world.entered())
    mail = world.begins()
    await world.turn(world.email_event("Email Bounced", mail))
    assert world.ledger.suppressions == []  # the ledger does not know the address yet
    await world.turn(world.result("sent", address="a1"))
    assert [suppression.key for suppression in world.ledger.suppressions] == ["email/address/a1"]
    assert world.journal[-2:] == ["p1 bounced hard", "p1 sent"]


def test_the_same_entry_always_gets_the_same_id() -> None:
    assert entry("p1").message_id == entry("p1").message_id


async def test_nobody_is_written_to_because_of_imported_history(world: World) -> None:
    await world.turn(world.entered(history=True))
    assert world.journal == ["p1 decided", "p1 skipped imported_history"]
    for again in (world.exited(), world.entered(occurrence=2)):
        await world.turn(again)
    assert world.journal == ["p1 decided", "p1 skipped imported_history"]


async def test_after_imported_history_a_later_entry_is_written_to_each_time(world: World) -> None:
    world.definitions.put(once=False)
    await world.turn(world.entered(history=True), world.entered(occurrence=2))
    assert world.journal == ["p1 decided", "p1 skipped imported_history", "p1 decided", "send p1"]


@pytest.mark.parametrize("left_first", [True, False])
async def test_a_message_that_is_pending_survives_a_merge_by_history(
    world: World, left_first: bool
) -> None:
    world.definitions.put(delay_seconds=3_600)
    await world.turn(world.entered("p0"))
    moved = [
        world.exited("p0", cause="merge"),
        world.entered("p1", cause="merge", merged_from=["p0"], history=True),
    ]
    for one in moved if left_first else reversed(moved):
        await world.turn(one)
    await world.time_passes(3_600)
    assert world.journal == ["p0 decided", "p0 skipped merged", "p1 decided", "send p1"]


# -- double opt-in ------------------------------------------------------------------------


async def test_who_must_confirm_is_asked_once_however_often_it_is_requested(world: World) -> None:
    await world.turn(world.asks(), world.asks(statement_id="s2"))
    world.begins()
    await world.turn(world.result("sent"))
    await world.turn(world.asks(statement_id="s3"))
    assert world.journal == ["p1 decided", "send p1", "p1 sent"]
    assert world.entry().confirms is not None
    await world.turn(world.asks(since=world.now))
    assert world.journal[3:] == ["p1 decided", "send p1"]


async def test_a_merged_person_is_asked_under_the_new_id_unless_they_were_already(
    world: World,
) -> None:
    await world.turn(world.asks())
    await world.turn(world.asks("p2", merged_from=["p1"]))
    assert world.journal == ["p1 decided", "send p1", "p1 skipped merged", "p2 decided", "send p2"]
    world.begins("p2")
    await world.turn(world.asks("p3", merged_from=["p1", "p2"]))
    assert world.journal[5:] == []


async def test_who_signs_up_again_in_so_many_words_is_asked_again_within_limits(
    world: World,
) -> None:
    hour = timedelta(hours=1)
    for number in range(7):
        again = world.asks(statement_id=f"s{number}", explicit=True)
        await world.turn(again, again)
    assert world.journal == ["p1 decided", "send p1"] * 5  # an hour's
    world.now += hour
    turn = await world.turn(world.asks(statement_id="s8", explicit=True))
    assert (turn.messages, dict(turn.dropped)) == ([], {"asked_too_often": 1})  # enough of it
    await world.turn(world.asks(statement_id="s8", explicit=True, since=world.now))
    assert world.journal[10:] == ["p1 decided", "send p1"]
    assert len({e.message_id for e in world.ledger.entries.values()}) == 6


async def test_who_wants_another_link_gets_one_an_hour_within_limits(world: World) -> None:
    await world.turn(world.asks())
    first = world.entry()
    for hour in range(1, 7):
        world.now += timedelta(hours=1)
        wanted = confirmation.anew(first, world.now)
        again = Record(world.requests, 0, b"p1", msgspec.json.encode(wanted), {})
        await world.turn(again)
        turn = await world.turn(again)
        assert turn.dropped == {"already_decided" if hour < 5 else "asked_too_often": 1}
    assert world.journal == ["p1 decided", "send p1"] * 5  # for one purpose, until it is refused
    entries = list(world.ledger.entries.values())
    assert [entry.confirms for entry in entries] == [first.confirms] * 5
    assert [entry.expires_at for entry in entries[1:]] == [
        entry.decided_at + asking.Terms().life for entry in entries[1:]
    ]
    assert all(confirmation.same(entry, first) for entry in entries)
    assert confirmation.twin(entries[1], "p1") == entries[1].message_id  # also after a merge


async def test_each_address_is_asked_for_itself_and_not_many_within_an_hour(world: World) -> None:
    for number in range(7):
        await world.turn(world.asks(address=f"a{number}"))
    await world.turn(world.asks("p2", address="a9", merged_from=["p1"]))
    assert world.journal == ["p1 decided", "send p1"] * 5
    world.now += timedelta(hours=1)
    await world.turn(world.asks("p2", address="a9", merged_from=["p1"]))
    assert world.journal[10:] == ["p2 decided", "send p2"]


async def test_one_address_is_asked_a_few_times_a_day_however_many_people_give_it(
    world: World,
) -> None:
    await world.turn(*(world.asks(f"p{number}") for number in range(6)))
    for number in range(6, 12):
        await world.turn(world.asks(f"p{number}"))
    asked = [f"p{number} decided" for number in range(10)]
    assert [step for step in world.journal if "decided" in step] == asked
    await world.turn(world.asks("p12", address="a2"))  # others are asked all the same
    assert world.journal[-2:] == ["p12 decided", "send p12"]
    world.now += timedelta(days=1)
    await world.turn(world.asks("p13"))
    assert world.journal[-2:] == ["p13 decided", "send p13"]


async def test_a_request_that_names_no_address_asks_nobody(world: World) -> None:
    turn = await world.turn(world.asks(address=""))
    assert (world.journal, dict(turn.dropped)) == ([], {"address_unknown": 1})


async def test_a_request_for_another_channel_or_of_another_shape_is_no_mail(world: World) -> None:
    turn = await world.turn(
        world.asks(channel="sms"), Record(world.requests, 0, b"p1", b'{"profile_id": 1}', {})
    )
    assert [(reject.reason) for reject in turn.rejected] == ["malformed"]
    assert (world.journal, dict(turn.dropped)) == ([], {"channel_not_spoken": 1})


async def test_an_attempt_to_ask_that_was_left_behind_is_found_again(world: World) -> None:
    await world.turn(world.asks())
    world.begins()
    await world.notifier.assigned([world.requests, world.emails])
    assert world.journal[-1] == "own"
    assert len(world.completed) == 1

"""The sender against a real mail server that misbehaves, and a real HTTP profile API."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest_asyncio
from pydantic import SecretStr

from deploy.demo.mailsink import Faults, Sink
from schemas.addresses import digest_of
from schemas.messages import Consent, ConsentRequested
from services.notifier import confirmation
from services.notifier.campaigns import Campaigns
from services.notifier.model import Began, Entry, Outcome, Recover, Start
from services.notifier.profiles import Profiles
from services.notifier.receipts import Receipt
from services.notifier.sender import Sender
from services.notifier.settings import NotifierSettings
from services.notifier.unsubscribe import message_of
from tests.notifying import NOW, SOURCE, FakeDefinitions, ProfileApi, entry, recipient

SECRET = "0123456789abcdef"


class MemoryLedger:
    """The sender's side of the ledger; ``tests/e2e/test_notifier_store.py`` has the real one."""

    def __init__(self) -> None:
        self.waiting: list[Entry] = []
        self.begun: list[str] = []
        self.began = asyncio.Event()
        self.refusals = dict[str, Began]()
        self.noted = dict[str, Outcome]()
        self.note_seconds = 0.0
        """How long it takes until a note is durable."""
        self.most_in_doubt = 0
        """Marks without a note: what a crash would have left uncertain, at the worst moment."""

    async def begin(self, starts: Sequence[Start], owner: str) -> dict[str, Began]:
        answers = {
            s.entry.message_id: self.refusals.get(s.entry.message_id, "begun") for s in starts
        }
        self.begun += [id_ for id_, answer in answers.items() if answer == "begun"]
        self.most_in_doubt = max(self.most_in_doubt, len(set(self.begun) - set(self.noted)))
        self.began.set()
        return answers

    async def due(self, sources: Sequence[str], now: datetime, limit: int) -> list[Entry]:
        return [e for e in self.waiting if e.source in sources][:limit]

    async def note(self, receipts: Sequence[Receipt]) -> None:
        await asyncio.sleep(self.note_seconds)
        self.noted |= {outcome.message_id: outcome for _, outcome in receipts}

    async def forget(self, outcomes: Sequence[Outcome]) -> None:
        for outcome in outcomes:
            del self.noted[outcome.message_id]


class World:
    """A sender on one owned source, its servers, and the results it has handed over."""

    def __init__(self) -> None:
        self.ledger = MemoryLedger()
        self.api = ProfileApi()
        self.sink = Sink()
        self.definitions = FakeDefinitions()
        self.definitions.put()
        self.results = asyncio.Queue[Any]()
        self.smtp_port = 0
        self.sender: Sender

    async def start(self) -> None:
        url = await self.api.start()
        self.smtp_port = await self.sink.start("127.0.0.1", 0)
        settings = NotifierSettings(
            notifier_secret=SecretStr(SECRET),
            notifier_profile_url=url,
            notifier_profile_token=SecretStr("token"),
            notifier_hold_seconds=0.2,
            notifier_poll_seconds=0.05,
            notifier_queue=20,
            smtp_port=self.smtp_port,
            smtp_connections=3,
        )
        self.profiles = Profiles(settings)
        self.sender = Sender(
            settings,
            ledger=self.ledger,
            campaigns=Campaigns(self.definitions),
            profiles=self.profiles,
            complete=lambda _, body: self.results.put_nowait(body),
            owner="sender-1",
        )
        await self.sender.start()
        self.sender.own([SOURCE])

    async def stop(self) -> None:
        await self.sender.stop()
        await self.profiles.close()
        await self.sink.stop()
        await self.api.stop()

    def person(self, profile_id: str = "p1", **fields: Any) -> Entry:
        """Somebody who has agreed, and a decision about them."""
        traits = {"firstName": "Ada", "email": f"{profile_id}@example.com"}
        self.api.people[profile_id] = recipient(profile_id, **{"traits": traits, **fields})
        return entry(profile_id)

    async def result(self) -> Any:
        async with asyncio.timeout(10):
            return await self.results.get()

    async def sent(self, *entries: Entry) -> list[tuple[str, str]]:
        """The results for these, by message, as (kind, reason)."""
        self.sender.offer(entries)
        found = [await self.result() for _ in entries]
        order = [one.message_id for one in entries]
        found.sort(key=lambda outcome: order.index(outcome.message_id))
        return [(outcome.kind, outcome.reason) for outcome in found]

    def mails(self, to: str = "") -> list[Any]:
        return [mail.parsed for mail in self.sink.mailbox.find(to, "", None)]


@pytest_asyncio.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    await made.start()
    yield made
    await made.stop()


async def test_a_mail_arrives_rendered_with_its_headers_and_a_link_that_works(
    world: World,
) -> None:
    ada = world.person()
    assert await world.sent(ada) == [("sent", "")]
    [mail] = world.mails()
    assert (mail.to, mail.subject, mail.sender) == (
        "p1@example.com",
        "Hello Ada",
        "hello@shop.example",
    )
    link = mail.headers["List-Unsubscribe"].strip("<>")
    assert mail.text.strip() == f"Come back. {link}"
    assert message_of(link.rpartition("/")[2], SECRET.encode()) == ada.message_id
    assert mail.headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert mail.headers["Message-ID"] == f"<{ada.message_id}@regulars.invalid>"
    assert world.ledger.begun == [ada.message_id]
    assert world.api.tokens == ["Bearer token"]


async def test_many_mails_go_over_a_few_connections_each_once(world: World) -> None:
    people = [world.person(f"p{n}") for n in range(20)]
    assert await world.sent(*people) == [("sent", "")] * 20
    world.sender.offer(people)  # they are still in hand until a turn has stored them
    assert sorted(mail.to for mail in world.mails()) == sorted(
        f"p{n}@example.com" for n in range(20)
    )


async def test_no_connection_begins_a_mail_before_the_answer_to_its_last_one_is_kept(
    world: World,
) -> None:
    world.ledger.note_seconds = 0.02
    people = [world.person(f"p{n}") for n in range(20)]
    assert await world.sent(*people) == [("sent", "")] * 20
    assert world.ledger.most_in_doubt == 3  # as many as there are connections


async def test_without_consent_an_address_or_a_profile_nothing_is_sent(world: World) -> None:
    people = [
        world.person("silent", consent=None),
        world.person("denied", consent="denied"),
        world.person("withdrawn", consent="withdrawn"),
        world.person("nowhere", traits={}),
        entry("unknown"),
    ]
    assert await world.sent(*people) == [
        ("skipped", "no_consent"),
        ("skipped", "no_consent"),
        ("skipped", "no_consent"),
        ("skipped", "no_address"),
        ("skipped", "no_profile"),
    ]
    assert (world.mails(), world.ledger.begun) == ([], [])


async def test_while_the_profile_api_is_away_or_refuses_us_nothing_is_sent(world: World) -> None:
    ada = world.person()
    for status in (500, 503, 401, 403):
        world.api.status = status
        assert await world.sent(ada) == [("postponed", "profile_away")]
        world.sender.settled([ada.message_id])
    world.api.status = 200
    world.api.people["p1"] = {"profile_id": "p1", "consent": "granted"}
    assert await world.sent(ada) == [("postponed", "profile_away")]
    assert (world.mails(), world.ledger.begun) == ([], [])
    world.sender.settled([ada.message_id])
    assert await world.sent(world.person()) == [("sent", "")]


async def test_what_the_ledger_objects_to_is_not_sent_and_the_connection_serves_on(
    world: World,
) -> None:
    left, out, twin = (world.person(name) for name in ("left", "out", "twin"))
    world.ledger.refusals = {
        out.message_id: "suppressed",
        twin.message_id: "merged",
    }
    assert await world.sent(out, twin) == [("skipped", "suppressed"), ("skipped", "merged")]
    world.ledger.refusals[left.message_id] = "gone"
    world.sender.offer([left])
    assert await world.result() == Recover()
    assert world.mails() == []
    assert await world.sent(world.person("p1")) == [("sent", "")]


async def test_a_campaign_switched_off_or_expired_meanwhile_is_skipped(world: World) -> None:
    late = world.person("late")
    late.expires_at = NOW - timedelta(days=10_000)
    assert await world.sent(late) == [("skipped", "expired")]
    world.definitions.put(enabled=False)
    assert await world.sent(world.person("off")) == [("skipped", "campaign_disabled")]
    world.definitions.delete("cart")
    assert await world.sent(world.person("gone")) == [("skipped", "campaign_deleted")]
    assert world.mails() == []


async def test_a_template_that_fails_for_a_person_fails_that_message_only(world: World) -> None:
    world.definitions.put(text="{{ traits.n | divided_by: traits.by }}")
    zero = world.person("zero", traits={"email": "z@example.com", "n": 1, "by": 0})
    two = world.person("two", traits={"email": "t@example.com", "n": 4, "by": 2})
    assert await world.sent(zero, two) == [("failed", "template_failed"), ("sent", "")]


async def test_a_refusal_for_now_is_a_retry_and_for_good_a_failure(world: World) -> None:
    for code, at, expected in (
        (451, "rcpt", ("retry", "smtp_451")),
        (452, "data", ("retry", "smtp_452")),
        (550, "rcpt", ("failed", "smtp_550")),
        (554, "data", ("failed", "smtp_554")),
        (421, "rcpt", ("retry", "smtp_421")),
    ):
        world.sink.faults = Faults(reject=code, reject_at=at, times=1)  # type: ignore[arg-type]
        assert await world.sent(world.person(f"p{code}")) == [expected]
    assert world.mails() == []
    # Only where the text was asked for had the ledger been marked.
    assert world.ledger.begun == [entry("p452").message_id, entry("p554").message_id]
    assert await world.sent(world.person()) == [("sent", "")]


async def test_a_mailbox_that_does_not_exist_is_reported_as_a_bounce(world: World) -> None:
    world.sink.faults = Faults(reject=550, times=1)
    world.sender.offer([world.person()])
    outcome = await world.result()
    assert (outcome.bounced, outcome.detail, len(outcome.address)) == (True, "5.1.1", 32)
    assert "example.com" not in repr(outcome)


async def test_a_connection_lost_after_the_text_leaves_the_mail_uncertain(world: World) -> None:
    world.sink.faults = Faults(drop_after_data=True, times=1)
    ada = world.person()
    assert await world.sent(ada) == [("uncertain", "no_answer_to_data")]
    assert len(world.mails()) == 1  # it did arrive, which nobody could know
    assert await world.sent(world.person("p2")) == [("sent", "")]


async def test_a_slow_mail_server_is_waited_for(world: World) -> None:
    world.sink.faults = Faults(delay_seconds=1)
    assert await world.sent(*(world.person(f"p{n}") for n in range(3))) == [("sent", "")] * 3


async def test_a_mail_server_that_is_away_is_waited_for_without_marking_anything(
    world: World,
) -> None:
    await world.sink.stop()
    ada = world.person()
    assert await world.sent(ada) == [("postponed", "smtp_away")]
    assert world.ledger.begun == []
    world.sender.settled([ada.message_id])
    await world.sink.start("127.0.0.1", world.smtp_port)
    assert await world.sent(ada) == [("sent", "")]


async def test_what_was_never_offered_is_found_in_the_ledger(world: World) -> None:
    world.ledger.waiting = [world.person()]
    outcome = await world.result()
    assert (outcome.kind, len(world.mails())) == ("sent", 1)
    world.ledger.waiting = []


async def test_more_than_the_queue_holds_is_sent_all_the_same(world: World) -> None:
    people = [world.person(f"p{n}") for n in range(50)]
    world.ledger.waiting = list(people)
    world.sender.offer(people)
    for _ in people:
        outcome = await world.result()
        world.ledger.waiting = [
            one for one in world.ledger.waiting if one.message_id != outcome.message_id
        ]
        world.sender.settled([outcome.message_id])
    assert len({mail.to for mail in world.mails()}) == len(world.mails()) == 50


async def test_a_lost_partition_begins_nothing_more_and_its_results_are_noted(
    world: World,
) -> None:
    ada = world.person()
    assert await world.sent(ada) == [("sent", "")]
    world.sender.disown([SOURCE])
    world.sender.offer([world.person("p2")])
    assert not world.sender.holds(entry("p2").message_id)
    await world.sender.stop()
    assert {id_: one.kind for id_, one in world.ledger.noted.items()} == {ada.message_id: "sent"}
    assert len(world.mails()) == 1


async def test_a_mail_in_flight_when_the_process_stops_is_finished_and_noted(
    world: World,
) -> None:
    world.sink.faults = Faults(delay_seconds=0.5)
    ada = world.person()
    world.sender.offer([ada])
    await world.ledger.began.wait()
    await world.sender.stop()
    assert {id_: one.kind for id_, one in world.ledger.noted.items()} == {ada.message_id: "sent"}
    assert len(world.mails()) == 1


async def test_the_confirmation_mail_has_a_link_and_needs_no_consent_but_a_pending_one(
    world: World,
) -> None:
    asked = ConsentRequested(
        profile_id="p1", channel="email", purpose="news", statement_id="s", statement_at=NOW,
        address=digest_of("p1@example.com"),
    )  # fmt: skip
    one = confirmation.decide(asked, SOURCE, NOW, timedelta(days=7))
    said = Consent(state="denied", at=NOW, message_id="s", reason="consent_pending")
    world.person()
    world.api.people["p1"].consent = {"email/news": said}
    assert await world.sent(one) == [("sent", "")]
    [mail] = world.mails()
    assert (mail.to, mail.sender) == ("p1@example.com", "confirm@regulars.invalid")
    assert confirmation.url("http://127.0.0.1:8400", one, SECRET.encode()) in mail.text
    assert "List-Unsubscribe" not in mail.headers
    world.sender.settled([one.message_id])
    said.state, said.reason = "granted", "consent_confirmed"
    assert await world.sent(one) == [("skipped", "already_confirmed")]
    said.state, said.reason = "denied", "consent_pending"
    world.sender.settled([one.message_id])
    world.api.people["p1"].traits["email"] = "p1@home.example"
    assert await world.sent(one) == [("skipped", "address_changed")]
    assert len(world.mails()) == 1

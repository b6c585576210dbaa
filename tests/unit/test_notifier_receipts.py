"""Answers of the mail server are durable before anything further is marked, and not for ever."""

import asyncio
from collections.abc import Sequence

import pytest
from pymongo.errors import AutoReconnect

from services.notifier.gate import Gate
from services.notifier.model import Began, Outcome, Start
from services.notifier.receipts import Receipt, Receipts
from tests.notifying import NOW, SOURCE, entry


class FakeLedger:
    """Keeps receipts in a dict, and every call in a journal."""

    def __init__(self) -> None:
        self.kept = dict[str, str]()
        self.journal: list[str] = []
        self.failures = 0
        self.open = asyncio.Event()
        self.open.set()

    async def note(self, receipts: Sequence[Receipt]) -> None:
        self.journal.append("note " + " ".join(outcome.message_id for _, outcome in receipts))
        await self.open.wait()
        if self.failures:
            self.failures -= 1
            raise AutoReconnect
        self.kept |= {outcome.message_id: source for source, outcome in receipts}

    async def forget(self, outcomes: Sequence[Outcome]) -> None:
        self.journal.append("forget " + " ".join(outcome.message_id for outcome in outcomes))
        if self.failures:
            self.failures -= 1
            raise AutoReconnect
        for outcome in outcomes:
            del self.kept[outcome.message_id]

    async def begin(self, starts: Sequence[Start], owner: str) -> dict[str, Began]:
        self.journal.append("begin " + " ".join(start.entry.profile_id for start in starts))
        return {start.entry.message_id: "begun" for start in starts}


def keep(receipts: Receipts, *message_ids: str) -> None:
    for id_ in message_ids:
        receipts.keep(SOURCE, Outcome(message_id=id_, attempt=1, kind="sent", at=NOW))


def start(profile_id: str) -> Start:
    return Start(entry(profile_id), (), NOW)


async def test_every_answer_is_durable_before_the_next_mails_are_marked_and_written_once() -> None:
    ledger = FakeLedger()
    receipts = Receipts(ledger)
    gate = Gate(ledger, receipts, "s")
    keep(receipts, "m1", "m2")
    running = asyncio.create_task(gate.run())
    assert await asyncio.gather(*(gate.begin(start(id_)) for id_ in ("p3", "p4"))) == ["begun"] * 2
    await gate.begin(start("p5"))
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert ledger.journal == ["note m1 m2", "begin p3 p4", "begin p5"]
    assert ledger.kept == {"m1": SOURCE, "m2": SOURCE}


async def test_while_an_answer_cannot_be_kept_nothing_is_marked() -> None:
    ledger = FakeLedger()
    receipts = Receipts(ledger)
    gate = Gate(ledger, receipts, "s")
    keep(receipts, "m1")
    ledger.failures = 2
    running = asyncio.create_task(gate.run())
    await gate.begin(start("p2"))
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert ledger.journal == ["note m1"] * 3 + ["begin p2"]


async def test_what_a_turn_has_stored_needs_no_receipt_and_loses_the_one_it_has() -> None:
    ledger = FakeLedger()
    receipts = Receipts(ledger)
    keep(receipts, "m1", "m2")
    receipts.settled(["m1", "unknown"])
    await receipts.write()
    receipts.settled(["m2"])
    ledger.failures = 1
    with pytest.raises(AutoReconnect):
        await receipts.sweep()
    await receipts.sweep()
    await receipts.sweep()
    assert ledger.journal == ["note m2", "forget m2", "forget m2"]
    assert ledger.kept == {}


@pytest.mark.parametrize("failures", [0, 1])
async def test_what_a_turn_stores_while_its_receipt_is_written_leaves_none(failures: int) -> None:
    ledger = FakeLedger()
    receipts = Receipts(ledger)
    keep(receipts, "m1", "m2")
    ledger.open.clear()
    writing = asyncio.create_task(receipts.write())
    await asyncio.sleep(0)
    receipts.settled(["m1"])
    sweeping = asyncio.create_task(receipts.sweep())
    await asyncio.sleep(0)
    ledger.failures = failures
    ledger.open.set()
    outcomes = await asyncio.gather(writing, sweeping, return_exceptions=True)
    if failures:
        assert isinstance(outcomes[0], AutoReconnect)
        ledger.kept.setdefault("m1", "")  # it may have been written all the same
        await receipts.write()
    await receipts.sweep()
    assert ledger.kept.get("m2") == SOURCE

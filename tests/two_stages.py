"""resolve and build over stores in memory: two workers of the one, partitions of the other.

What resolve says waits in queues, one for each of its partitions and each of build's, which
overtake each other as they do on several brokers.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from copy import deepcopy
from datetime import timedelta
from typing import Any
from zlib import crc32

import msgspec

from schemas.messages import Identifier, MessageChanged, Order
from services.profile.build.changes import Limits
from services.profile.build.handler import Build
from services.profile.build.kept import decode
from services.profile.build.model import State
from services.profile.build.rules.consent import OPEN, Policy
from services.profile.build.rules.orders import orders_of
from services.profile.resolve import model
from services.profile.resolve.handler import ResolveHandler
from services.runtime.turn import Message, Record, Source, Timer, Turn
from tests.build_world import Declared, Stored
from tests.identity_stories import HEARD, Senders
from tests.identity_world import FakePeople
from tests.people import START

STEPS = Source("profile-resolve/message.changes/0", "message.changes", 0)
PARTITIONS = 3


def step(number: int, profile_id: str) -> Record:
    """A step of a message of ours, to whom we know by ``profile_id``."""
    said = MessageChanged(
        change_id=f"step{number}",
        message_id=f"sent{number}",
        profile_id=profile_id,
        campaign="c",
        campaign_version=1,
        state="unsubscribed" if number % 3 == 0 else "opened",
        at=START + timedelta(minutes=number),
    )
    headers = {"ce_type": f"regulars.message.{said.state}.v1".encode()}
    return Record(STEPS, 0, b"k", msgspec.json.encode(said), headers)


# -- transactions --------------------------------------------------------------------------------


class Transaction(FakePeople):
    """Resolve's store as one turn saw it when it began, and which documents the turn writes."""

    def __init__(self, people: FakePeople) -> None:
        super().__init__()
        self._people = people
        self._written: set[tuple[str, Any]] = set()
        self.stored, self.rulings = dict(people.stored), dict(people.rulings)
        self.by, self.all = deepcopy(people.by), deepcopy(people.all)
        self._before = {name: dict(getattr(self, name)) for name in _COLLECTIONS}
        self._began = {name: dict(getattr(people, name)) for name in _COLLECTIONS}

    async def save(
        self, stored: Sequence[model.Stored], changes: model.Changes, session: Any
    ) -> None:
        moved = [key for key, has in self.by.items() if has.profile_id in changes.absorbed]
        keys = {
            "stored": [one.interaction_id for one in (*stored, *changes.rewritten)],
            "by": [*changes.owners, *changes.moved, *moved],
            "all": [one.profile_id for one in (*changes.created, *changes.changed)]
            + [*changes.redirected, *changes.touched],
            "rulings": [one.decision_id for one in changes.decisions],
        }
        self._written |= {(name, key) for name, all_ in keys.items() for key in all_}
        await super().save(stored, changes, session)

    def commit(self) -> bool:
        """Whether nobody has written any of the same documents meanwhile; then it is done."""
        for name, key in self._written:
            if getattr(self._people, name).get(key) is not self._began[name].get(key):
                return False
        for name, key in self._written:
            getattr(self._people, name)[key] = getattr(self, name)[key]
        return True


_COLLECTIONS = ("stored", "by", "all", "rulings")


# -- between the two ---------------------------------------------------------------------------


class Between:
    """What resolve has stored, as build reads it (``History``), and what it has said so far."""

    def __init__(self, people: FakePeople) -> None:
        self._people = people
        self.seqs: dict[str, int] = defaultdict(int)

    async def fates(self, profile_ids: Sequence[str], session: Any) -> Any:
        found = {id_: self._people.all[id_] for id_ in profile_ids if id_ in self._people.all}
        return {id_: (person.into, person.members) for id_, person in found.items()}

    async def vector(self, session: Any) -> dict[str, int]:
        return {id_: seq for id_, seq in self.seqs.items() if id_.startswith("profile-resolve/")}

    async def interactions(
        self, profile_ids: Sequence[str], session: Any
    ) -> AsyncIterator[list[tuple[str, bytes]]]:
        found = [one for one in self._people.stored.values() if one.profile_id in profile_ids]
        yield [(one.profile_id, one.body) for one in reversed(found)]
        handed = [one for one in self._people.stored.values() if one.handed_to in profile_ids]
        yield [(one.handed_to, one.body) for one in handed if one.handed_to is not None]


class Stages:
    """Both handlers, their stores, and the topics between them."""

    def __init__(self, policy: Policy = OPEN, base: str | None = None) -> None:
        self.people = FakePeople()
        self.open: dict[int, tuple[Transaction, Turn]] = {}
        self.between = Between(self.people)
        self.stored = Stored()
        self.declared = Declared()
        self.policy, self.base = policy, base
        limits = Limits(swept=2, rebuilt=6, cached=4)
        self.build = Build(
            self.stored, self.between, self.declared, limits, policy=policy, base_currency=base
        )
        self.sources = [
            Source(f"profile-build/profile.interactions/{number}", "profile.interactions", number)
            for number in range(PARTITIONS)
        ]
        self.queues: dict[tuple[str, int], list[Record]] = defaultdict(list)
        self.timers: dict[tuple[str, str], Timer] = {}
        self.looks: dict[tuple[str, str], Timer] = {}
        self.changes: list[dict[str, Any]] = []
        self.now = HEARD

    # -- resolve

    async def begins(
        self, worker: int, records: Sequence[Record], looks: Sequence[Timer] = ()
    ) -> None:
        """A worker of resolve begins a turn, and sees nothing of what others do from now on."""
        await self.ends(worker)
        transaction = Transaction(self.people)
        turn = Turn(now=self.now, session=None, records=records, timers=looks)
        await ResolveHandler(transaction, Senders()).handle(turn)
        await turn.written()
        assert turn.rejected == []
        self.open[worker] = transaction, turn

    async def ends(self, worker: int) -> None:
        """Its turn is committed, if others have not written what it wrote; else tried again."""
        while worker in self.open:
            transaction, turn = self.open.pop(worker)
            if transaction.commit():
                self.looks |= turn.timers_set
                self._publish(turn)
            else:
                await self.begins(worker, turn.records, turn.timers)

    async def takes(self, records: Sequence[Record], looks: Sequence[Timer] = ()) -> None:
        await self.begins(0, records, looks)
        await self.ends(0)

    async def looks_again(self) -> None:
        """Resolve's timers come due."""
        due, self.looks = list(self.looks.values()), {}
        await self.begins(1, [], due)
        await self.ends(1)

    # -- build

    async def builds(self, wanted: Sequence[int], *, size: int, fails: bool = False) -> None:
        """A turn with ``size`` records of some of what waits; ``fails``: it comes to naught."""
        waiting = sorted(key for key, queue in self.queues.items() if queue)
        chosen = dict.fromkeys(waiting[each % len(waiting)] for each in wanted if waiting)
        records = [record for key in chosen for record in self.queues[key][:size]]
        partitions = {record.source.partition for record in records} or {wanted[0] % PARTITIONS}
        timers = [one for one in self.timers.values() if one.source.partition in partitions]
        turn = Turn(now=self.now, session=None, records=records, timers=timers)
        stored = self.stored
        before = dict(stored.rows), dict(stored.sweeps), dict(stored.compositions)
        await self.build.handle(turn)
        await turn.written()
        assert turn.rejected == []
        if fails:
            stored.rows, stored.sweeps, stored.compositions = before
            self.build.lost(None)
            return
        for key in chosen:
            self.queues[key] = self.queues[key][size:]
        for timer in timers:
            del self.timers[timer.source.id, timer.key]
        self.timers |= turn.timers_set
        await self.build.committed(turn)
        for record in records:
            self._read(record)
        self._publish(turn)

    def _read(self, record: Record) -> None:
        origin, seq = record.header("origin"), int(record.header("seq"))
        origins = record.source.origins
        assert origins.get(origin, 0) < seq
        origins[origin] = seq

    def _publish(self, turn: Turn) -> None:
        for source, message in turn.messages:
            assert isinstance(message, Message)
            self.between.seqs[source.id] += 1
            if message.topic == "profile.changes":
                self.changes.append(msgspec.json.decode(message.value))
                continue
            if message.topic == "consent.requests":
                continue
            partition = crc32(message.key.encode()) % PARTITIONS
            headers = {"ce_type": message.type, "origin": source.id}
            headers |= {"seq": str(self.between.seqs[source.id])}
            given = {name: text.encode() for name, text in headers.items()} | dict(message.extra)
            record = Record(self.sources[partition], 0, message.key.encode(), message.value, given)
            self.queues[source.id, partition].append(record)

    def orders_of(self, name: Identifier) -> list[Order]:
        """The orders that whoever has this name has."""
        return orders_of(self.state_of(name))

    def state_of(self, name: Identifier) -> State:
        """What build keeps of whoever has this name."""
        profile_id = self.people.living(self.people.by[name].profile_id)
        return decode(self.stored.rows[profile_id][0]).state

    async def quiet(self) -> None:
        """Everything is done that is to be done."""
        for worker in list(self.open):
            await self.ends(worker)
        while self.looks:
            await self.looks_again()
        await self.builds([0], size=3)  # It takes up what was defined.
        while any(self.queues.values()) or self.timers:
            for number in range(len(self.queues) + PARTITIONS):
                await self.builds([number], size=3)

"""One turn of dead-letters: store what was refused, replay what somebody asked for.

Reads ``events.rejected`` and every ``<topic>.dead``. A letter is known by the record that
was refused, so one that a crash has written twice is stored once. Replays are emitted like
any stage's output, in the transaction that marks their letters: published once, however
often the worker dies.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from schemas.topics import DEAD, REJECTED
from services.ingest.dead_letters import life
from services.ingest.dead_letters.model import (
    Action,
    Count,
    Letter,
    Returned,
    Suppressed,
    Tally,
)
from services.ingest.dead_letters.people import MANY
from services.ingest.dead_letters.rules import Place, read
from services.runtime import metrics
from services.runtime.turn import Output, Record, Source, Turn

NAME = "dead-letters"
TOPICS = (REJECTED.name, *(topic.name for topic in DEAD))

_REPLAYED_A_TURN = 100
_REPLAYED_BYTES = 4_000_000
_outputs = msgspec.msgpack.Decoder(list[Output])


class Limits(Struct, frozen=True):
    """How much is kept."""

    days: int = 30
    letters: int = 10_000
    """Of one source."""
    bytes: int = 100_000_000
    """Of one source."""


class Store(Protocol):
    """The letters, as one transaction sees them."""

    async def known(self, ids: Collection[str], session: Any) -> dict[str, Letter]: ...

    async def erasures(self, people: Collection[bytes], session: Any) -> dict[bytes, datetime]: ...

    async def save(self, letters: Sequence[Letter], session: Any) -> None: ...

    async def count(
        self, counts: Mapping[Tally, Count], expires: datetime, session: Any
    ) -> None: ...

    async def trim(
        self, sources: Collection[str], most: int, most_bytes: int, session: Any
    ) -> list[Letter]: ...

    async def requested(self, homes: Collection[str], most: int, session: Any) -> list[Letter]: ...


class DeadLetters:
    """The handler of ``dead-letters``. Keeps nothing between turns but what it counted."""

    def __init__(self, store: Store, limits: Limits | None = None) -> None:
        self._store = store
        self._limits = limits or Limits()
        self._done: dict[str, int] = {}

    async def handle(self, turn: Turn) -> None:
        """See ``services.runtime.turn.Handler``."""
        self._done = dict.fromkeys(("stored", "dropped", "reopened", "replayed"), 0)
        expires = turn.now + timedelta(days=self._limits.days)
        counts: defaultdict[Tally, Count] = defaultdict(Count)
        await self._take(turn, counts, expires)
        if turn.completions:
            await self._replay(turn)
        if counts:
            await self._store.count(counts, expires, turn.session)

    async def committed(self, turn: Turn) -> None:
        """Now it is true: count it."""
        for outcome, number in self._done.items():
            if number:
                metrics.DEAD_LETTERS.labels(outcome).inc(number)

    async def assigned(self, sources: Sequence[Source]) -> None:
        """Nothing is resumed: what is to be replayed is in the database."""

    def lost(self, sources: Sequence[Source] | None) -> None:
        """Nothing is cached."""

    async def _take(self, turn: Turn, counts: defaultdict[Tally, Count], expires: datetime) -> None:
        letters: dict[str, Letter] = {}
        returned: list[Returned] = []
        for record in turn.records:
            said = _read(record, expires)
            if isinstance(said, Letter):
                letters.setdefault(said.id, said)
            elif isinstance(said, Returned):
                returned.append(said)
            elif isinstance(said, Suppressed):
                for reason, number in said.reasons.items():
                    day = said.at.date().isoformat()
                    counts[Tally(day, said.source, REJECTED.name, reason)].suppressed += number
        if not letters and not returned:
            return
        ids = {*letters, *(news.id for news in returned), *(news.letter.id for news in returned)}
        known = await self._store.known(ids, turn.session)
        changed = self._reopen(returned, known, letters)
        fresh = [one for id_, one in letters.items() if id_ not in known]
        turn.drop("known", len(letters) - len(fresh))
        await self._forget_the_erased(turn, fresh)
        self._done["stored"] = len(fresh)
        if fresh or changed:
            await self._store.save([*fresh, *changed], turn.session)
        for one in fresh:
            counts[_tally(one)].stored += 1
        if fresh:
            await self._trim(turn, {one.source for one in fresh}, counts)

    def _reopen(
        self, returned: Sequence[Returned], known: Mapping[str, Letter], letters: dict[str, Letter]
    ) -> list[Letter]:
        """The letters whose replay was refused; one that is gone comes back as a new one."""
        current = dict(known)
        changed: dict[str, Letter] = {}
        for news in returned:
            letter = current.get(news.id)
            if letter is None:
                letters.setdefault(news.letter.id, news.letter)
                continue
            reopened = life.returned(letter, news)
            if reopened is not None:
                current[news.id] = changed[news.id] = reopened
                self._done["reopened"] += 1
        return list(changed.values())

    async def _forget_the_erased(self, turn: Turn, fresh: list[Letter]) -> None:
        people = {one for letter in fresh for one in letter.people if one != MANY}
        erased = await self._store.erasures(people, turn.session) if people else {}
        for place, letter in enumerate(fresh):
            if any(letter.at <= erased[one] for one in letter.people if one in erased):
                fresh[place] = life.erased(letter, Action(at=turn.now, deed="erased"))

    async def _trim(
        self, turn: Turn, sources: Collection[str], counts: defaultdict[Tally, Count]
    ) -> None:
        limits = self._limits
        dropped = await self._store.trim(sources, limits.letters, limits.bytes, turn.session)
        self._done["dropped"] = len(dropped)
        for one in dropped:
            counts[_tally(one)].dropped += 1

    async def _replay(self, turn: Turn) -> None:
        """Emit what is to be replayed of the partitions that were woken."""
        homes = {completion.source.id: completion.source for completion in turn.completions}
        asked = await self._store.requested(homes, _REPLAYED_A_TURN, turn.session)
        done: list[Letter] = []
        size = 0
        for letter in asked:
            size += len(letter.outputs)
            if done and size > _REPLAYED_BYTES:
                break
            for output in _outputs.decode(letter.outputs):
                turn.forward(homes[letter.home], output)
            done.append(life.replayed(letter, turn.now))
        if done:
            self._done["replayed"] = len(done)
            await self._store.save(done, turn.session)


def _read(record: Record, expires: datetime) -> Letter | Returned | Suppressed | None:
    source = record.source
    place = Place(source.id, source.topic, source.partition, record.offset, expires)
    return read(place, record.key, record.value, record.headers)


def _tally(letter: Letter) -> Tally:
    day = letter.at.date().isoformat()
    return Tally(day, letter.source, letter.topic, letter.reason)

"""One turn of a stage: what a handler is given and what it answers with.

This is all that a service's ``handler.py`` sees of the transport. A handler reads
``records``, ``timers`` and ``completions``, and says what follows by ``emit``, ``reject``,
``drop``, ``set_timer`` and ``cancel_timer``; the stage makes all of it true in one
transaction, or none of it. Every answer names the ``Source`` it follows from, because
outputs are numbered and stored per source partition.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from msgspec import Struct


@dataclass(slots=True, eq=False)
class Source:
    """A partition that this worker owns, and the counters of its checkpoint."""

    id: str
    """``<group>/<topic>/<partition>``: the checkpoint's id, and the ``origin`` of outputs."""
    topic: str
    """The topic's name in ``schemas.topics``, without any namespace."""
    partition: int
    epoch: int = 0
    offset: int = 0
    """The next offset to handle."""
    seq: int = 0
    """How many outputs this source has ever had; the next one gets ``seq + 1``."""
    origins: dict[str, int] = field(default_factory=dict)
    """The highest ``seq`` handled, by origin."""


class Record(Struct, eq=False):
    """One Kafka record of an owned partition."""

    source: Source
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Mapping[str, bytes]
    timestamp: int = 0
    """Milliseconds since 1970: when it was written, by the writer's or the broker's clock."""
    ahead: Any = None
    """What ``Wired.ahead`` made of it before its turn. None: nothing yet; whoever takes it may
    change it, and so leaves None for another attempt."""

    def header(self, name: str) -> str:
        """A header as text, or the empty string."""
        return self.headers.get(name, b"").decode("utf-8", "replace")


@dataclass(slots=True, eq=False)
class Timer:
    """A timer that has come due. It is gone with this turn unless it is set again."""

    source: Source
    key: str
    due_at: datetime
    body: bytes


@dataclass(slots=True, eq=False)
class Completion:
    """The result of work that was done outside, between two turns (such as a mail sent)."""

    source: Source
    body: Any


class Output(Struct, array_like=True, gc=False):
    """One record to publish, as the outbox stores it."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]


class Message(Struct, kw_only=True, gc=False):
    """What ``Turn.emit`` publishes: a body with the CloudEvents attributes that go in headers.

    ``topic`` is a name of ``schemas.topics``; ``value`` None is a tombstone. ``extra`` are
    further headers (``event``: the event's name, so that readers can skip undecoded).
    """

    topic: str
    key: str
    value: bytes | None
    type: str
    """CloudEvents type, ``regulars.<noun>.<verb>.v1``."""
    id: str
    time: datetime
    extra: tuple[tuple[str, bytes], ...] = ()
    partition: int | None = None
    """None: where any Kafka client's default partitioner puts the key. Who knows that, since a
    record with this key came from the partition of that number, saves working it out."""


@dataclass(slots=True, eq=False)
class Rejected:
    """A record that does not fit, on its way to the dead-letter topic."""

    record: Record
    reason: str
    detail: str


class Turn:
    """The inputs of one turn and, as the handler fills them in, its outcomes."""

    def __init__(
        self,
        *,
        now: datetime,
        session: Any,
        records: Sequence[Record] = (),
        timers: Sequence[Timer] = (),
        completions: Sequence[Completion] = (),
    ) -> None:
        self.now = now
        """The one clock of the turn (UTC); rules get it as an argument."""
        self.session = session
        """The open transaction; only ``store.py`` looks inside."""
        self.records = records
        self.timers = timers
        self.completions = completions
        self.messages: list[tuple[Source, Message | Output]] = []
        self.rejected: list[Rejected] = []
        self.dropped: Counter[str] = Counter()
        self.timers_set: dict[tuple[str, str], Timer] = {}
        self.timers_cancelled: set[tuple[str, str]] = set()
        self._writes: list[Callable[[], Awaitable[None]]] = []

    def write(self, write: Callable[[], Awaitable[None]]) -> None:
        """Have ``write`` done within the transaction, after ``handle`` has returned.

        While the database is at it, the stage encodes what the turn publishes.
        """
        self._writes.append(write)

    async def written(self) -> None:
        """Do the writes, one after the other. The stage's part."""
        for write in self._writes:
            await write()

    def emit(self, source: Source, message: Message) -> None:
        """Publish ``message`` once, after the transaction, because of ``source``."""
        self.messages.append((source, message))

    def forward(self, source: Source, output: Output) -> None:
        """Publish a record as it is, once, after the transaction, because of ``source``."""
        self.messages.append((source, output))

    def reject(self, record: Record, reason: str, detail: str = "") -> None:
        """Send ``record`` to its dead-letter topic.

        ``reason`` is a code and becomes a metric label; ``detail`` is for people and must
        not repeat personal data.
        """
        self.rejected.append(Rejected(record, reason, detail))

    def drop(self, reason: str, count: int = 1) -> None:
        """Count records that need no handling, such as duplicates."""
        self.dropped[reason] += count

    def set_timer(self, source: Source, key: str, due_at: datetime, body: bytes = b"") -> None:
        """Have ``key`` come due at ``due_at``; one timer a key, the last one set holds."""
        self.timers_cancelled.discard((source.id, key))
        self.timers_set[source.id, key] = Timer(source, key, due_at, body)

    def cancel_timer(self, source: Source, key: str) -> None:
        """Forget the timer ``key``, if there is one."""
        self.timers_set.pop((source.id, key), None)
        self.timers_cancelled.add((source.id, key))


class Handler(Protocol):
    """What a service gives to the stage."""

    async def handle(self, turn: Turn) -> None:
        """Load, decide, store within ``turn.session``, and fill in the turn's outcomes.

        Bad data is ``turn.reject``-ed; an exception means "try this turn again". It may
        run several times for the same inputs, so it changes nothing outside the session
        but caches, which ``lost`` empties.
        """

    async def committed(self, turn: Turn) -> None:
        """The turn is durable: start work outside (a send); must not raise or take long."""

    async def assigned(self, sources: Sequence[Source]) -> None:
        """These partitions are now ours: resume what their last owner left unfinished."""

    def lost(self, sources: Sequence[Source] | None) -> None:
        """Forget cached state of these partitions; of all when None (after an abort)."""

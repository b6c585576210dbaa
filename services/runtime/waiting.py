"""What waits for a turn: records that were read, and completions of outside work.

Both stay until their turn is committed, so that a turn that fails finds them again.
"""

from collections import deque
from collections.abc import Collection, Iterable, Sequence
from itertools import islice

from services.runtime.turn import Completion, Record, Source


class Waiting:
    """Records and completions in their order. A batch holds at most ``batch_bytes`` of values."""

    def __init__(self, batch_bytes: int) -> None:
        self._batch_bytes = batch_bytes
        self._records = deque[Record]()
        self._completions = deque[Completion]()

    @property
    def records(self) -> int:
        """How many records wait."""
        return len(self._records)

    @property
    def completed(self) -> bool:
        """Whether a completion waits."""
        return bool(self._completions)

    def read(self, records: Iterable[Record]) -> None:
        """These were read."""
        self._records.extend(records)

    def complete(self, completion: Completion) -> None:
        """This was done outside."""
        self._completions.append(completion)

    def batch(self, limit: int) -> list[Record]:
        """The next records, bounded by count and by bytes, but at least one."""
        records: list[Record] = []
        size = 0
        for record in islice(self._records, limit):
            size += len(record.value or b"")
            if records and size > self._batch_bytes:
                break
            records.append(record)
        return records

    def completions(self, limit: int) -> list[Completion]:
        """The next completions."""
        return list(islice(self._completions, limit))

    def done(self, records: Sequence[Record], completions: Sequence[Completion]) -> None:
        """These, which are the first, were handled."""
        for _ in records:
            self._records.popleft()
        for _ in completions:
            self._completions.popleft()

    def claimed(self, owned: Collection[Source]) -> None:
        """Records will be read again; completions are kept of what is ours, and was all along."""
        self._records.clear()
        self._completions = deque(it for it in self._completions if it.source in owned)

    def forget(self, gone: Collection[str]) -> None:
        """Others have these partitions."""
        self._records = deque(it for it in self._records if it.source.id not in gone)
        self._completions = deque(it for it in self._completions if it.source.id not in gone)

"""The states that a worker owns and has at hand, the latest used ones."""

from collections import OrderedDict
from collections.abc import Collection
from typing import Generic, TypeVar

State = TypeVar("State")


class Cache(Generic[State]):
    """A bounded LRU of key -> state, by the partition that each belongs to.

    Safe because one worker owns a partition: nobody else changes what is cached, and a
    worker that lost a partition cannot commit.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._entries: OrderedDict[str, tuple[str, State]] = OrderedDict()

    def get(self, key: str) -> State | None:
        """The state, marked as used; None if it is not here."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        self._entries.move_to_end(key)
        return entry[1]

    def put(self, source_id: str, key: str, state: State) -> None:
        """Remember a state of the partition ``source_id``, marked as used."""
        self._entries[key] = (source_id, state)
        self._entries.move_to_end(key)

    def renew(self, source_id: str, key: str, state: State) -> None:
        """Put a state in place of one that is here; nobody has asked for it."""
        if key in self._entries:
            self._entries[key] = (source_id, state)

    def evict(self, key: str) -> None:
        """Forget one state."""
        self._entries.pop(key, None)

    def shrink(self) -> None:
        """Forget what is beyond the bound; between turns, since a turn mutates its states."""
        while len(self._entries) > self._size:
            self._entries.popitem(last=False)

    def lost(self, source_ids: Collection[str] | None) -> None:
        """Forget these partitions' states; all when None."""
        if source_ids is None:
            self._entries.clear()
            return
        for key in [key for key, entry in self._entries.items() if entry[0] in source_ids]:
            del self._entries[key]

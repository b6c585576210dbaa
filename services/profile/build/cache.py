"""The decoded states of the profiles that this worker owns, the latest used ones."""

from collections import OrderedDict
from collections.abc import Collection

from services.profile.build.model import Kept


class Cache:
    """A bounded LRU of profile id -> state.

    Safe because one worker owns a partition: nobody else changes what is cached, and a
    worker that lost a partition cannot commit.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._entries: OrderedDict[str, tuple[str, Kept]] = OrderedDict()

    def get(self, profile_id: str) -> Kept | None:
        """The state, marked as used; None if it is not here."""
        entry = self._entries.get(profile_id)
        if entry is None:
            return None
        self._entries.move_to_end(profile_id)
        return entry[1]

    def put(self, source_id: str, profile_id: str, kept: Kept) -> None:
        """Remember a state of the partition ``source_id``."""
        self._entries[profile_id] = (source_id, kept)
        self._entries.move_to_end(profile_id)

    def renew(self, source_id: str, profile_id: str, kept: Kept) -> None:
        """Put a state in place of one that is here; nobody has asked for it."""
        if profile_id in self._entries:
            self._entries[profile_id] = (source_id, kept)

    def evict(self, profile_id: str) -> None:
        """Forget one state."""
        self._entries.pop(profile_id, None)

    def shrink(self) -> None:
        """Forget what is beyond the bound; between turns, since a turn mutates its states."""
        while len(self._entries) > self._size:
            self._entries.popitem(last=False)

    def lost(self, source_ids: Collection[str] | None) -> None:
        """Forget these partitions' states; all when None."""
        if source_ids is None:
            self._entries.clear()
            return
        for profile_id in [id_ for id_, entry in self._entries.items() if entry[0] in source_ids]:
            del self._entries[profile_id]

"""What a turn of the notifier has in hand, between loading and saving."""

from collections.abc import Iterable

from schemas.messages import MessageChanged
from services.notifier.model import Entry, Suppression
from services.runtime.turn import Source


class Draft:
    """The entries that a turn works on, as they are stored and as they will be."""

    def __init__(self) -> None:
        self.stored = dict[str, Entry]()
        self.entries = dict[str, Entry]()
        self.sources = dict[str, Source]()
        """What each touched entry's outputs follow from."""
        self.suppressions: list[Suppression] = []

    def loaded(self, entries: Iterable[Entry]) -> None:
        """Entries as they are stored; what the turn has already changed stays changed."""
        for entry in entries:
            self.stored.setdefault(entry.message_id, entry)
            self.entries.setdefault(entry.message_id, entry)

    def put(self, entry: Entry, source: Source) -> None:
        """An entry as it will be, because of ``source``."""
        self.entries[entry.message_id] = entry
        self.sources.setdefault(entry.message_id, source)


class Done:
    """What is left to do for a turn once it is durable."""

    def __init__(self, settled: list[str], due: list[Entry], said: list[MessageChanged]) -> None:
        self.settled = settled
        self.due = due
        self.said = said

"""How much a turn takes: less while turns fail, down to the one input that makes them fail."""

from collections.abc import Sequence

from services.runtime.backoff import Backoff
from services.runtime.turn import Completion, Record, Timer

_TRIES = 5
_SEARCH_SECONDS = 0.02
_IN_A_ROW = 10
"""More inputs than that, one after the other, are no input's fault: stop, and say so."""

Inputs = tuple[Sequence[Record], Sequence[Timer], Sequence[Completion]]


class Pace:
    """The size of a stage's turns, and the search for an input on which its handler fails.

    A turn that fails is halved, and doubled when it works. What fails ``_TRIES`` times alone
    is the culprit, and is set aside.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._searching = False
        self._tries = 0  # of one input alone
        self._set_aside = 0  # in a row
        self._backoff = Backoff()
        self.limit = most
        """How many inputs of each kind a turn takes."""

    def choose(self, inputs: Inputs) -> Inputs:
        """What of ``inputs`` to take now: one kind at a time while the culprit is searched."""
        records, timers, completions = inputs
        if self._searching and records:
            return records, [], []
        if self._searching and timers:
            return [], timers, []
        return records, timers, completions

    def gives_up(self) -> bool:
        """Whether the input in hand is the culprit, so that the turn is to set it aside."""
        if self._tries < _TRIES or self._set_aside >= _IN_A_ROW:
            return False
        self._set_aside += 1
        return True

    def handled(self) -> None:
        """The handler took its inputs."""
        self._set_aside = 0

    def worked(self) -> None:
        """The turn is committed."""
        self._tries = 0
        self.limit = min(self.limit * 2, self._most)
        self._searching = self._searching and self.limit < self._most
        self._backoff.reset()

    def failed(self, cause: str, waiting: int) -> float:
        """Nothing was committed, for ``cause`` (``trouble.cause_of``), with ``waiting`` records.

        Returns how many seconds to wait before the next attempt.
        """
        if cause == "failed":
            self._tries += self.limit == 1
            self._searching = True
        if cause in ("failed", "conflict", "too_large"):
            self.limit = max(1, min(self.limit, waiting or 1) // 2)
        if cause == "failed" and self._tries < _TRIES:
            return _SEARCH_SECONDS
        return self._backoff.next()

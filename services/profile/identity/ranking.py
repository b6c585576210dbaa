"""In which order suggestions are shown: every pair of the queue, the likeliest first.

To know the likeliest, all must be scored. A short queue is, each time that somebody begins to
read it; of a long one the order is kept for a while, and what was decided meanwhile is left
out where it is shown. Whoever reads on does so in the order in which they began.
"""

import asyncio
from bisect import bisect_right
from collections.abc import Callable
from time import monotonic

from msgspec import Struct

from services.profile.identity.pairs import BETWEEN, Pairs
from services.profile.identity.scoring import Scorer
from services.profile.suggestions.model import Card
from services.profile.suggestions.rules import Frequencies

Position = tuple[float, str]
"""(score, suggestion id) of the last one that was seen."""

SHORT = 500
"""A queue of so many pairs is scored anew for whoever begins to read it."""
_FRESH_SECONDS = 30.0
"""How long the order of a longer one is good enough to begin with."""
_READ_SECONDS = 600.0
"""How long to read on with."""


class Order(Struct, frozen=True):
    """The queue at some time."""

    places: list[tuple[float, str]]
    """(minus the score, suggestion id), in order."""
    frequencies: Frequencies
    """How common each value was."""
    made_at: float
    """On the clock of ``Ranking``."""
    full: int = 0
    """People who were named with more others than are kept: see ``Pairs.all``."""

    def after(self, position: Position | None) -> list[tuple[float, str]]:
        """What comes after a position."""
        if position is None:
            return self.places
        return self.places[bisect_right(self.places, (-position[0], position[1])) :]


class Ranking:
    """The order, for all who read; made once at a time."""

    def __init__(
        self, pairs: Pairs, scorer: Scorer, clock: Callable[[], float] = monotonic
    ) -> None:
        self._pairs = pairs
        self._scorer = scorer
        self._clock = clock
        self._order: Order | None = None
        self._one_at_a_time = asyncio.Lock()

    async def order(self, *, begins: bool) -> Order:
        """The order for somebody who ``begins`` to read, or reads on."""
        asked = self._clock()
        async with self._one_at_a_time:
            known = self._order
            if known is None or not self._will_do(known, asked, begins=begins):
                known = self._order = await self._made()
            return known

    def _will_do(self, order: Order, asked: float, *, begins: bool) -> bool:
        if order.made_at >= asked:
            return True  # Somebody else has waited for the same.
        if not begins:
            return asked - order.made_at < _READ_SECONDS
        return len(order.places) > SHORT and asked - order.made_at < _FRESH_SECONDS

    async def _made(self) -> Order:
        began = self._clock()
        pairs: dict[tuple[str, str], None] = {}
        cards: dict[str, Card] = {}
        full = 0
        async for part, untold in self._pairs.all():
            full += untold
            wanted = {id_ for pair in part for id_ in pair.ids} - cards.keys()
            facts = await self._scorer.facts(wanted)
            cards |= {id_: known.card for id_, known in facts.items()}
            pairs.update(dict.fromkeys(pair.ids for pair in part))
        frequencies = await self._scorer.frequencies(cards.values())
        scores = await self._scorer.scored(list(pairs), cards, frequencies)
        places = [
            (-scores[pair].score if pair in scores else 0.0, BETWEEN.join(pair)) for pair in pairs
        ]
        return Order(sorted(places), frequencies, began, full)

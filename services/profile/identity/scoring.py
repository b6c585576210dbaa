"""How likely two of the queue are one person: the scorer, asked about people as build keeps them.

How common a value is, is told by those who were seen last in this shop, and by the queue.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from time import monotonic
from typing import Any

import msgspec
from msgspec import Raw, Struct

from services.profile.build.kept import Kept
from services.profile.build.model import State
from services.profile.build.rules.edits import shown
from services.profile.build.rules.view import identifiers_of
from services.profile.build.store import ProfileStore
from services.profile.suggestions.cards import TRAITS, card_of
from services.profile.suggestions.model import Card, Suggestion
from services.profile.suggestions.rules import Frequencies, score

POPULATION = 1_000
"""People, seen last, who tell how common a value is."""
_FRESH_SECONDS = 600.0
_AT_ONCE = 100
"""People decoded, or pairs scored, before other requests get their turn."""


class Facts(Struct, frozen=True):
    """What is known of somebody who may be somebody else as well."""

    card: Card
    traits: dict[str, Raw]
    """Those that are compared, as they were sent."""
    state: State


class Scorer:
    """Scores pairs of profiles."""

    def __init__(self, profiles: ProfileStore, clock: Callable[[], float] = monotonic) -> None:
        self._profiles = profiles
        self._clock = clock
        self._known: tuple[float, list[Card]] | None = None

    async def facts(self, profile_ids: Collection[str]) -> dict[str, Facts]:
        """By each id that is known to build."""
        wanted, found = sorted(profile_ids), dict[str, Facts]()
        for start in range(0, len(wanted), _AT_ONCE):
            there = await self._profiles.profiles(wanted[start : start + _AT_ONCE])
            found |= {
                asked: _facts(id_, kept) for asked, (id_, kept) in there.items() if not kept.unread
            }
            await asyncio.sleep(0)
        return found

    async def frequencies(self, cards: Iterable[Card]) -> Frequencies:
        """How common each value is: among those seen last, and these."""
        known = {card.profile_id: card for card in await self._population()}
        known |= {card.profile_id: card for card in cards}
        return await asyncio.to_thread(Frequencies, list(known.values()))

    async def scored(
        self,
        pairs: Sequence[tuple[str, str]],
        cards: Mapping[str, Card],
        frequencies: Frequencies,
    ) -> dict[tuple[str, str], Suggestion]:
        """Each pair of whom both are known."""
        known = [pair for pair in pairs if pair[0] in cards and pair[1] in cards]
        found = dict[tuple[str, str], Suggestion]()
        for number, (one, other) in enumerate(known):
            found[one, other] = score(cards[one], cards[other], frequencies)
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)
        return found

    async def _population(self) -> list[Card]:
        if self._known is None or self._clock() - self._known[0] > _FRESH_SECONDS:
            cards, after = list[Card](), None
            while len(cards) < POPULATION:
                page = await self._profiles.listed("", _AT_ONCE, after)
                cards += [_facts(id_, kept).card for id_, kept, _ in page]
                if len(page) < _AT_ONCE:
                    break
                after = page[-1][2], page[-1][0]
            self._known = self._clock(), cards
        return self._known[1]


def _facts(profile_id: str, kept: Kept) -> Facts:
    writes = kept.state.traits
    raw = {name: Raw(value) for name in TRAITS if (value := shown(writes.get(name))) is not None}
    traits: dict[str, Any] = {name: msgspec.json.decode(value) for name, value in raw.items()}
    named = [{"type": one.type, "value": one.value} for one in identifiers_of(kept.state)]
    return Facts(card_of(profile_id, traits, named), raw, kept.state)


def compared(pair: Suggestion, one: Facts, other: Facts) -> list[dict[str, Any]]:
    """The evidence as ``shapes.Compared`` declares it, the heaviest first."""
    cards = (one.card, other.card)
    return [
        {
            "field": found.field,
            "level": found.level,
            "bits": found.bits,
            "values": [getattr(card, found.field, "") for card in cards]
            if found.field in Card.__struct_fields__
            else [],
        }
        for found in sorted(pair.evidence, key=lambda found: -abs(found.bits))
    ]

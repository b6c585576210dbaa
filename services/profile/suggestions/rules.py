"""Scoring: how likely two people are one, by name, address, birthday, email and phone. Pure.

After Fellegi and Sunter (1969): each field adds log2(m / u), where m is how often the two
records of one person compare like that, and u how often those of two people do. A value that
many share (a common name, a large city) says less than a rare one: its u is its own frequency
among the people compared. m is the same for every shop: see ``FIELDS``. Similarity of texts is
that of Jaro and Winkler, and for numbers and dates the number of edits.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations
from math import log2

from msgspec import Struct
from rapidfuzz.distance import OSA, JaroWinkler

from services.profile.suggestions.model import Agreement, Card, Suggestion

THRESHOLD = 12.0
"""Bits from which a pair is suggested: at least 0.99 of such pairs are one person, as measured on
the FEBRL data sets (docs/suggestions.md)."""
MOST_IN_BLOCK = 100
"""People who share a key; of more those are compared who share something else as well."""
MOST_NARROWED = 2
"""How many things else, at most."""
_NARROWER = (
    ("birthday",), ("postcode",), ("given", "family"), ("street", "number"), ("city",),
)  # fmt: skip
"""Of whom much is shared: by what else they may be told from each other, and yet be one."""
_LEAST_CHANCE = 1e-6


class Field(Struct, frozen=True):
    """How often the two records of one person agree, and how two strangers' are close."""

    same: float
    close: float
    nearly: float
    """u of ``close``: how often the values of two people are that similar."""
    rarest: float
    """The least u of ``same``: however rare a value is, two people may share it."""


FIELDS = {
    "given": Field(0.70, 0.20, 0.020, 0.0005),
    "family": Field(0.75, 0.18, 0.010, 0.0003),
    "street": Field(0.70, 0.20, 0.010, 0.0005),
    "number": Field(0.80, 0.12, 0.100, 0.0100),
    "city": Field(0.75, 0.15, 0.010, 0.0010),
    "region": Field(0.90, 0.05, 0.050, 0.0500),
    "postcode": Field(0.80, 0.14, 0.010, 0.0005),
    "birthday": Field(0.80, 0.14, 0.003, 0.0001),
    "email": Field(0.60, 0.15, 0.0005, 0.00001),
    "phone": Field(0.60, 0.10, 0.0005, 0.00001),
}
_EDITED = frozenset({"number", "postcode", "birthday", "phone"})
_NAMES = ("given", "family")
_ADDRESS = frozenset({"street", "number", "city", "region", "postcode"})
ADDRESS_MOST = 12.0
"""Bits of a whole address: who shares a street mostly shares the city, so they do not add up."""
HOUSEHOLD = -15.0
"""Bits for another given name at one address, of the post, mail or telephone, unless the birthday
is the same: a family."""


class Frequencies:
    """How common each value is among the people compared."""

    def __init__(self, cards: Sequence[Card]) -> None:
        self._counts: dict[str, Counter[str]] = {
            name: Counter(value for card in cards if (value := getattr(card, name)))
            for name in FIELDS
        }
        self._totals = {name: max(1, counts.total()) for name, counts in self._counts.items()}

    def chance(self, field: str, value: str) -> float:
        """How likely somebody has this value by chance: as often as others than these two do."""
        share = max(0, self._counts[field][value] - 2) / self._totals[field]
        return min(0.9, max(FIELDS[field].rarest, share))


def suggestions(cards: Sequence[Card], threshold: float = THRESHOLD) -> list[Suggestion]:
    """Pairs that score at least ``threshold``, the likeliest first; the order of cards is none."""
    frequencies = Frequencies(cards)
    by_id = {card.profile_id: card for card in cards}
    found = [
        scored
        for one, other in sorted(candidates(cards))
        if (scored := score(by_id[one], by_id[other], frequencies)).score >= threshold
    ]
    return sorted(found, key=lambda pair: (-pair.score, pair.one, pair.other))


def candidates(cards: Iterable[Card]) -> set[tuple[str, str]]:
    """Pairs that are worth comparing: those who share a key, smaller id first."""
    return {
        pair
        for members in _blocks(cards)
        if len(members) <= MOST_IN_BLOCK
        for pair in combinations(sorted({card.profile_id for card in members}), 2)
    }


def crowded(cards: Iterable[Card]) -> int:
    """How many people share something with so many that not all of those were compared."""
    blocks = (members for members in _blocks(cards) if len(members) > MOST_IN_BLOCK)
    return len({card.profile_id for members in blocks for card in members})


def _blocks(cards: Iterable[Card]) -> Iterator[list[Card]]:
    """Those who share a key; where that are too many, those who share one or two things more."""
    blocks = defaultdict[tuple[str, ...], list[Card]](list)
    for card in cards:
        for key in set(_keys(card)):
            blocks[key].append(card)
    for members in blocks.values():
        yield from _narrowed(members, _NARROWER, MOST_NARROWED)


def _narrowed(
    members: list[Card], by: tuple[tuple[str, ...], ...], times: int
) -> Iterator[list[Card]]:
    if len(members) > MOST_IN_BLOCK and times:
        for place, fields in enumerate(by):
            parts = defaultdict[tuple[str, ...], list[Card]](list)
            for card in members:
                shared = tuple(getattr(card, name) for name in fields)
                if all(shared):
                    parts[shared].append(card)
            for part in parts.values():
                if len(part) < len(members):
                    yield from _narrowed(part, by[place + 1 :], times - 1)
    yield members


def score(one: Card, other: Card, frequencies: Frequencies) -> Suggestion:
    """What speaks for and against the two being one person."""
    evidence = _names(one, other, frequencies)
    for name in FIELDS:
        if name not in _NAMES:
            evidence += _compared(name, getattr(one, name), getattr(other, name), frequencies)
    evidence += _related(evidence)
    total = round(sum(agreement.bits for agreement in evidence), 3)
    return Suggestion(one.profile_id, other.profile_id, total, tuple(evidence))


def _related(evidence: Sequence[Agreement]) -> list[Agreement]:
    """What fields say less of together than each by itself."""
    levels = {agreement.field: agreement.level for agreement in evidence}
    address = sum(agreement.bits for agreement in evidence if agreement.field in _ADDRESS)
    related = []
    if address > ADDRESS_MOST:
        related.append(Agreement("address", "one", round(ADDRESS_MOST - address, 3)))
    shared = address > 0 or "same" in (levels.get("email"), levels.get("phone"))
    if shared and levels.get("given") == "different" and levels.get("birthday") != "same":
        related.append(Agreement("household", "different", HOUSEHOLD))
    return related


def _names(one: Card, other: Card, frequencies: Frequencies) -> list[Agreement]:
    """Given and family name, also where one record has them the other way round."""
    straight = [
        *_compared("given", one.given, other.given, frequencies),
        *_compared("family", one.family, other.family, frequencies),
    ]
    crossed = [
        *_compared("given", one.given, other.family, frequencies),
        *_compared("family", one.family, other.given, frequencies),
    ]
    swap = log2(0.05)  # of twenty people, one writes them so
    if sum(a.bits for a in crossed) + swap > sum(a.bits for a in straight) and crossed:
        return [*crossed, Agreement("name", "swapped", round(swap, 3))]
    return straight


def _compared(name: str, one: str, other: str, frequencies: Frequencies) -> Iterator[Agreement]:
    """One field; nothing where either value is unknown: that says nothing."""
    if not one or not other or (name in _NAMES and _initial(one, other)):
        return
    field = FIELDS[name]
    if one == other:
        level, chance, often = "same", frequencies.chance(name, one), field.same
    elif _close(name, one, other):
        level, chance, often = "close", field.nearly, field.close
    else:
        level, chance, often = "different", 1 - field.nearly, 1 - field.same - field.close
    yield Agreement(name, level, round(log2(often / max(chance, _LEAST_CHANCE)), 3))


def _initial(one: str, other: str) -> bool:
    """Whether one of them is but the first letter of the other."""
    return one != other and min(len(one), len(other)) == 1 and one[0] == other[0]


def _close(name: str, one: str, other: str) -> bool:
    if name in _EDITED:
        return OSA.distance(one, other, score_cutoff=1) <= 1
    return JaroWinkler.similarity(one, other) >= 0.88


def _keys(card: Card) -> Iterator[tuple[str, ...]]:
    """What two records of one person are likely to have in common, one way or another."""
    names = sorted(part for part in (card.given, card.family) if part)
    if card.email:
        yield ("email", card.email)
    if card.phone:
        yield ("phone", card.phone)
    if card.birthday:
        yield ("birthday", card.birthday)
    if len(names) == 2:
        yield ("names", *(part[:4] for part in names))
    for part in names:
        if card.postcode:
            yield ("name and postcode", part[:3], card.postcode)
        if card.city:
            yield ("name and city", part[:3], card.city[:5])
        if card.birthday:
            yield ("name and year", part[:4], card.birthday[:4])
    if card.street and card.number:
        yield ("house", card.street[:6], card.number)
    if card.street and card.postcode:
        yield ("street", card.street[:6], card.postcode)

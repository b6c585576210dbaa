"""Computed traits against a slow and simple judge, which sees all events at once."""

from collections import Counter
from collections.abc import Callable
from decimal import ROUND_HALF_EVEN, Decimal
from hashlib import blake2b
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from schemas.messages import ComputedTrait, Interaction
from services.profile.build.model import State
from services.profile.build.rules.computed import Traits
from services.profile.build.rules.fold import fold
from tests.people import START, at, did
from tests.properties.test_fold import bounded
from tests.tried import tried

AGGREGATES = [
    "sum", "average", "min", "max", "first", "last", "most_frequent", "unique_list",
    "unique_count",
]  # fmt: skip
# By how it is written in JSON, what it means: the canonical text, and the number, if it is one.
MEANINGS: dict[str, tuple[str | None, str | None]] = {
    '"tea"': ('"tea"', None),
    '" tea "': ('"tea"', None),
    '"7"': ('"7"', "7"),
    "7.00": ("7", "7"),
    "-0.5": ("-0.5", "-0.5"),
    "0.1234565": ("0.123456", "0.123456"),
    "true": ("true", None),
    "null": (None, None),
    "{}": (None, None),
    '""': (None, None),
}
_decode = msgspec.json.Decoder(float_hook=Decimal).decode
values = st.lists(st.sampled_from(sorted(MEANINGS)), max_size=3)
moments = st.integers(0, 20).map(lambda step: step / 2)
bought = st.tuples(moments, values, st.sampled_from(["USD", "EUR"]))


@st.composite
def cases(draw: Any) -> tuple[ComputedTrait, list[tuple[float, list[str], str]], int]:
    trait = ComputedTrait(
        event="Bought",
        aggregate=draw(st.sampled_from(AGGREGATES)),
        property=draw(st.sampled_from(["price", "note"])),
        window_seconds=draw(st.sampled_from([None, 4])),
    )
    return trait, draw(st.lists(bought, max_size=12)), draw(st.sampled_from([2, 1_000]))


def said(trait: ComputedTrait, number: int, event: tuple[float, list[str], str]) -> Interaction:
    moment, found, currency = event
    properties = f'{{"{trait.property}": [{",".join(found)}], "currency": "{currency}"}}'
    return did("Bought", moment, id=f"m{number}", properties=msgspec.Raw(properties.encode()))


def published(trait: ComputedTrait, history: list[Interaction]) -> Any:
    state, traits = State(), Traits({"t": trait})
    for interaction in history:
        fold(state, interaction, traits, set())
    value = _decode(msgspec.json.encode(traits.values(state)["t"]))
    if "sums" in value:  # as exact, but with zeros at the end
        value["sums"] = {code: _shown(Decimal(text)) for code, text in value["sums"].items()}
    return value


@given(cases(), st.randoms(use_true_random=False))
@tried(500)
def test_a_computed_trait_is_what_the_judge_says_of_all_its_events(case, random):
    trait, events, most = case
    history = [said(trait, number, event) for number, event in enumerate(events)]
    random.shuffle(history)
    with bounded(most):
        assert published(trait, history) == judge(trait, events, most)


# -- the judge ----------------------------------------------------------------------------


def judge(trait: ComputedTrait, events: list[tuple[float, list[str], str]], most: int) -> Any:
    """The published value as JSON, computed from the whole list."""
    numeric = trait.aggregate in ("sum", "average", "min", "max")
    entries: list[tuple[int, int, str, Any]] = []  # (ms, number of the event, currency, value)
    for number, (moment, found, currency) in enumerate(events):
        means = [MEANINGS[text][numeric] for text in found]
        known = [text for text in means if text is not None]
        if trait.aggregate == "sum" and known:
            known = [str(sum(map(Decimal, known), Decimal(0)))]
        ms = round(at(moment).timestamp() * 1000)
        code = currency if trait.property == "price" else ""
        entries += [(ms, number, code, Decimal(text) if numeric else text) for text in known]
    if trait.window_seconds is not None:
        return _window(trait, events, entries, (numeric, most))
    if numeric:
        return _amounts(trait, entries)
    return WHOLE[trait.aggregate](entries, most)


def _window(trait: Any, events: Any, entries: Any, how: tuple[bool, int]) -> Any:
    numeric, most = how
    last = max((moment for moment, _, _ in events), default=0)
    start = round((START.timestamp() + last - trait.window_seconds) * 1000)
    codes = {number: code if numeric else "" for _, number, code, _ in entries}
    order = sorted((ms, codes[number], value) for ms, number, _, value in entries if ms > start)
    kept = order[max(len(order) - most, 0) :]
    answer: dict[str, Any] = {"times": [ms for ms, _, _ in kept]}
    answer["values" if numeric else "items"] = [_shown(value) for _, _, value in kept]
    if numeric and any(code for _, code, _ in kept):
        answer["currencies"] = [code for _, code, _ in kept]
    return answer | ({"capped": True} if len(order) > most else {})


def _amounts(trait: Any, entries: Any) -> Any:
    by_code: dict[str, list[Decimal]] = {}
    for _, _, code, value in entries:
        by_code.setdefault(code, []).append(value)
    act: dict[str, Callable[[list[Decimal]], Decimal]] = {
        "sum": lambda found: sum(found, Decimal(0)),
        "min": min,
        "max": max,
        "average": lambda found: (sum(found, Decimal(0)) / len(found)).quantize(
            Decimal("0.000001"), ROUND_HALF_EVEN
        ),
    }
    found = {code: _shown(act[trait.aggregate](some)) for code, some in by_code.items()}
    return {"sums" if trait.aggregate == "sum" else "amounts": found}


def _first(entries: Any, most: int) -> Any:
    ends = [(ms, f"m{number}", place, text) for place, (ms, number, _, text) in enumerate(entries)]
    if not ends:
        return {}
    ms, _, _, text = min(ends)
    return {"value": _shown(text), "at": _instant(ms)}


def _last(entries: Any, most: int) -> Any:
    ends = [(ms, f"m{number}", place, text) for place, (ms, number, _, text) in enumerate(entries)]
    if not ends:
        return {}
    ms, _, _, text = max(ends)
    return {"value": _shown(text), "at": _instant(ms)}


def _most_frequent(entries: Any, most: int) -> Any:
    counted = Counter(text for *_, text in entries)
    sample = sorted(counted, key=_digest)[:most]
    if not sample:
        return {"count": 0}
    best = sorted(sample, key=lambda text: (-counted[text], text))[0]
    answer = {"value": _shown(best), "count": counted[best]}
    return answer | ({"capped": True} if len(counted) > most else {})


def _unique_list(entries: Any, most: int) -> Any:
    latest = {text: max(ms for ms, *_, other in entries if other == text) for *_, text in entries}
    # Of values at the same instant the greater ones stay, and the smaller ones come first.
    kept = sorted(latest, key=lambda text: (latest[text], text))[max(len(latest) - most, 0) :]
    shown = sorted(kept, key=lambda text: (-latest[text], text))
    answer: dict[str, Any] = {"items": [_shown(text) for text in shown]}
    return answer | ({"capped": True} if len(latest) > most else {})


def _unique_count(entries: Any, most: int) -> Any:
    digests = sorted({_digest(text) for *_, text in entries})
    if len(digests) <= most:
        return {"count": len(digests)}
    estimate = (most - 1) * 2**64 // digests[most - 1]
    return {"count": max(estimate, most + 1), "capped": True}


WHOLE: dict[str, Callable[[Any, int], Any]] = {
    "first": _first,
    "last": _last,
    "most_frequent": _most_frequent,
    "unique_list": _unique_list,
    "unique_count": _unique_count,
}


def _digest(text: str) -> int:
    return int(blake2b(text.encode(), digest_size=8).hexdigest(), 16)


def _shown(value: Any) -> Any:
    """A value as the message's JSON has it: amounts are text, other numbers numbers."""
    if not isinstance(value, Decimal):
        return _decode(value)
    text = f"{value.quantize(Decimal('0.000001')):f}"
    whole, _, places = text.partition(".")
    return f"{whole}.{places[:2]}{places[2:].rstrip('0')}"


def _instant(ms: int) -> str:
    moment = at(ms / 1000 - START.timestamp())
    return msgspec.json.encode(moment).decode().strip('"')

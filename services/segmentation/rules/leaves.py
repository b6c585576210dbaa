"""Trait and fact conditions, compiled."""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

from msgspec import Struct

from schemas.messages import Money, Reason
from services.segmentation.model import SECOND, FactCondition, TraitCondition, micros
from services.segmentation.rules import wording
from services.segmentation.rules.moment import Moment, walk
from services.segmentation.rules.operators import COMPARE, Found, moment_of, test_of

Holds = Callable[[Moment], bool | None]
"""Whether a condition holds; None: it cannot be told yet."""
Flip = Callable[[Moment], int | None]
"""The earliest later instant at which time alone may change that; None: it never does."""


_OF_ALL = frozenset({"preferred_channel", "preferred_hour", "locale", "time_zone"})
_PERHAPS = _OF_ALL | {"days_between_orders", "favourite_category", "favourite_brand"}
"""Facts that somebody may lack; those not in ``_OF_ALL`` change with the orders."""


class Compiled(Struct, frozen=True, kw_only=True):
    """A condition, or a tree of them, ready to be asked."""

    holds: Holds
    flip: Flip | None = None
    """None: time alone never changes the answer."""
    explain: Callable[[Moment], list[Reason]]
    reads: frozenset[str]
    """What it depends on, in the words of ``ProfileChanged.changed``."""


def leaf(
    holds: Holds,
    actual: Callable[[Moment], Any],
    words: str,
    *,
    reads: frozenset[str],
    flip: Flip | None = None,
) -> Compiled:
    """A single condition, which explains itself by what it found."""

    def explain(moment: Moment) -> list[Reason]:
        answer = holds(moment)
        condition = words if answer is not None else f"{words} (not computed yet)"
        shown = wording.shown(actual(moment)) if answer is not None else None
        return [Reason(condition=condition, actual=shown, holds=bool(answer))]

    return Compiled(holds=holds, flip=flip, explain=explain, reads=reads)


def trait_leaf(condition: TraitCondition) -> Compiled:
    """A comparison with a trait of the person."""
    find = _trait_finder(condition.trait)
    words = wording.comparison(condition.trait, condition)
    head = condition.trait.partition(".")[0]
    reads = frozenset({f"traits.{condition.trait}", f"traits.{head}"})
    if condition.seconds is not None:
        return _ageing(condition, lambda moment: _instants(find(moment)), words, reads)
    test = test_of(condition.op, condition.value)
    return leaf(lambda moment: test(find(moment)), lambda m: _single(find(m)), words, reads=reads)


def fact_leaf(condition: FactCondition) -> Compiled:
    """A comparison with a fact that is known of everyone."""
    family, _, name = condition.fact.partition(".")
    words = wording.comparison(wording.fact(condition), condition)
    if name:
        return _named_leaf(condition, family, name.strip(), words)
    attribute = condition.fact
    if attribute in ("revenue", "revenue_gross"):
        reads = frozenset({attribute, "orders"})
        find = _money(attribute, condition.currency)
        return _number_leaf(condition, lambda m: next(iter(find(m)), Decimal(0)), words, reads)
    if attribute == "average_order_value":
        return _found_leaf(condition, _money(attribute, condition.currency), words)
    if attribute in _PERHAPS:
        return _found_leaf(condition, _single_fact(attribute), words)
    reads = frozenset({attribute, "orders"} if "order" in attribute else {attribute})
    if attribute.startswith(("first_", "last_")):
        return _instant_leaf(condition, attribute, words, reads)
    return _number_leaf(condition, lambda m: getattr(m.person, attribute), words, reads)


def _named_leaf(condition: FactCondition, family: str, name: str, words: str) -> Compiled:
    if family == "counters":
        event = name.lower()
        reads = frozenset({f"counters.{event}"})
        return _number_leaf(condition, lambda m: m.counters.get(event, 0), words, reads)
    if family == "consent":
        find, reads = _consent(name), frozenset({f"consent.{name}"})
    elif family == "devices":
        find, reads = _devices(name), frozenset({"devices"})
    else:
        find, reads = (lambda m: m.identifiers.get(name, [])), frozenset({"identifiers"})
    test = test_of(condition.op, condition.value)
    return leaf(lambda moment: test(find(moment)), lambda m: _single(find(m)), words, reads=reads)


def _found_leaf(condition: FactCondition, find: Callable[[Moment], Found], words: str) -> Compiled:
    """A fact that a person may lack; then only ``not_equals`` holds, as with a trait."""
    name = condition.fact
    reads = frozenset({name} if name in _OF_ALL else {name, "orders"})
    test = test_of(condition.op, condition.value)
    return leaf(lambda moment: test(find(moment)), lambda m: _single(find(m)), words, reads=reads)


def _number_leaf(
    condition: FactCondition,
    actual: Callable[[Moment], int | Decimal],
    words: str,
    reads: frozenset[str],
) -> Compiled:
    if condition.op == "in":
        choices = frozenset(condition.value)
        return leaf(lambda moment: actual(moment) in choices, actual, words, reads=reads)
    compare, limit = COMPARE[condition.op], condition.value
    return leaf(lambda moment: compare(actual(moment), limit), actual, words, reads=reads)


def _instant_leaf(
    condition: FactCondition, attribute: str, words: str, reads: frozenset[str]
) -> Compiled:
    def instants(moment: Moment) -> list[int]:
        at: datetime | None = getattr(moment.person, attribute)
        return [] if at is None else [micros(at)]

    def actual(moment: Moment) -> Any:
        return getattr(moment.person, attribute)

    if condition.seconds is not None:
        return _ageing(condition, instants, words, reads)
    if condition.op == "exists":
        wanted = condition.value is not False
        return leaf(lambda m: (actual(m) is not None) == wanted, actual, words, reads=reads)
    limit = moment_of(condition.value)
    assert limit is not None  # checked by the parser
    compare = COMPARE["lt" if condition.op == "before" else "gt"]

    def holds(moment: Moment) -> bool:
        return any(compare(at, limit) for at in instants(moment))

    return leaf(holds, actual, words, reads=reads)


def _ageing(
    condition: TraitCondition | FactCondition,
    instants: Callable[[Moment], list[int]],
    words: str,
    reads: frozenset[str],
) -> Compiled:
    """``older_than`` holds from ``at + seconds`` on, ``newer_than`` before that."""
    assert condition.seconds is not None
    span = condition.seconds * SECOND
    older = condition.op == "older_than"

    def holds(moment: Moment) -> bool:
        start = moment.now - span
        return any((at <= start) == older for at in instants(moment))

    def flip(moment: Moment) -> int | None:
        now = moment.now
        return min((at + span for at in instants(moment) if at + span > now), default=None)

    def actual(moment: Moment) -> Any:
        return wording.moments(instants(moment))

    return leaf(holds, actual, words, reads=reads, flip=flip)


def _trait_finder(name: str) -> Callable[[Moment], Found]:
    path = tuple(name.split("."))

    def find(moment: Moment) -> Found:
        traits = moment.person.traits
        if name in traits:
            value = traits[name]
            if value is None:
                return []
            return walk(value, ()) if isinstance(value, list) else [value]
        return walk(traits, path) if len(path) > 1 else []

    return find


def _consent(channel: str) -> Callable[[Moment], Found]:
    def find(moment: Moment) -> Found:
        said = moment.person.consent.get(channel)
        return [] if said is None else [said.state]

    return find


def _devices(part: str) -> Callable[[Moment], Found]:
    return lambda moment: [said for one in moment.person.devices if (said := getattr(one, part))]


def _money(attribute: str, currency: str | None) -> Callable[[Moment], Found]:
    def amounts(moment: Moment) -> Found:
        sums: list[Money] = getattr(moment.person, attribute)
        return [money.amount for money in sums if money.currency == currency]

    return amounts


def _single_fact(attribute: str) -> Callable[[Moment], Found]:
    def find(moment: Moment) -> Found:
        value = getattr(moment.person, attribute)
        return [] if value is None else [value]

    return find


def _instants(found: Found) -> list[int]:
    return [at for item in found if (at := moment_of(item)) is not None]


def _single(found: Found) -> Any:
    return (found[0] if found else None) if len(found) < 2 else found

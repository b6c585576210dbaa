"""What a profile held before a change: the other half of ``ProfileChanged.changed``.

The fold overwrites what it changes, so the parts that are told of are kept aside first: as
references where the fold replaces what it changes (writes, sets of identifiers), packed
where it changes it in place (consent), and as they are told where only some interactions
change them (orders, carts and other lists, computed traits). A rebuild leaves the old state as
it was.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Raw

from schemas.messages import Interaction, Money
from services.profile.build.kept import Kept
from services.profile.build.model import Computed, ConsentState, State, Write
from services.profile.build.parts import Bought, Parts
from services.profile.build.rules.computed import Traits
from services.profile.build.rules.consent import Policy
from services.profile.build.rules.devices import devices_of
from services.profile.build.rules.edits import shown
from services.profile.build.rules.fold import PASSIVE
from services.profile.build.rules.orders import ORDER_EVENTS
from services.profile.build.rules.parts import bought, commerce
from services.profile.build.rules.values import milliseconds, utc
from services.profile.build.rules.view import consent_of
from services.profile.commerce.model import Worth, has_any
from services.profile.commerce.rules.fold import EVENTS

TOLD_BYTES = 16_000
"""Of old values of traits, orders, lists and computed traits in one change; what is beyond is
left out."""
TOLD_ORDERS = 40
"""Who has more is not told of with the orders of before."""
TOLD_ENTRIES = 100
"""The same of the entries of a computed trait."""
TOLD_NAMES = 200
"""Old values in one change, at most."""

_NO_LIST = b"[]"
_NOTHING = Bought()
_LISTS = frozenset({"carts", "wishlists", "subscriptions", "conversations"})
_HABITS = frozenset({"preferred_hour", "preferred_channel", "locale", "time_zone"})
_FAVOURITES = ("favourite_category", "favourite_brand")
_PACKED = _LISTS | {"orders", "devices", "computed"}
_MOVING = ORDER_EVENTS | EVENTS
"""Events that may change orders or lists."""
_json = msgspec.json.Encoder(order="deterministic").encode
_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(dict[str, ConsentState]).decode


class Earlier:
    """A profile as it was when a turn took it up; cheap, for every profile of every turn."""

    __slots__ = (
        "bought",
        "computed",
        "consent",
        "counters",
        "devices",
        "first_seen",
        "habits",
        "identifiers",
        "kept",
        "last_seen",
        "lists",
        "members",
        "orders",
        "renewed",
        "traits",
        "whole",
        "worth",
    )

    def __init__(self, kept: Kept) -> None:
        state = kept.state
        self.first_seen: datetime | None = state.first_seen
        self.last_seen: datetime | None = state.last_seen
        self.counters: dict[str, int] = state.counters.copy()
        self.traits: dict[str, Write] = state.traits.copy()
        self.consent = _pack(state.consent) if state.consent else b""
        self.identifiers: dict[str, set[str]] = state.identifiers.copy()
        self.members: list[str] = kept.members
        self.worth = kept.worth
        habits = state.habits
        self.habits = (
            habits.hours.first or habits.utc_hours.first,
            habits.responses.first,
            habits.locale,
            habits.time_zone,
            habits.categories.first,
            habits.brands.first,
        )
        """What is published of them; of favourites, what holds for who has bought nothing."""
        self.devices: dict[str, datetime] = habits.devices.copy()
        self.bought: Bought | None = None if state.orders else _NOTHING
        """What their orders told, where a turn may change them."""
        self.kept = kept
        """Changed meanwhile, but for what the turn does not speak of."""
        self.orders = b"" if state.orders else _NO_LIST
        """As told, if a turn may change them in place and they are not too many."""
        self.lists: Mapping[str, Any] = {}
        """The same of carts and other lists, by their names, those that there are."""
        self.computed: dict[str, bytes] = {}
        """The same, by key."""
        self.renewed: Collection[str] = ()
        """Keys of computed traits that were something else, or nothing, before."""
        self.whole: State | None = None
        """The state before, where nothing has changed it since."""

    def foresee(self, kept: Kept, said: Sequence[Interaction], traits: Traits) -> None:
        """Keep aside what folding ``said`` may change in place: call it before."""
        state = kept.state
        for one in said:
            if one.name in _MOVING:
                if state.orders:
                    self.orders = _orders(state, kept.parts)
                    self.bought = kept.parts.bought if self.orders else None
                if has_any(state.commerce):
                    self.lists = commerce(state, kept.parts).copy()
                break
        if not traits.keys:
            return
        names = {one.name for one in said}
        concerned = [about for name in names if (about := traits.concerned(name)) is not None]
        keys = {trait.key for about in concerned for trait in about.traits}
        if state.computed and traits.windows:
            seen = [one.at for one in said if one.name not in PASSIVE]
            if seen:
                keys.update(_leaving(state, traits.windows, milliseconds(utc(max(seen)))))
        for key in keys:
            self.computed[key] = _computed(state, key, traits)

    def addressed(self) -> State:
        """Of the state, consent and what it depends on."""
        held = _unpack(self.consent) if self.consent else {}
        return State(consent=held, traits=self.traits, identifiers=self.identifiers)


def told(
    earlier: Earlier, changed: Collection[str], policy: Policy, traits: Traits
) -> dict[str, Any]:
    """The old values of the ``changed`` names, each as the published profile had it.

    None: there was no value. Names whose old value is not kept aside, or too much to tell, are
    left out.
    """
    values: dict[str, Any] = {}
    room = TOLD_BYTES
    for name in changed:
        section, _, key = name.partition(".")
        if section == "counters":
            values[name] = earlier.counters.get(key)
        elif section == "last_seen":
            values[name] = earlier.last_seen
        elif section == "traits":
            old = shown(earlier.traits.get(key))
            room -= len(old or b"")
            if room >= 0:
                values[name] = None if old is None else Raw(old)
        elif section == "consent":
            values[name] = consent_of(earlier.addressed(), policy).get(key)
        elif section == "identifiers":
            values[name] = sorted(earlier.identifiers.get(key, ())) or None
        elif section == "first_seen":
            values[name] = earlier.first_seen
        elif section == "merged_from":
            values[name] = earlier.members
        elif section in _HABITS:
            values[name] = _habit(earlier, section)
        elif section == "revenue_base":
            values[name] = _worth(earlier.worth)
        elif section in _FAVOURITES:
            orders = _bought(earlier, changed)
            if orders is not None:
                values[name] = _favourite(earlier, orders, section)
        elif section in _PACKED:
            packed = _packed(earlier, name, traits)
            room -= len(packed)
            if packed and room >= 0:
                values[name] = None if packed == _NO_LIST else Raw(packed)
        if len(values) >= TOLD_NAMES:
            break
    return values


def _habit(earlier: Earlier, name: str) -> int | str | None:
    hour, channel, locale, zone, *_ = earlier.habits
    if name == "preferred_hour":
        return int(hour) if hour else None
    if name == "preferred_channel":
        return channel or None
    word = locale if name == "locale" else zone
    return None if word is None else word.value


def _bought(earlier: Earlier, changed: Collection[str]) -> Bought | None:
    """What the orders of before told; None where it is not kept aside."""
    kept = earlier.kept
    if earlier.whole is not None:
        return bought(earlier.whole, kept.made)
    if earlier.bought is None and "orders" not in changed:
        return bought(kept.state, kept.parts)
    return earlier.bought


def _favourite(earlier: Earlier, orders: Bought, name: str) -> str | None:
    *_, category, brand = earlier.habits
    if name == "favourite_category":
        return orders.category or category or None
    return orders.brand or brand or None


def _worth(worth: Worth | None) -> Money | None:
    if worth is None or worth.amount is None:
        return None
    return Money(worth.amount, worth.base)


def _packed(earlier: Earlier, name: str, traits: Traits) -> bytes:
    """Orders, a list or a computed trait, as it was told; empty where it is not kept aside."""
    if name == "devices":
        return _json(devices_of(earlier.devices))
    whole = earlier.whole
    if name == "orders":
        return earlier.orders if whole is None else _orders(whole, None)
    if name in _LISTS:
        lists = earlier.lists if whole is None else commerce(whole, None)
        return _json(lists.get(name, []))
    key = name.removeprefix("computed.")
    if key in earlier.renewed:
        return b""
    return earlier.computed.get(key, b"") if whole is None else _computed(whole, key, traits)


def _orders(state: State, parts: Parts | None) -> bytes:
    """As they were told last, if that is still known."""
    return _json(bought(state, parts).orders) if len(state.orders) <= TOLD_ORDERS else b""


def _computed(state: State, key: str, traits: Traits) -> bytes:
    kept = state.computed.get(key)
    if kept is not None and _entries(kept) > TOLD_ENTRIES:
        return b""
    return _json(traits.value(key, kept))


def _entries(kept: Computed) -> int:
    return max(len(kept.times), len(kept.tally) if kept.aggregate == "unique_list" else 0)


def _leaving(state: State, windows: Mapping[str, int], latest: int) -> Iterator[str]:
    """The keys of which something leaves its window at ``latest`` (ms)."""
    for key, kept in state.computed.items():
        window = windows.get(key)
        if window is None:
            continue
        start = latest - window
        if (kept.times and kept.times[0] <= start) or (
            kept.dropped is not None and kept.dropped <= start
        ):
            yield key

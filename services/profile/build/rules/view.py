"""From the kept state to what others read: the published profile, and what differs."""

from typing import Any, Literal

import msgspec
from msgspec import Raw, Struct

from schemas.messages import Consent, Identifier, Profile
from services.profile.build.kept import Kept
from services.profile.build.model import Habits, State
from services.profile.build.parts import Bought
from services.profile.build.rules import parts as costly
from services.profile.build.rules.computed import Traits
from services.profile.build.rules.consent import Policy, standing
from services.profile.build.rules.devices import devices_of
from services.profile.build.rules.edits import shown
from services.profile.build.rules.habits import preferred_hour
from services.profile.commerce.model import Commerce, has_any
from services.profile.consent.model import Word


def profile_of(
    profile_id: str,
    state: State,
    traits: Traits,
    policy: Policy,
    *,
    kept: Kept | None = None,
) -> Profile:
    """The profile as published; trait values are the JSON that the sender wrote.

    It shares parts with ``state``: encode it before the state goes on. With ``kept``, whose
    state it is, the parts that are there are taken as they are, and left there, encoded, where
    they are made.
    """
    habits = state.habits
    profile = Profile(
        profile_id=profile_id,
        identifiers=identifiers_of(state),
        first_seen=state.first_seen,
        last_seen=state.last_seen,
        interactions=state.interactions,
        counters=state.counters,
        favourite_category=habits.categories.first or None,
        favourite_brand=habits.brands.first or None,
        preferred_channel=habits.responses.first or None,
        preferred_hour=preferred_hour(habits),
        devices=devices_of(habits.devices),
        locale=None if habits.locale is None else habits.locale.value,
        time_zone=None if habits.time_zone is None else habits.time_zone.value,
    )
    if state.traits:
        profile.traits = _traits(state)
    if state.consent:
        profile.consent = consent_of(state, policy)
    if traits.keys:
        profile.computed = traits.values(state)
    if state.orders:
        _buy(profile, costly.bought(state, None if kept is None else kept.parts))
    if has_any(state.commerce):
        made = costly.commerce(state, None if kept is None else kept.parts)
        profile.carts, profile.wishlists = made["carts"], made["wishlists"]
        profile.subscriptions = made["subscriptions"]
        profile.conversations = made["conversations"]
    return profile


def _buy(profile: Profile, bought: Bought) -> None:
    """What was bought says more of what somebody likes than what was viewed."""
    profile.orders, profile.order_count = bought.orders, bought.count
    profile.revenue, profile.revenue_gross = bought.revenue, bought.gross
    profile.first_order_at, profile.last_order_at = bought.first_at, bought.last_at
    profile.average_order_value = bought.average
    profile.days_between_orders = bought.days_between
    profile.favourite_category = bought.category or profile.favourite_category
    profile.favourite_brand = bought.brand or profile.favourite_brand


def _traits(state: State) -> dict[str, Any]:
    return {
        name: Raw(value)
        for name, write in state.traits.items()
        if (value := shown(write) if write.edits else write.value) is not None
    }


_PUBLISHED: dict[Word, Literal["granted", "denied", "withdrawn"]] = {
    "granted": "granted",
    "pending": "denied",
    "unclear": "denied",
    "denied": "denied",
    "withdrawn": "withdrawn",
}
"""The word for readers that know three: what is no permission is a denial to them."""


def consent_of(state: State, policy: Policy) -> dict[str, Consent]:
    """What holds on each channel (marketing), and by ``channel/purpose`` for each other purpose."""
    published = {}
    for key in state.consent:
        said = standing(state, key, policy)
        if said.since is None:
            continue
        published[key] = Consent(
            state=_PUBLISHED[said.state],
            at=said.since,
            message_id=said.message_id,
            source=said.source,
            reason="" if said.reason == f"consent_{_PUBLISHED[said.state]}" else said.reason,
            by="" if said.by == "person" else said.by,
        )
    return published


def identifiers_of(state: State) -> list[Identifier]:
    """Every identifier of the person, sorted."""
    known: list[Identifier] = []
    for type_, values in state.identifiers.items():
        for value in values:
            known.append(Identifier(type_, value))
    if len(known) > 1:
        known.sort()
    return known


def differences(old: State, new: State, keys: tuple[str, ...]) -> set[str]:
    """What differs between two states, as names; ``keys`` are recomputed traits' keys."""
    changed = {"computed." + key for key in keys}
    if old == new:
        return changed  # As most are that are computed again.
    changed |= {
        name for name in ("first_seen", "last_seen") if getattr(old, name) != getattr(new, name)
    }
    if old.orders != new.orders:
        changed.add("orders")
        if old.commerce.carts:
            changed.add("carts")
    changed |= _of_commerce(old.commerce, new.commerce)
    for section in ("counters", "identifiers", "consent"):
        changed |= _differing(section, getattr(old, section), getattr(new, section))
    changed |= _differing("traits", _values(old), _values(new))
    before, after = _habits(old.habits), _habits(new.habits)
    changed.update(name for name in after if after[name] != before[name])
    return changed


def _habits(habits: Habits) -> dict[str, Any]:
    """What is published of habits; whether favourites show depends on the orders, too."""
    return {
        "favourite_category": habits.categories.first,
        "favourite_brand": habits.brands.first,
        "preferred_channel": habits.responses.first,
        "preferred_hour": preferred_hour(habits),
        "devices": habits.devices.keys(),
        "locale": None if habits.locale is None else habits.locale.value,
        "time_zone": None if habits.time_zone is None else habits.time_zone.value,
    }


def _of_commerce(old: Commerce, new: Commerce) -> set[str]:
    if old == new:
        return set()
    pairs = (
        ("carts", old.carts, new.carts),
        ("wishlists", old.wishes, new.wishes),
        ("subscriptions", old.subscriptions, new.subscriptions),
        ("conversations", old.conversations, new.conversations),
    )
    return {name for name, before, after in pairs if before != after}


def _values(state: State) -> dict[str, bytes | None]:
    return {name: shown(write) for name, write in state.traits.items()}


def _differing(section: str, old: dict[str, Any], new: dict[str, Any]) -> set[str]:
    names = old.keys() | new.keys()
    return {f"{section}.{name}" for name in names if old.get(name) != new.get(name)}


class Search(Struct, frozen=True):
    """By what a customer list finds a profile: lower case, empty where unknown."""

    email: str = ""
    user_id: str = ""
    name: str = ""


def search_of(state: State) -> Search:
    """The searchable fields: traits first, identifiers where there is no such trait."""
    if not state.traits:
        return Search(_first(state, "email"), _first(state, "user_id"))
    first, last = _text(state, "firstName"), _text(state, "lastName")
    return Search(
        email=_text(state, "email") or _first(state, "email"),
        user_id=_first(state, "user_id"),
        name=_text(state, "name") or f"{first} {last}".strip(),
    )


def _text(state: State, trait: str) -> str:
    write = state.traits.get(trait)
    if write is None or write.value is None or write.value[:1] != b'"':
        return ""
    return str(msgspec.json.decode(write.value)).strip().lower()[:200]


def _first(state: State, type_: str) -> str:
    known = state.identifiers.get(type_)
    return min(known).lower() if known else ""

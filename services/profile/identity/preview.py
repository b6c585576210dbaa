"""What a decision about identity would make of people; pure.

Everybody connected is folded twice, as they are and as they would be, by the same fold that
build uses: so what is shown is what will be.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct

from schemas.messages import Profile
from services.profile.build.model import State
from services.profile.build.rules.computed import Traits
from services.profile.build.rules.consent import Policy
from services.profile.build.rules.fold import fold
from services.profile.build.rules.handing import receive, whole
from services.profile.build.rules.view import profile_of
from services.profile.resolve.model import Decision, Shown
from services.profile.resolve.rearranging import Component
from services.profile.resolve.rules.interactions import rewritten


class Someone(Struct, frozen=True):
    """One person, as they are or as they would be."""

    profile: Profile
    former_ids: list[str]


class Tried(Struct, frozen=True):
    """Those whom a decision would change, before and after it."""

    before: list[Someone]
    after: list[Someone]
    moved: int
    """Interactions that would be another profile's."""


class Moving(Struct, frozen=True, kw_only=True):
    """A segment whose members would change."""

    segment: str
    name: str
    before: list[str]
    """Profile ids that are in it."""
    after: list[str]
    """Profile ids that would be."""
    until: datetime | None = None
    """From this instant on, time alone may make it otherwise."""


class Told(Struct, frozen=True):
    """What is known of segments. ``segments`` None: nothing; the note says why, or what is not."""

    segments: list[Moving] | None
    note: str = ""


def tried(component: Component, traits: Traits, policy: Policy) -> Tried:
    """Who would be who; ``traits`` and ``policy`` are those in force."""
    past, result = component.past, component.result
    standing = {
        id_: person.profile_ids for id_, person in past.people.items() if person.into is None
    }
    placed = dict(past.placed)
    rules = (traits, policy)
    before = _people(component, (placed, {}), standing, rules)
    for id_, shown in result.moved.items():
        placed[id_] = shown.profile_id
    after = _people(component, (placed, result.moved), result.standing, rules)
    had, has = _holders(standing), _holders(result.standing)
    moved = sum(had.get(past.placed[id_]) != has.get(placed[id_]) for id_ in placed)
    return Tried(
        [one for one in before if one not in after],
        [one for one in after if one not in before],
        moved,
    )


def _holders(standing: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """By each profile id, former ones included: the profile that answers to it."""
    return {id_: current for current, ids in standing.items() for id_ in ids}


def _people(
    component: Component,
    where: tuple[Mapping[str, str], Mapping[str, Shown]],
    standing: Mapping[str, Sequence[str]],
    rules: tuple[Traits, Policy],
) -> list[Someone]:
    """Each person that stands, with the history that would be theirs.

    ``where``: whose each interaction is, and those that show something else then.
    """
    holder = _holders(standing)
    states: dict[str, State] = {current: State() for current in standing}
    (placed, moved), (traits, policy) = where, rules
    for id_, said in component.stored.items():
        current = holder.get(placed[id_])
        if current is None:
            continue
        if id_ in moved:
            said = rewritten(said, moved[id_])
        has = None if said.handed_to is None else holder.get(said.handed_to)
        fold(states[current], whole(said) if has == current else said, traits, set())
        if has is not None and has != current:
            receive(states[has], said)
    return [
        Someone(
            profile_of(current, state, traits, policy),
            [id_ for id_ in standing[current] if id_ != current],
        )
        for current, state in sorted(states.items())
        if state.interactions
    ]


def preview(decision: Decision, found: Tried, told: Told) -> dict[str, Any]:
    """As ``shapes.Preview`` declares it."""
    before, after = len(found.before), len(found.after)
    total = sum(one.profile.interactions for one in found.before)
    summary = (
        f"{_counted(before, 'person', 'people')} {'becomes' if before == 1 else 'become'} {after}; "
        f"{found.moved} of {_counted(total, 'interaction')} "
        f"{'moves' if found.moved == 1 else 'move'}"
    )
    if told.segments is not None:
        count = len(told.segments)
        summary += f"; {_counted(count, 'segment')} {'changes' if count == 1 else 'change'}"
    return {
        "kind": decision.kind,
        "before": [_outlook(one) for one in found.before],
        "after": [_outlook(one) for one in found.after],
        "moved": found.moved,
        "summary": f"{summary}.",
        "segments": told.segments,
        "segments_note": told.note,
    }


def _counted(count: int, one: str, many: str = "") -> str:
    return f"{count} {one if count == 1 else many or one + 's'}"


def _outlook(one: Someone) -> dict[str, Any]:
    profile = one.profile
    return {
        "profile_id": profile.profile_id,
        "former_ids": one.former_ids,
        "identifiers": profile.identifiers,
        "interactions": profile.interactions,
        "traits": profile.traits,
        "order_count": profile.order_count,
        "revenue": profile.revenue,
        "first_seen": profile.first_seen,
        "last_seen": profile.last_seen,
    }

"""From what resolve has stored to what the identity routes answer; pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from schemas.messages import Identifier
from services.profile.build.model import State
from services.profile.build.rules.computed import Traits
from services.profile.build.rules.consent import OPEN
from services.profile.build.rules.fold import fold
from services.profile.build.rules.view import profile_of
from services.profile.resolve.model import Decision, Device, Person, Refusal
from services.profile.resolve.rearranging import Component

_MERGES = {
    "same_event": "One event named identifiers of both.",
    "alias": "An alias call said that both are one person.",
    "late_evidence": "What came late, or was decided, made its first message this person's.",
    "decision": "Somebody decided that both are one person.",
}
_REFUSALS = {
    "limit": "Together they would have too many identifiers of one type for one person.",
    "two_vouched": "A browser or an app cannot say that two known people are one.",
    "decision": "Somebody decided that they are two people.",
}


def identity(
    person: Person, devices: Mapping[Identifier, Device], decisions: Sequence[Decision]
) -> dict[str, Any]:
    """A person as ``shapes.Identity`` declares it."""
    return {
        "profile_id": person.profile_id,
        "former_ids": person.members,
        "identifiers": [
            {
                "type": held.type,
                "value": held.value,
                "first_seen": held.at,
                "message_id": held.message_id,
                "source": held.source,
                "vouched": not held.unvouched,
            }
            for held in person.identifiers
        ],
        "devices": [_device(each, device) for each, device in sorted(devices.items())],
        "merges": [
            {
                "profile_id": merge.from_,
                "into": merge.into,
                "at": merge.at,
                "message_id": merge.message_id,
                "reason": merge.rule,
                "evidence": merge.identifier,
                "explanation": _MERGES.get(merge.rule, ""),
                "actor": merge.actor,
                "note": merge.reason,
            }
            for merge in person.merges
        ],
        "refusals": [refusal_shown(refusal) for refusal in person.refusals],
        "splits": [
            {
                "decision_id": decision.decision_id,
                "at": decision.at,
                "actor": decision.actor,
                "reason": decision.reason,
                "sides": [decision.a, decision.b],
            }
            for decision in decisions
            if decision.kind == "split"
        ],
    }


def refusal_shown(refusal: Refusal) -> dict[str, Any]:
    """A refused link as ``shapes.Refusal`` declares it."""
    return {
        "identifiers": refusal.identifiers,
        "kept": refusal.accepted,
        "reason": refusal.because,
        "explanation": _REFUSALS.get(refusal.because, ""),
        "at": refusal.at,
        "message_id": refusal.message_id,
        "source": refusal.source,
    }


def _device(each: Identifier, device: Device) -> dict[str, Any]:
    last = device.marks[-1] if device.marks and not device.shared else None
    return {
        "type": each.type,
        "value": each.value,
        "since": last.at if last else None,
        "message_id": last.message_id if last else None,
        "shared": device.shared,
    }


def preview(decision: Decision, component: Component) -> dict[str, Any]:
    """What a decision would do, as ``shapes.Preview`` declares it."""
    past, result = component.past, component.result
    before = {id_: person.profile_ids for id_, person in past.people.items() if person.into is None}
    placed = dict(past.placed)
    sides = [_outlooks(component, placed, before)]
    for id_, (profile_id, _, _) in result.moved.items():
        placed[id_] = profile_id
    sides.append(_outlooks(component, placed, result.standing))
    shown = [[each for each in side if each not in other] for side, other in _both(sides)]
    moved = sum(past.placed[id_] != placed[id_] for id_ in placed)
    summary = (
        f"{_people(len(shown[0]))} become {len(shown[1])}; "
        f"{moved} of {sum(each['interactions'] for each in shown[0])} interactions move."
    )
    return {
        "kind": decision.kind,
        "before": shown[0],
        "after": shown[1],
        "moved": moved,
        "summary": summary,
    }


def _both(sides: list[list[dict[str, Any]]]) -> list[tuple[Any, Any]]:
    return [(sides[0], sides[1]), (sides[1], sides[0])]


def _people(count: int) -> str:
    return "1 person" if count == 1 else f"{count} people"


def _outlooks(
    component: Component, placed: Mapping[str, str], standing: Mapping[str, Sequence[str]]
) -> list[dict[str, Any]]:
    """Each person that stands, with the history that would be theirs."""
    holder = {id_: current for current, ids in standing.items() for id_ in ids}
    states: dict[str, State] = {current: State() for current in standing}
    nothing = Traits({})
    moved = component.result.moved
    for id_, said in component.stored.items():
        current = holder.get(placed[id_])
        if current is None:
            continue
        if id_ in moved and placed[id_] == moved[id_][0] and said.type != "message":
            said = replace(said, identifiers=moved[id_][1])
        fold(states[current], said, nothing, set())
    found = []
    for current, state in sorted(states.items()):
        if not state.interactions:
            continue
        profile = profile_of(current, state, nothing, OPEN)
        found.append(
            {
                "profile_id": current,
                "former_ids": [id_ for id_ in standing[current] if id_ != current],
                "identifiers": profile.identifiers,
                "interactions": profile.interactions,
                "traits": profile.traits,
                "order_count": profile.order_count,
                "revenue": profile.revenue,
                "first_seen": profile.first_seen,
                "last_seen": profile.last_seen,
            }
        )
    return found


def decided(decision: Decision, people: Sequence[str], *, applied: bool = True) -> dict[str, Any]:
    """A decision as ``shapes.Decided`` declares it."""
    return {
        "decision_id": decision.decision_id,
        "kind": decision.kind,
        "state": "applied" if applied else "pending",
        "at": decision.at,
        "actor": decision.actor,
        "reason": decision.reason,
        "profiles": people,
    }

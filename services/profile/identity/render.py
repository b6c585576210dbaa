"""From what resolve has stored to what the identity routes answer; pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from schemas.messages import Identifier
from services.profile.resolve.model import Decision, Device, Person, Refusal

_MERGES = {
    "same_event": "One event named identifiers of both.",
    "alias": "An alias call said that both are one person.",
    "late_evidence": "What came late, or was decided, made its first message this person's.",
    "decision": "Somebody decided that both are one person.",
}
_REFUSALS = {
    "limit": "Together they would have too many identifiers of one type for one person.",
    "two_vouched": "A page, an app or a chat cannot say that two known people are one.",
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

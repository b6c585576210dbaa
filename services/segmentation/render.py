"""From what is stored of a segment to what the routes answer; pure."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from schemas.topics import PROFILE_PARTITIONS
from services.segmentation import shapes
from services.segmentation.definitions import Stored
from services.segmentation.model import Outlook, instant
from services.segmentation.rules.computed import behaviours_of
from services.segmentation.rules.wording import behaviour

State = Literal["waiting", "evaluating", "ready"]


def state_of(
    key: str, version: int, outlooks: Sequence[Outlook], partitions: int = PROFILE_PARTITIONS
) -> tuple[State, list[str]]:
    """How far the workers are with a segment, and the computed traits that it waits for."""
    heard = [one.heard[key] for one in outlooks if key in one.heard]
    waits = {trait for one in heard if one.version == version for trait in one.waits}
    if waits:
        return "waiting", sorted(waits)
    everywhere = len([one for one in heard if one.version == version]) >= partitions
    done = everywhere and all(one.done for one in outlooks)
    return "ready" if done else "evaluating", []


def segment(
    stored: Stored, sizes: Mapping[str, int], outlooks: Sequence[Outlook]
) -> shapes.Segment:
    """A definition as it stands."""
    state, waits = state_of(stored.key, stored.version, outlooks)
    shown: dict[str, Any] = {
        **stored.fields(),
        "key": stored.key,
        "version": stored.version,
        "updated_at": instant(stored.at),
        "members": sizes.get(stored.key, 0),
        "state": state,
    }
    if waits:
        conditions = behaviours_of(stored.segment().rule)
        shown["waiting_for"] = [
            {"trait": trait, "condition": behaviour(conditions[trait])}
            for trait in waits
            if trait in conditions
        ]
    return shapes.Segment.model_validate(shown)

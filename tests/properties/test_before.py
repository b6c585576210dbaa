"""Whatever happens, in whatever turns: a change tells what the version before it said."""

from itertools import pairwise
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.messages import Interaction, Profile
from services.profile.build.inbox import CHANGED
from services.profile.build.model import decode
from services.profile.build.rules.consent import OPEN
from services.profile.build.rules.view import profile_of
from services.runtime.turn import Message, Turn
from tests.build_world import World, again
from tests.properties.test_fold import HISTORIES

TOLD = (
    "counters", "traits", "consent", "identifiers", "first_seen", "last_seen", "merged_from",
    "orders", "computed", "carts", "wishlists", "subscriptions", "conversations",
)  # fmt: skip


def value(change: dict[str, Any], name: str) -> Any:
    """What a published change says of one name of ``changed``; None where it says nothing."""
    section, _, key = name.partition(".")
    if section == "merged_from":
        return change.get(section, [])
    if section == "identifiers":
        held = change["profile"].get(section, [])
        return [one["value"] for one in held if one["type"] == key] or None
    told = change["profile"].get(section)
    return told if not key else (told or {}).get(key)


def announced(turn: Turn) -> list[dict[str, Any]]:
    """What a turn says on profile.changes."""
    said = [message for _, message in turn.messages if isinstance(message, Message)]
    return [msgspec.json.decode(one.value or b"") for one in said if one.type == CHANGED]


def check(changes: list[dict[str, Any]]) -> None:
    """Every change of a profile beside the one before it."""
    assert "before" not in changes[0]
    for earlier, change in pairwise(changes):
        expected = {
            name: value(earlier, name)
            for name in change["changed"]
            if name.partition(".")[0] in TOLD
        }
        assert change.get("before", {}) == expected


@settings(max_examples=100, deadline=None)
@given(HISTORIES, st.integers(1, 5), st.booleans())
async def test_before_is_what_the_version_before_said_and_the_rest_is_what_is_stored(
    said: list[Interaction], size: int, merge: bool
) -> None:
    world = World()
    await world.build.assigned([world.source])
    for aggregate in ("count", "sum", "most_frequent", "unique_list", "last"):
        body = {} if aggregate == "count" else {"property": "price"}
        for window in ({}, {"window_seconds": 3}):
            key = f"{aggregate}{len(window)}"
            world.declared.declare(
                key, event="Product Viewed", aggregate=aggregate, **body, **window
            )
    changes = []
    for start in range(0, len(said), size):
        changes += announced(await world.turn(world.says(*said[start : start + size])))
        # Parts of it were made in earlier turns.
        state = decode(world.stored.rows["p1"][0]).state
        whole = msgspec.json.encode(profile_of("p1", state, world.build.sweep.traits, OPEN))
        told = msgspec.convert(changes[-1]["profile"], Profile)
        assert msgspec.json.decode(whole, type=Profile) == told
    if merge and changes:
        absorbed = await world.turn(world.merges("B", into="p1"))
        changes += announced(await world.turn([again(absorbed.messages[1][1], world)]))
    if changes:
        check(changes)

"""Whatever happens, in whatever turns: a change tells what the version before it said."""

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from schemas.messages import Interaction, Profile
from services.profile.build.inbox import CHANGED
from services.profile.build.kept import decode
from services.profile.build.rules.consent import OPEN
from services.profile.build.rules.view import profile_of
from services.runtime.turn import Message, Turn
from tests.build_world import World, again
from tests.properties.test_fold import HISTORIES, bounded
from tests.told import check
from tests.tried import tried


def announced(turn: Turn) -> list[dict[str, Any]]:
    """What a turn says on profile.changes."""
    said = [message for _, message in turn.messages if isinstance(message, Message)]
    return [msgspec.json.decode(one.value or b"") for one in said if one.type == CHANGED]


@tried(100)
@given(HISTORIES, st.integers(1, 5), st.booleans(), st.sampled_from([1, 2, 1_000]))
async def test_before_is_what_the_version_before_said_and_the_rest_is_what_is_stored(
    said: list[Interaction], size: int, merge: bool, most: int
) -> None:
    with bounded(most):
        await play(said, size, merge)


async def play(said: list[Interaction], size: int, merge: bool) -> None:
    world = World(base="EUR")
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
        told.revenue_base, told.revenue_base_missing = None, []  # not of the state alone
        assert msgspec.json.decode(whole, type=Profile) == told
    if merge and changes:
        absorbed = await world.turn(world.merges("B", into="p1"))
        changes += announced(await world.turn([again(absorbed.messages[1][1], world)]))
    if changes:
        check(changes)

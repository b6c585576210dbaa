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
from services.profile.feed.model import Subscription, Told
from services.profile.feed.rules import wants
from services.runtime.turn import Message, Turn
from tests.build_world import World, again
from tests.people import at
from tests.properties.test_fold import HISTORIES

TOLD = (
    "counters", "traits", "consent", "identifiers", "first_seen", "last_seen", "merged_from",
    "orders", "computed", "carts", "wishlists", "subscriptions", "conversations",
    "preferred_hour", "preferred_channel", "locale", "time_zone", "revenue_base",
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


def hears(names: tuple[str, ...], field: str) -> bool:
    """Whether a webhook subscription to one field of the profile is told of a change."""
    subscription = Subscription(
        id="s", url="", types=(CHANGED,), changed=(field,), created_at=at(0), enabled_at=at(0),
        secrets=(),
    )  # fmt: skip
    said = Told(offset=0, profile_id="p1", type=CHANGED, id="", stamp=2**60, names=names, body=b"")
    return wants(subscription, said)


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
        was, now = earlier["profile"], change["profile"]
        differing = {name for name in was.keys() | now.keys() if was.get(name) != now.get(name)}
        differing.discard("devices")  # when one was last used is told with the rest
        unheard_of = {name for name in differing if not hears(tuple(change["changed"]), name)}
        assert unheard_of == set()


@settings(max_examples=100, deadline=None)
@given(HISTORIES, st.integers(1, 5), st.booleans())
async def test_before_is_what_the_version_before_said_and_the_rest_is_what_is_stored(
    said: list[Interaction], size: int, merge: bool
) -> None:
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

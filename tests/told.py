"""What the changes of a profile must say of each other, by docs/feed.md alone."""

from collections.abc import Collection, Sequence
from itertools import pairwise
from typing import Any

from services.profile.build.inbox import CHANGED
from services.profile.feed.model import Subscription, Told
from services.profile.feed.rules import wants
from tests.people import at

TOLD = (
    "counters", "traits", "consent", "identifiers", "first_seen", "last_seen", "merged_from",
    "orders", "computed", "carts", "wishlists", "subscriptions", "conversations",
    "preferred_hour", "preferred_channel", "locale", "time_zone", "revenue_base",
)  # fmt: skip
ALSO = ("favourite_category", "favourite_brand", "devices")
"""Told of where they are named: they differ with orders, and with every use, as well."""
_BY_KEY = ("counters", "traits", "consent", "computed")


def value(change: dict[str, Any], name: str) -> Any:
    """What a published change says of one name of ``changed``; None where it says nothing."""
    section, _, key = name.partition(".")
    if section == "merged_from":
        return change.get(section, [])
    profile = change.get("profile", {})
    if section == "identifiers":
        held = profile.get(section, [])
        return [one["value"] for one in held if one["type"] == key] or None
    told = profile.get(section)
    return told if not key else (told or {}).get(key)


def names_of(change: dict[str, Any]) -> set[str]:
    """Every name of which it says something."""
    profile = change.get("profile", {})
    names = {f"identifiers.{one['type']}" for one in profile.get("identifiers", [])}
    names |= {f"{section}.{key}" for section in _BY_KEY for key in profile.get(section, {})}
    return names | (set(TOLD) - {"identifiers", *_BY_KEY})


def hears(names: tuple[str, ...], field: str) -> bool:
    """Whether a webhook subscription to one field of the profile is told of a change."""
    subscription = Subscription(
        id="s", url="", types=(CHANGED,), changed=(field,), created_at=at(0), enabled_at=at(0),
        secrets=(),
    )  # fmt: skip
    said = Told(offset=0, profile_id="p1", type=CHANGED, id="", stamp=2**60, names=names, body=b"")
    return wants(subscription, said)


def check(changes: Sequence[dict[str, Any]], redefined: Collection[str] = ()) -> None:
    """Every change of one profile beside the one before it.

    ``redefined``: names of computed traits that may have come, gone or been changed between.
    """
    assert "before" not in changes[0]
    assert [one["version"] for one in changes] == list(range(1, len(changes) + 1))
    for earlier, change in pairwise(changes):
        if "merged_into" in change:
            assert "before" not in change
            assert change["changed"] == ["merged_into"]
            continue
        before, changed = change.get("before", {}), set(change["changed"])
        told = {name for name in changed if name.partition(".")[0] in (*TOLD, *ALSO)}
        untold = told - before.keys()
        assert before == {name: value(earlier, name) for name in told - untold}
        if "merged_into" in earlier:  # A redirect says nothing of computed traits.
            untold = {name for name in untold if not name.startswith("computed.")}
        assert untold <= set(redefined)
        names = names_of(earlier) | names_of(change)
        differs = {name for name in names if value(earlier, name) != value(change, name)}
        assert differs - set(redefined) <= changed
        if "merged_into" not in earlier:
            assert unheard_of(earlier["profile"], change) == set()


def unheard_of(was: dict[str, Any], change: dict[str, Any]) -> set[str]:
    """The fields that differ and that no subscription to them is told of."""
    now, changed = change["profile"], tuple(change["changed"])
    differing = {name for name in was.keys() | now.keys() if was.get(name) != now.get(name)}
    differing.discard("devices")  # when one was last used is told with the rest
    return {name for name in differing if not hears(changed, name)}

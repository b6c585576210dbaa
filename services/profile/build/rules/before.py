"""What a profile held before a change: the other half of ``ProfileChanged.changed``.

The fold overwrites what it changes, so the parts that are told of are kept aside first: as
references where the fold replaces what it changes (writes, sets of identifiers), packed
where it changes it in place (consent).
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Raw

from services.profile.build.model import ConsentState, Kept, State, Write
from services.profile.build.rules.consent import Policy
from services.profile.build.rules.edits import shown
from services.profile.build.rules.view import consent_of

TOLD_BYTES = 16_000
"""Of old trait values in one change; what is beyond is left out."""
TOLD_NAMES = 200
"""Old values in one change, at most."""

_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(dict[str, ConsentState]).decode


class Earlier:
    """A profile as it was when a turn took it up; cheap, for every profile of every turn."""

    __slots__ = (
        "consent",
        "counters",
        "first_seen",
        "identifiers",
        "last_seen",
        "members",
        "traits",
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


def told(earlier: Earlier, changed: Iterable[str], policy: Policy) -> dict[str, Any]:
    """The old values of the ``changed`` names, each as the published profile had it.

    None: there was no value. Names whose old value is not kept aside (``orders``,
    ``computed.*``, other lists), or too much to tell, are left out.
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
            held = _unpack(earlier.consent) if earlier.consent else {}
            values[name] = consent_of(State(consent=held), policy).get(key)
        elif section == "identifiers":
            values[name] = sorted(earlier.identifiers.get(key, ())) or None
        elif section == "first_seen":
            values[name] = earlier.first_seen
        elif section == "merged_from":
            values[name] = earlier.members
        if len(values) >= TOLD_NAMES:
            break
    return values

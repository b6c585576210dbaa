"""A profile as a document: what of it is read, and what of one in an older layout.

The state stands under the name of its layout (``b``, ``b2``, ``b3``...), so no version reads, or
writes over, what it does not understand. Of a document that has no state in our layout we know the
version, where it went and whether it was rearranged: whoever comes upon it computes it again from
its interactions, and a sweep comes upon all, since the layout is in each fingerprint. One that is
then too large to be stored says in which layout (``l``), so that nobody waits for it.
"""

from collections.abc import Mapping
from typing import Any

from services.profile.build.kept import LAYOUT, Kept, decode, unread


def _name(layout: int) -> str:
    return "b" if layout == 1 else f"b{layout}"


STATE = _name(LAYOUT)
"""The field that holds the encoded ``Kept``."""
OLDER = tuple(_name(layout) for layout in range(1, LAYOUT))
"""The fields that go when a profile is stored."""


def projection() -> dict[str, int]:
    """What ``kept_of`` needs of a document."""
    return {STATE: 1, "v": 1, "i": 1, "x": 1, "l": 1}


def kept_of(document: Mapping[str, Any]) -> Kept:
    """What is kept of a profile; ``Kept.unread`` where that is in another layout."""
    stored = document.get(STATE)
    if stored is not None:
        return decode(stored)
    left = document.get("l") == STATE
    into = document.get("i")
    return unread(document["v"], into, rearranged="x" in document, too_large=left)


def readable() -> dict[str, Any]:
    """The query for documents in our layout."""
    return {STATE: {"$exists": True}}

"""Who absorbs others takes in their history alone, where that gives what the history of all gives.

A fold depends on no order, so it does, unless an order was handed on between two of them: that
is no such thing any more, and what is read of either tells. What the state covers then differs by
former profile id.
"""

from collections.abc import Sequence

import msgspec

from services.profile.build.inbox import Work
from services.profile.build.kept import Kept, decode, encode

MOST_JOINED = 2
"""Former profile ids with a vector of their own: each is a kilobyte or two of every later write."""

encode_vector = msgspec.msgpack.Encoder(order="deterministic").encode
"""A vector as it is kept of one who joined: nearly nobody ever asks for it."""
decode_vector = msgspec.msgpack.Decoder(dict[str, int]).decode
"""The inverse of ``encode_vector``."""


def joins(work: Work, old: Kept, fingerprint: str) -> bool:
    """Whether somebody has absorbed others, and is else as they were."""
    if not work.absorbed or work.identity:
        return False
    if any(merge.absorbed in old.members for merge in work.absorbed):
        return False  # It was read before it was closed, and what came between was not.
    return old.fingerprint == fingerprint


def gained_by(old: Kept, members: Sequence[str]) -> list[str] | None:
    """The former profile ids, of all that are ``members`` now, that ``old`` has yet to take in.

    None where all must be read, or there would be too many vectors.
    """
    gained = [one for one in members if one not in old.members]
    return gained if len(old.joined) + len(gained) <= MOST_JOINED else None


def joined(old: Kept, members: list[str], vectors: dict[str, bytes]) -> Kept:
    """A copy of ``old`` that is to take in those of ``vectors``: what is read of each, encoded."""
    copy = decode(encode(old))
    return msgspec.structs.replace(copy, members=members, joined={**copy.joined, **vectors})

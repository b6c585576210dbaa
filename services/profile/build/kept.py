"""What is stored of one profile id: the state of a person, or where it went.

One binary value, MessagePack with sorted dictionaries: two are equal exactly when their bytes are.
"""

import msgspec
from msgspec import Struct, field

from services.profile.build.model import State
from services.profile.build.parts import Parts
from services.profile.commerce.model import Worth

LAYOUT = 1
"""Of ``Kept``: raised when what is stored would be misread, and is to be computed again."""


class Kept(Struct, array_like=True, dict=True):
    """What is stored of one profile id: its state, or where it went."""

    version: int = 0
    into: str | None = None
    """The profile that absorbed this one; then the state is empty."""
    members: list[str] = field(default_factory=list)
    """Every former profile id of this person, sorted."""
    fingerprint: str = ""
    """Of the computed traits that the state was computed with."""
    vector: dict[str, int] = field(default_factory=dict)
    """After a rebuild: origin -> the highest seq that the state already includes."""
    state: State = field(default_factory=State)
    rearranged: bool = False
    """It once had other interactions, or was another's: what comes late may not be its own."""
    worth: Worth | None = None
    """What the orders are worth in the base currency, as announced; None without any."""
    joined: dict[str, bytes] = field(default_factory=dict)
    """Former profile id -> what ``vector`` would be of it, encoded (``joining.encode_vector``): of
    those that were absorbed since, whose history was read and not that of all."""

    @property
    def unread(self) -> bool:
        """What is stored is in another layout: nothing but the version is known; not stored."""
        return "unread" in self.__dict__

    @property
    def too_large(self) -> bool:
        """It is ``unread``, and for good: it was computed again, and is too large to be stored."""
        return "too_large" in self.__dict__

    @property
    def parts(self) -> Parts:
        """What of the published profile need not be made anew; not stored."""
        parts = self.made
        if parts is None:
            parts = self.__dict__["parts"] = Parts()
        return parts

    @property
    def made(self) -> Parts | None:
        """``parts``, if anything was kept there."""
        return self.__dict__.get("parts")


def unread(version: int, into: str | None, *, rearranged: bool, too_large: bool = False) -> Kept:
    """What is known of a profile that is stored in another layout."""
    kept = Kept(version=version, into=into, rearranged=rearranged)
    if into is None:  # Of where one went there is no more to know.
        kept.__dict__["unread"] = True
        if too_large:
            kept.__dict__["too_large"] = True
    return kept


_encoder = msgspec.msgpack.Encoder(order="deterministic")
_decoder = msgspec.msgpack.Decoder(Kept)


def encode(kept: Kept) -> bytes:
    """What is stored."""
    return _encoder.encode(kept)


def decode(stored: bytes) -> Kept:
    """The inverse of ``encode``."""
    return _decoder.decode(stored)

"""A state between two turns: as it is stored, not as objects.

A turn touches a thousand states that lie all over the memory, each some dozens of small objects.
To decode one takes less time than to wait for the memory of all its parts, and it is a tenth of
the size.
"""

from msgspec import Struct

from services.profile.build.kept import Kept, decode
from services.profile.build.parts import Parts


class Packed(Struct, frozen=True, gc=False):
    """What is remembered of a profile that a worker owns."""

    stored: bytes
    """The encoded ``Kept``."""
    fingerprint: str
    """The same as in there: what must be looked at before it is known who is decoded."""
    parts: Parts | None
    """What of the published profile need not be made anew."""

    def opened(self) -> Kept:
        """The state, for one turn."""
        kept = decode(self.stored)
        if self.parts is not None:
            kept.__dict__["parts"] = self.parts
        return kept


def packed(kept: Kept, stored: bytes) -> Packed:
    """``kept``, which was encoded as ``stored``."""
    return Packed(stored, kept.fingerprint, kept.made)

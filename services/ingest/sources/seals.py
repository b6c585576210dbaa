"""Secrets of sources at rest, and how long a rotated one's previous value is still good.

It ends ``SECRET_OVERLAP`` after the newer one was sealed.
"""

from collections.abc import Sequence
from datetime import datetime

from services.ingest.sources.model import SECRET_OVERLAP
from services.runtime import seals
from services.runtime.seals import NoSecretKeys, sealed_at

__all__ = ["NoSecretKeys", "Seals", "overlapping", "sealed_at"]


class Seals(seals.Seals):
    """Seals with the first key, opens with any. ``ValueError`` when a key is none."""

    def current(self, sealed: Sequence[str], at: datetime) -> list[str]:
        """Of one secret's sealed values those still good at that instant, newest first."""
        fresh = [*sealed[:1], *overlapping(sealed, at)]
        return [value for text in fresh if (value := self.open(text)) is not None]


def overlapping(sealed: Sequence[str], at: datetime) -> list[str]:
    """The previous value of a secret, while it is still good."""
    if len(sealed) < 2 or at >= sealed_at(sealed[0]) + SECRET_OVERLAP:
        return []
    return [sealed[1]]

"""What somebody said of being written to: one statement, as the ledger shows it. Pure data."""

from datetime import datetime
from typing import Any, Literal

from msgspec import Struct

MARKETING = "marketing"
"""The purpose that is meant where none is named."""

Word = Literal["granted", "pending", "denied", "withdrawn", "unclear", "none"]
"""``pending``: granted by somebody who must prove it yet. ``unclear``: it was about this, and
nobody can tell what it says. ``none``: nothing was said."""

Said = tuple[str, Word]
"""A word, and what it is about: ``email`` (marketing by email), ``email/newsletter``."""


class Actor(Struct, frozen=True):
    """By whom a statement came to us."""

    kind: Literal["person", "agent", "import", "provider"]
    name: str = ""


class Statement(Struct, frozen=True, kw_only=True):
    """One line of the ledger: valid from ``at``, known to us from ``recorded_at``."""

    statement_id: str
    """The messageId of the event that says it."""
    channel: str
    purpose: str
    state: Word | Literal["confirmed"]
    at: datetime
    recorded_at: datetime
    by: Actor
    source: str
    event: str
    """The name of the event."""
    text_version: str = ""
    ip: str = ""
    page: str = ""
    """The address of the page that it was said on."""
    proof: Any = None


def key_of(channel: str, purpose: str = MARKETING) -> str:
    """What a word is about, as one text."""
    return channel if purpose == MARKETING else f"{channel}/{purpose}"


def parts_of(key: str) -> tuple[str, str]:
    """(channel, purpose): the inverse of ``key_of``."""
    channel, _, purpose = key.partition("/")
    return channel, purpose or MARKETING

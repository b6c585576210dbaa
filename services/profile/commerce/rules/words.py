"""Texts of events, bounded: what is kept of every person has a limit."""

from typing import Any

from services.profile.build.rules.values import text

LONGEST = 200
LONGEST_URL = 1_000


def short(value: Any, longest: int = LONGEST) -> str:
    """A text or whole number as a text of at most ``longest`` characters; empty if neither."""
    return (text(value) or "")[:longest]

"""People as they are compared with one another, and what the comparison found. Pure data."""

from msgspec import Struct


class Card(Struct, frozen=True, kw_only=True):
    """What is known of one person, each text folded to plain lower case; empty: unknown."""

    profile_id: str
    given: str = ""
    family: str = ""
    street: str = ""
    number: str = ""
    """Of the house."""
    city: str = ""
    region: str = ""
    postcode: str = ""
    birthday: str = ""
    """``YYYYMMDD``."""
    email: str = ""
    phone: str = ""
    """Digits alone."""


class Agreement(Struct, frozen=True):
    """How one thing about two people compares, and what that weighs."""

    field: str
    level: str
    """``same``, ``close`` or ``different``."""
    bits: float
    """log2 of how many times likelier this is of one person than of two."""


class Suggestion(Struct, frozen=True):
    """Two people who may be one; ``score`` is the sum of the evidence, in bits."""

    one: str
    other: str
    score: float
    evidence: tuple[Agreement, ...]

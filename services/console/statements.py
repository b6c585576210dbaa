"""What the profile API answers of consent: who said what, since when, and how it is known."""

from datetime import datetime
from typing import Any

from msgspec import Struct


class Actor(Struct, frozen=True):
    """``kind``: person, agent, import or provider."""

    kind: str
    name: str = ""


class Statement(Struct, frozen=True):
    """One line of the ledger."""

    statement_id: str
    channel: str
    purpose: str
    state: str
    at: datetime
    recorded_at: datetime
    by: Actor
    source: str = ""
    text_version: str = ""
    ip: str = ""
    page: str = ""
    proof: Any = None


class Recorded(Struct, frozen=True):
    """A statement is on its way."""

    statement_id: str

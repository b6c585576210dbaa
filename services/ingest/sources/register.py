"""Sources as the API changes them."""

from collections.abc import Callable
from datetime import datetime
from typing import TypeAlias

from schemas.validation import Fault
from services.ingest import register
from services.ingest.register import Busy, Sender, Shelf
from services.ingest.sources.directory import KIND
from services.ingest.sources.model import Source, remains

__all__ = ["Busy", "Change", "Register", "Stored"]

Stored: TypeAlias = register.Stored[Source]
"""A source as it is stored."""
Change: TypeAlias = Callable[[Source | None], Source | Fault | None]
"""From the source as it stands (None: there is none) to what it shall be (None: deleted)."""


class Register(register.Register[Source]):
    """Changes sources."""

    def __init__(self, shelf: Shelf[Source], sender: Sender, clock: Callable[[], datetime]) -> None:
        super().__init__(KIND, shelf, sender, clock, remains=remains)

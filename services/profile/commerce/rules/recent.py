"""Registers that a later word replaces, of which the most recent are kept.

Whatever order the words come in, the kept ones are the same: a register that was let go
comes back only by a word that is more recent, and that is then all there is to it.
"""

from datetime import datetime
from typing import Protocol, TypeVar


class Register(Protocol):
    """What has the place of its last word in time."""

    at: datetime
    message_id: str


R = TypeVar("R", bound=Register)


def is_later(told: Register, kept: Register | None) -> bool:
    """Whether ``told`` comes after what is kept, by (at, message id)."""
    return kept is None or (told.at, told.message_id) > (kept.at, kept.message_id)


def keep_latest(registers: dict[str, R], key: str, told: R, most: int) -> bool:
    """Put ``told`` under ``key`` unless a later word is there; False if nothing changed."""
    if not is_later(told, registers.get(key)):
        return False
    registers[key] = told
    if len(registers) > most:
        oldest = min(registers, key=lambda one: (registers[one].at, registers[one].message_id, one))
        del registers[oldest]
        return oldest != key
    return True

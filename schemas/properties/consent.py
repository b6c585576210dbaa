"""Our own event by which a person says whether she may be messaged."""

from typing import Any

from msgspec import Struct


class ConsentProperties(Struct, kw_only=True, omit_defaults=True):
    """Consent Updated: ``channel`` (or ``category``), and ``state`` or ``granted``."""

    channel: str | None = None
    """``email``, ``sms``, ``push``, ``webhook`` or ``web``."""
    purpose: Any = None
    """``marketing`` where none is named; ``newsletter``, ``analytics``..."""
    category: str | None = None
    """A consent category such as ``newsletter``, where no channel is named."""
    state: str | None = None
    """``granted``, ``pending`` (to be confirmed yet), ``denied`` or ``withdrawn``."""
    granted: bool | None = None
    """In place of ``state``; false is a withdrawal."""
    actor: Any = None
    """Who wrote it down for the person: a name, or ``{"kind": "agent", "name": ...}``."""
    text_version: Any = None
    """Of the words that were agreed to."""
    proof: Any = None
    """Where it can be looked up: a form, a call, a screenshot."""

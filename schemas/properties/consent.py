"""Our own event by which a person says whether she may be messaged."""

from msgspec import Struct


class ConsentProperties(Struct, kw_only=True, omit_defaults=True):
    """Consent Updated: ``channel`` (or ``category``), and ``state`` or ``granted``."""

    channel: str | None = None
    """``email``, ``sms`` or ``push``."""
    category: str | None = None
    """A consent category such as ``newsletter``, where no channel is named."""
    state: str | None = None
    """``granted``, ``denied`` or ``withdrawn``."""
    granted: bool | None = None
    """In place of ``state``; false is a withdrawal."""

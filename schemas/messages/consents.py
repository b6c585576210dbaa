"""Double opt-in: what somebody has to confirm before it counts, and that they did."""

from datetime import datetime

from msgspec import Struct, field


class Confirmation(Struct, kw_only=True, omit_defaults=True):
    """What the reader of a message confirmed by a link in it: a grant on its channel."""

    purpose: str
    statement_id: str
    """The messageId of the event that granted it."""
    statement_at: datetime
    """The time of that event: what was refused since is not confirmed."""
    ip: str = ""
    """The address that the confirmation came from."""


class ConsentRequested(Struct, kw_only=True, omit_defaults=True):
    """``regulars.consent.requested.v1`` on ``consent.requests``: please have this confirmed.

    May be said more than once of the same: whoever asks the person does so once for each
    (person, channel, purpose, ``since``).
    """

    profile_id: str
    channel: str
    purpose: str
    statement_id: str
    """The messageId of the event that grants it."""
    statement_at: datetime
    since: datetime | None = None
    """The last refusal before it, after which the person is asked anew."""
    merged_from: list[str] = field(default_factory=list)
    """Every former profile id of this person."""

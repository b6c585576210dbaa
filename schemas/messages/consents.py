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
    address: str = ""
    """``addresses.digest_of`` the mail address that the link was sent to: it confirms nothing
    for another one, and without it nothing at all."""


class ConsentRequested(Struct, kw_only=True, omit_defaults=True):
    """``regulars.consent.requested.v1`` on ``consent.requests``: please have this confirmed.

    May be said more than once of the same: whoever asks the person does so once for each
    (person, channel, purpose, ``since``, ``address``), and once more for each ``statement_id``
    that is ``explicit``, and for each ``again``.
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
    address: str = ""
    """``addresses.digest_of`` the mail address that is to be confirmed."""
    asked_at: datetime | None = None
    """Since when this address is to be confirmed; None: since the statement."""
    explicit: bool = False
    """The person has just asked for it in so many words (Consent Updated), perhaps again."""
    again: str = ""
    """Whoever was asked before wants another link, since theirs has ended: the hour of it."""

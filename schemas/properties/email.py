"""Email events (Segment's spec): what became of a mail that somebody else sent."""

from msgspec import Struct

from schemas.properties.kinds import Id


class EmailProperties(Struct, kw_only=True, omit_defaults=True):
    """Email Delivered, Email Opened, Email Marked as Spam.

    The recipient is named by the event's ids or ``context.traits.email``.
    """

    email_id: Id | None = None
    """Of a mail that Regulars sent, its message id."""
    machine: bool | None = None
    """True: a program opened it or followed the link, no person."""
    email_subject: str | None = None
    campaign_id: Id | None = None
    campaign_name: str | None = None


class BounceProperties(EmailProperties, kw_only=True, omit_defaults=True):
    """Email Bounced."""

    bounce_type: str | None = None
    """``soft``: the address itself is good."""
    reason: str | None = None
    """What the mail server said."""


class EmailLinkProperties(EmailProperties, kw_only=True, omit_defaults=True):
    """Email Link Clicked."""

    link_id: Id | None = None
    link_url: str | None = None


class SubscribeProperties(Struct, kw_only=True, omit_defaults=True):
    """Subscribed: she is on a list now. To write to her needs consent besides."""

    list_id: Id | None = None
    """One of the two is needed, or the event changes no subscription."""
    list_name: str | None = None
    channel: str | None = None
    """None means email."""


class UnsubscribeProperties(EmailProperties, kw_only=True, omit_defaults=True):
    """Unsubscribed: consent to mail is withdrawn, whichever list it names."""

    list_id: Id | None = None
    list_name: str | None = None

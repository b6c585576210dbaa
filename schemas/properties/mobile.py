"""Events of an app, and of the push messages to it (Segment's native mobile spec)."""

from msgspec import Struct

from schemas.properties.kinds import Id


class Referral(Struct, kw_only=True, omit_defaults=True):
    """The campaign behind a push message or an installation."""

    name: str | None = None
    source: str | None = None
    medium: str | None = None
    content: str | None = None
    ad_creative: str | None = None
    ad_group: str | None = None


class ApplicationProperties(Struct, kw_only=True, omit_defaults=True):
    """Application Installed, Backgrounded, Crashed, Uninstalled."""

    version: str | None = None
    build: Id | None = None


class ApplicationOpenedProperties(ApplicationProperties, kw_only=True, omit_defaults=True):
    """Application Opened."""

    from_background: bool | None = None
    url: str | None = None
    referring_application: str | None = None


class ApplicationUpdatedProperties(ApplicationProperties, kw_only=True, omit_defaults=True):
    """Application Updated."""

    previous_version: str | None = None
    previous_build: Id | None = None


class InstallProperties(Struct, kw_only=True, omit_defaults=True):
    """Install Attributed."""

    provider: str | None = None
    campaign: Referral | None = None


class PushProperties(Struct, kw_only=True, omit_defaults=True):
    """Push Notification Received, Push Notification Tapped, Push Notification Bounced."""

    action: str | None = None
    """What was tapped, where the message offers a choice."""
    campaign: Referral | None = None


class DeepLinkProperties(Struct, kw_only=True, omit_defaults=True):
    """Deep Link Opened, Deep Link Clicked."""

    provider: str | None = None
    url: str | None = None

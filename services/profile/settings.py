"""The settings of profile, beside those that every process shares."""

from pydantic import Field

from services.runtime.settings import Settings


class ProfileSettings(Settings):
    """Where profile answers, and how much it keeps at hand."""

    profile_port: int = 8200
    """The API's port."""
    profile_resolve_worker_port: int = 8210
    """The port of the resolve worker's metrics and health."""
    profile_build_worker_port: int = 8220
    """The port of the build worker's metrics and health."""
    profile_confirmed_consent: tuple[str, ...] = ()
    """Which grants count only once the person has confirmed them (double opt-in): what is granted,
    the source and from when: ``["email@website since 2026-03-01", "email/newsletter"]``."""
    profile_cached_profiles: int = Field(50_000, ge=1)
    """How many profiles a build worker keeps decoded in memory."""

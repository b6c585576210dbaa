"""The settings of profile, beside those that every process shares."""

from pydantic import Field, SecretStr, field_validator

from schemas.currencies import CODES
from services.runtime.settings import Settings


class ProfileSettings(Settings):
    """Where profile answers, and how much it keeps at hand."""

    profile_port: int = 8200
    """The API's port."""
    profile_resolve_worker_port: int = 8210
    """The port of the resolve worker's metrics and health."""
    profile_build_worker_port: int = 8220
    """The port of the build worker's metrics and health."""
    profile_feed_worker_port: int = 8230
    """The port of the metrics and health of the worker that sends webhooks."""
    profile_segmentation_url: str = "http://127.0.0.1:8300"
    """The segmentation API, asked by previews of merges and splits which segments would change."""
    profile_confirmed_consent: tuple[str, ...] = ()
    """Which grants count only once the person has confirmed them (double opt-in): what is granted,
    the source and from when: ``["email@website since 2026-03-01", "email/newsletter"]``."""
    base_currency: str | None = None
    """The ISO 4217 code in which revenue is summed up over currencies, by stored exchange rates
    (``regulars rates import``); none: it is shown per currency alone."""
    profile_cached_profiles: int = Field(100_000, ge=1)
    """How many profiles a build worker keeps in memory: about 2 kB each."""

    secret_keys: list[SecretStr] = Field(default_factory=list)
    """Fernet keys for the secrets of webhooks: the first seals, each opens. The same as ingest's
    will do. ``regulars sources secret-key`` makes one."""
    webhook_allowed: list[str] = Field(default_factory=list)
    """Hosts (``host`` or ``host:port``) that webhooks may reach although they are not public
    https addresses."""
    webhook_connections: int = Field(8, ge=1, le=100)
    """To each endpoint: so many webhooks, at most, a crash repeats."""
    webhook_seconds: float = Field(15.0, gt=0)
    """How long an endpoint may take to answer."""
    webhook_waiting: int = Field(100, ge=1)
    """Deliveries that may wait for one subscription in a partition; further ones wait on Kafka."""
    webhook_retry_first_seconds: float = Field(5.0, gt=0)
    webhook_retry_cap_seconds: float = Field(21_600.0, gt=0)
    webhook_give_up_days: float = Field(3.0, gt=0)
    """How long a delivery is tried; an endpoint that fails for so long altogether is disabled."""
    profile_open_sources: list[str] = Field(default_factory=list)
    """Sources of ``REGULARS_WRITE_KEYS`` that are pages or apps: they cannot say that two known
    people are one. Those that are declared say it by their kind, such as ``browser``."""
    profile_blocked_identifiers: list[str] = Field(default_factory=list)
    """Identifiers that mean nobody in this shop, such as the address that its tills write for every
    guest: ``["email:till@shop.example", "phone:+49301234567"]``. They join nobody from then on."""
    profile_default_region: str = Field("", pattern="^([A-Z]{2})?$")
    """Where phone numbers without a country are from (ISO 3166), for sources that do not say."""
    profile_identity_again_s: float = Field(60.0, gt=0)
    """How long after people were decided anew they are looked at again: no shorter than a
    transaction of another worker can last (``transactionLifetimeLimitSeconds``)."""

    @field_validator("base_currency")
    @classmethod
    def _known(cls, code: str | None) -> str | None:
        if not code:
            return None
        if code.strip().upper() not in CODES:
            raise ValueError("REGULARS_BASE_CURRENCY must be an ISO 4217 code such as EUR")
        return code.strip().upper()

"""Settings of ingest, from ``REGULARS_*`` environment variables."""

from pydantic import Field, SecretStr

from services.runtime.settings import Settings


class IngestSettings(Settings):
    """Keys, limits and patience of ingest."""

    ingest_port: int = 8100
    ingest_processes: int = Field(1, ge=1)
    """Processes that share the port: as many as the cores that ingest may use."""
    write_keys: dict[str, str] = Field(default_factory=dict)
    """SHA-256 (hex) of each write key -> the name of the source that holds it."""
    secret_keys: list[SecretStr] = Field(default_factory=list)
    """Fernet keys for the secrets of sources: the first seals, each opens. To rotate, put a
    new one in front. ``regulars sources secret-key`` makes one."""
    ingest_origins: list[str] = Field(default_factory=lambda: ["*"])
    """Web origins whose pages may send events from a browser (CORS)."""
    ack_seconds: float = Field(5.0, gt=0)
    """How long a request waits for the broker before it is answered 503."""
    pending_bytes: int = Field(64_000_000, ge=1_000_000)
    """Events that may wait for the broker; beyond it requests are answered 503 at once."""

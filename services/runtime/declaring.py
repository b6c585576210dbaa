"""How a definition is put on ``control.definitions``: the one record that all its writers send."""

from collections.abc import Callable

import msgspec

from schemas.messages import Definition
from schemas.topics import DEFINITIONS
from services.runtime.turn import Message

_encode = msgspec.json.Encoder().encode


def declared(
    definition: Definition,
    *,
    gone: bool = False,
    encode: Callable[[Definition], bytes] = _encode,
) -> Message:
    """The record of this version; ``gone``: of its end (a tombstone), whatever its body."""
    name = f"{definition.kind}/{definition.name}"
    return Message(
        topic=DEFINITIONS.name,
        key=name,
        value=None if gone else encode(definition),
        type="regulars.definition.changed.v1",
        id=f"{name}/{definition.version}",
        time=definition.updated_at,
    )

"""The outbox as it is stored: what was encoded comes back, large or small."""

import pytest

from services.runtime.checkpoints import Advance, decode, encode
from services.runtime.turn import Output, Source

SOURCE = Source("group/topic/0", "topic", 0)


@pytest.mark.parametrize("count", [0, 1, 1_000])
def test_an_outbox_comes_back_as_it_was(count: int) -> None:
    outputs = [
        Output("profile.interactions", 3, b"p1", b'{"number": %d}' % number, [("seq", b"1")])
        for number in range(count)
    ]
    advance = Advance(SOURCE, 7, 8, {}, outputs)
    encode([advance])
    assert advance.outbox is not None
    assert decode(advance.outbox) == outputs


def test_a_large_outbox_takes_little_room() -> None:
    outputs = [Output("profile.changes", 1, b"p1", b"so say we all" * 50, [])] * 200
    advance = Advance(SOURCE, 7, 8, {}, outputs)
    encode([advance])
    assert advance.outbox is not None
    assert len(advance.outbox) < 130_000 / 20

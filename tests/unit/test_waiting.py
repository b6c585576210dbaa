"""What waits for a turn stays in its order, until it was handled or is another worker's."""

from services.runtime.turn import Completion, Record, Source
from services.runtime.waiting import Waiting

HERE = Source("group/topic/0", "topic", 0)
THERE = Source("group/topic/1", "topic", 1)


def record(offset: int, source: Source = HERE, size: int = 1) -> Record:
    return Record(source, offset, b"key", b"x" * size, {})


def offsets(records: list[Record]) -> list[int]:
    return [it.offset for it in records]


def test_a_batch_is_bounded_by_count_and_by_bytes_but_never_empty() -> None:
    waiting = Waiting(batch_bytes=10)
    waiting.read([record(0, size=99), record(1, size=6), record(2, size=4), record(3)])
    assert offsets(waiting.batch(1_000)) == [0]
    waiting.done(waiting.batch(1_000), [])
    assert offsets(waiting.batch(1_000)) == [1, 2]
    assert offsets(waiting.batch(1)) == [1]


def test_a_turn_that_failed_finds_its_inputs_again() -> None:
    waiting, sent = Waiting(batch_bytes=1_000), Completion(HERE, "sent")
    waiting.read([record(0), record(1)])
    waiting.complete(sent)
    assert waiting.batch(1) == waiting.batch(1)
    assert waiting.completions(9) == waiting.completions(9) == [sent]
    waiting.done(waiting.batch(1), waiting.completions(1))
    assert (offsets(waiting.batch(9)), waiting.completions(9)) == ([1], [])


def test_what_others_own_is_forgotten() -> None:
    waiting, mine = Waiting(batch_bytes=1_000), Completion(HERE, "sent")
    waiting.read([record(0, THERE), record(1), record(2, THERE)])
    for completion in (Completion(THERE, "sent"), mine):
        waiting.complete(completion)
    waiting.forget([THERE.id])
    assert (offsets(waiting.batch(9)), waiting.completions(9)) == ([1], [mine])


def test_after_a_claim_records_come_again_and_what_was_done_for_a_former_claim_does_not() -> None:
    waiting, again = Waiting(batch_bytes=1_000), Source(THERE.id, "topic", 1)
    mine, former = Completion(HERE, "sent"), Completion(THERE, "sent")
    waiting.read([record(0)])
    waiting.complete(former)
    waiting.complete(mine)
    waiting.claimed([HERE, again])
    assert (waiting.records, waiting.completions(9)) == (0, [mine])

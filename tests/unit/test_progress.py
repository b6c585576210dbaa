"""What a stage takes of what it reads, and how what it publishes is numbered."""

from datetime import UTC, datetime

from services.runtime import progress
from services.runtime.turn import Output, Record, Source, Turn

HERE = Source("reporting/profile.interactions/3", "profile.interactions", 3)
THERE = Source("dead-letters/profile.interactions.dead/0", "profile.interactions.dead", 0, seq=7)


def record(offset: int, **headers: bytes) -> Record:
    return Record(HERE, offset, b"p1", b"{}", headers)


def test_a_record_that_was_replayed_for_another_stage_is_skipped() -> None:
    mine, other, everybody = record(1, dl_for=b"reporting"), record(2, dl_for=b"build"), record(3)
    assert progress.meant([mine, other, everybody], "reporting") == [mine, everybody]


def test_a_replay_that_was_published_twice_is_taken_once() -> None:
    headers = {"dl_for": b"reporting", "origin": THERE.id.encode(), "seq": b"1"}
    records, origins = progress.fresh([record(1, **headers), record(2, **headers)])
    assert [one.offset for one in records] == [1]
    assert origins == {HERE.id: {THERE.id: 1}}


def test_a_forwarded_record_stays_as_it_is_but_for_its_number() -> None:
    turn = Turn(now=datetime(2026, 3, 1, tzinfo=UTC), session=None)
    output = Output("profile.interactions", 3, None, b"\xff", [("ce_id", b"i-1")])
    turn.forward(THERE, output)
    (advance,) = progress.advances(turn, [], {}, "dead-letters")
    assert advance.seq == 8
    assert advance.outputs == [
        Output(
            "profile.interactions",
            3,
            None,
            b"\xff",
            [("ce_id", b"i-1"), ("origin", THERE.id.encode()), ("seq", b"8")],
        )
    ]
    assert output.headers == [("ce_id", b"i-1")]


def test_what_a_storefront_says_of_origin_and_seq_is_not_believed() -> None:
    open_ = Source("profile-resolve/events.clicks/0", "events.clicks", 0, origins={"o": 9})
    said = [Record(open_, n, b"a", b"{}", {"origin": b"o", "seq": b"1"}) for n in (4, 5)]
    assert progress.fresh(said) == (said, {})


def test_sources_that_take_turns_are_numbered_and_moved_on_apart() -> None:
    other = Source("reporting/profile.interactions/4", "profile.interactions", 4, offset=2, seq=1)
    records = [record(0), Record(other, 2, b"p2", b"{}", {}), record(1)]
    turn = Turn(now=datetime(2026, 3, 1, tzinfo=UTC), session=None)
    for each in records:
        turn.forward(each.source, Output("t", 0, each.key, each.value, []))
    here, there = progress.advances(turn, records, {}, "reporting")
    assert (here.source, here.offset, here.seq) == (HERE, 2, 2)
    assert (there.source, there.offset, there.seq) == (other, 3, 2)

    def numbers(source: Source, *seqs: bytes) -> list[list[tuple[str, bytes]]]:
        return [[("origin", source.id.encode()), ("seq", seq)] for seq in seqs]

    assert [one.headers for one in here.outputs] == numbers(HERE, b"1", b"2")
    assert [one.headers for one in there.outputs] == numbers(other, b"2")

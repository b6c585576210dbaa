"""Where a record goes, and what it carries."""

from datetime import UTC, datetime
from random import Random

from aiokafka.partitioner import murmur2 as theirs

from services.runtime.publish import murmur2, output_of, partition_of
from services.runtime.turn import Message, Output


def test_a_key_of_any_length_is_hashed_as_other_clients_hash_it() -> None:
    random = Random(7)
    keys = [random.randbytes(length) for length in range(65) for _ in range(200)]
    assert [murmur2(key) for key in keys] == [theirs(key) for key in keys]
    assert partition_of(b"p_1", 8) == (theirs(b"p_1") & 0x7FFFFFFF) % 8


def test_a_message_becomes_a_cloudevent_in_binary_mode() -> None:
    message = Message(
        topic="profile.interactions",
        key="p_é",
        value=b"{}",
        type="regulars.interaction.recorded.v1",
        id="m-1",
        time=datetime(2026, 3, 1, 12, 30, 0, 5, tzinfo=UTC),
        extra=(("event", b"Product Viewed"),),
    )
    assert output_of(message, "/profile-resolve", (("seq", b"7"),)) == Output(
        "profile.interactions",
        (theirs("p_é".encode()) & 0x7FFFFFFF) % 8,
        "p_é".encode(),
        b"{}",
        [
            ("ce_specversion", b"1.0"),
            ("ce_id", b"m-1"),
            ("ce_source", b"/profile-resolve"),
            ("ce_type", b"regulars.interaction.recorded.v1"),
            ("ce_time", b"2026-03-01T12:30:00.000005Z"),
            ("ce_subject", "p_é".encode()),
            ("content-type", b"application/json"),
            ("event", b"Product Viewed"),
            ("seq", b"7"),
        ],
    )
    message.partition = 5
    assert output_of(message, "/profile-resolve").partition == 5

"""Whatever lies on a dead-letter topic becomes a letter, and no replay of it is a crash."""

import json
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from schemas.topics import ALL
from schemas.validation import Fault
from services.ingest.dead_letters import life
from services.ingest.dead_letters.model import Action, Letter, Returned
from services.ingest.dead_letters.people import every_one_in, people_in
from services.ingest.dead_letters.repair import by_expression, by_patch
from services.ingest.dead_letters.replay import outputs_of
from services.ingest.dead_letters.rules import Place, read
from services.ingest.dead_letters.shapes import whole_of
from services.ingest.dead_letters.store import document_of, letter_of
from services.ingest.sources.model import Source
from tests.tried import tried

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TOPICS = [topic.name for topic in ALL]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
SAID = st.dictionaries(
    st.sampled_from(
        ["type", "event", "messageId", "userId", "traits", "properties", "receivedAt", "batch",
         "source", "flags", "till", "receipt", "email", "phone", "identifiers"]
    ),
    JSON | st.sampled_from(["track", "Order Completed", "0001-01-01T00:00:00+23:59", "a@b.c"]),
)  # fmt: skip
BODIES = (
    st.none() | st.binary(max_size=60) | (SAID | JSON).map(lambda one: json.dumps(one).encode())
)
WORDS = ["track", "batch", "sale", "hook", "upload", "web", "profile-build", "12", "-1",
         "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", '{"context": 7}',
         '{"context": {}, "integrations": {}}', *TOPICS]  # fmt: skip
HEADERS = st.dictionaries(
    st.sampled_from(
        ["dl_id", "dl_reason", "dl_detail", "dl_source", "dl_stage", "dl_at", "dl_call", "dl_size",
         "dl_shared", "dl_topic", "dl_partition", "dl_offset", "dl_replay", "ce_source", "ce_id"]
    ),
    st.binary(max_size=20) | st.sampled_from([word.encode() for word in WORDS]),
)  # fmt: skip


def letters(topic: str, key: bytes | None, value: bytes | None, headers: Any) -> Letter:
    said = read(Place("home", topic, 0, 7, NOW), key, value, headers)
    letter = said.letter if isinstance(said, Returned) else said
    assert isinstance(letter, Letter)
    return letter


@tried(300)
@given(
    st.sampled_from(["events.rejected", "events.orders.dead", "profile.interactions.dead"]),
    st.none() | st.binary(max_size=8),
    BODIES,
    HEADERS,
    BODIES,
)
def test_any_record_becomes_a_letter_that_can_be_kept_shown_and_judged(
    topic: str, key: bytes | None, value: bytes | None, headers: Any, body: bytes | None
) -> None:
    letter = letters(topic, key, value, headers)
    assert letter_of(document_of(letter)) == letter
    assert json.loads(whole_of(letter, raw=True))["id"] == letter.id
    for attempt in (None, body):
        outputs = outputs_of(letter, Source(name="web"), attempt)
        assert isinstance(outputs, Fault) or all(one.topic in TOPICS for one in outputs)
    patch, remake = by_patch([{"op": "add", "path": "/x", "value": 1}]), by_expression("{a: @}")
    assert isinstance(patch(letter), bytes | Fault)
    assert not isinstance(remake, Fault)
    assert isinstance(remake(letter), bytes | Fault)
    found = every_one_in(value)
    assert len(people_in(value)) == len(found) or len(found) > 500
    gone = life.erased(letter, Action(at=NOW, deed="erased"))
    assert (gone.raw, gone.key, gone.headers, gone.people) == (None, None, [], [])

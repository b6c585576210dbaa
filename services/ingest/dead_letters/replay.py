"""From a dead letter, as it was or edited, to the records that a replay publishes.

An event is judged by the same ``accept`` as when it came, at the time when it came. It keeps
its messageId; one that had none gets one made from the letter's id, so that however often it
is published it counts once. What a stage refused of an internal topic is published as it
was, for that stage alone: the topic's other readers have had it.
"""

from datetime import UTC, datetime
from hashlib import sha256

import msgspec

from schemas.payloads import EVENT_ACCEPTED
from schemas.topics import BY_NAME, EVENTS, MEANT_FOR, REJECTED, REPLAY_OF
from schemas.validation import LONGEST_MESSAGE_ID, Fault
from services.ingest.dead_letters.model import Letter
from services.ingest.handler import receipt_of
from services.ingest.model import Accepted, Judge, Receipt, Shared
from services.ingest.opening import open_batch, shared_of
from services.ingest.rules import accept, decode
from services.ingest.sources.model import Source
from services.ingest.till.translation import text_of
from services.runtime.publish import output_of
from services.runtime.turn import Message, Output

_EVENTS = frozenset(topic.name for topic in EVENTS)
_shared = msgspec.json.Decoder(Shared)
_encode = msgspec.json.Encoder(decimal_format="number").encode


def outputs_of(
    letter: Letter, source: Source, body: bytes | None = None, judge: Judge | None = None
) -> list[Output] | Fault:
    """What a replay of ``letter`` publishes, with ``body`` in place of its own; or why not.

    ``judge`` is that of the source's tracking plan as it now stands.

    Codes: those of ``accept``, ``open_batch`` and ``shared_of``; truncated, erased,
    not_editable, whole_state, bad_shared, not_an_event, empty_batch.
    """
    edited = letter.edited if body is None else body
    if letter.state == "erased":
        return Fault("erased", "Its content was erased.")
    if edited is None and letter.truncated:
        return Fault("truncated", f"Only {len(letter.raw or b''):,} bytes of it are kept.")
    if letter.topic != REJECTED.name and edited is None:
        return _as_it_was(letter)
    if letter.topic != REJECTED.name and letter.topic not in _EVENTS:
        return Fault("not_editable", f"Records of {letter.topic} are ours: nobody edits them.")
    events = events_of(letter, source, (letter.raw or b"") if edited is None else edited, judge)
    if isinstance(events, Fault):
        return events
    return [_output(event, letter) for event in events]


def events_of(
    letter: Letter, source: Source, body: bytes, judge: Judge | None = None
) -> list[Accepted] | Fault:
    """The events in ``body`` as ingest would have accepted them when the letter's own came."""
    call, shared, texts = letter.call, Shared(history=_was_history(letter)), [body]
    if call in ("hook", "upload"):
        return Fault("not_an_event", "A whole delivery: have whoever sent it send it again.")
    if letter.shared:
        try:
            shared = _shared.decode(letter.shared)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return Fault("bad_shared", "What its batch said for all cannot be read.")
    if call == "batch":
        envelope = open_batch(body)
        if isinstance(envelope, Fault):
            return envelope
        said = shared_of(envelope)
        if isinstance(said, Fault):
            return said
        said.history = shared.history
        call, shared, texts = None, said, [bytes(text) for text in envelope.batch]
        if not texts:
            return Fault("empty_batch", "There is no event in it.")
    elif call == "sale":
        sale = text_of(body, source.name)
        if isinstance(sale, Fault):
            return sale
        call, texts = None, [sale]
    else:
        texts = [_with_its_id(body, letter.message_id)]
    events: dict[str, Accepted] = {}
    for index, text in enumerate(texts):
        receipt = _receipt(letter, source, text, index)
        receipt.judge = judge
        outcome = accept(text, call, shared, receipt)
        if not isinstance(outcome, Accepted):
            fault, _ = outcome
            where = f"batch[{index}]: " if letter.call == "batch" else ""
            return Fault(fault.code, where + fault.detail)
        events.setdefault(outcome.message_id, outcome)
    return list(events.values())


def _with_its_id(body: bytes, message_id: str | None) -> bytes:
    """``body`` under the messageId that the event came with, where it had a good one."""
    if not message_id or not message_id.strip() or len(message_id) > LONGEST_MESSAGE_ID:
        return body
    said = decode(body)
    if isinstance(said, Fault) or said.get("messageId") == message_id:
        return body
    return _encode(said | {"messageId": message_id})


def _receipt(letter: Letter, source: Source, text: bytes, index: int) -> Receipt:
    number = sha256(f"{letter.id}/{index}".encode()).hexdigest()[:32]
    return receipt_of(source, _received(letter, text), lambda: f"dl-{number}")


def _was_history(letter: Letter) -> bool:
    """Whether a stage refused what had been imported: then it stays history."""
    if letter.topic not in _EVENTS:
        return False
    said = decode(letter.raw or b"")
    flags = None if isinstance(said, Fault) else said.get("flags")
    return isinstance(flags, list) and "history" in flags


def _received(letter: Letter, text: bytes) -> datetime:
    """When it came: an event that had been accepted once says so itself."""
    if letter.topic == REJECTED.name:
        return letter.at
    said = decode(text)
    if isinstance(said, Fault):
        return letter.at
    try:
        received = datetime.fromisoformat(str(said.get("receivedAt")))
        return min(received.astimezone(UTC), letter.at) if received.tzinfo else letter.at
    except (ValueError, OverflowError):
        return letter.at


def _output(event: Accepted, letter: Letter) -> Output:
    message = Message(
        topic=event.topic,
        key=event.key,
        value=event.value,
        type=EVENT_ACCEPTED,
        id=event.message_id,
        time=event.at,
        extra=(("event", event.name.encode()), (REPLAY_OF, letter.id.encode())),
    )
    return output_of(message, f"/ingest/{letter.source}")


def _as_it_was(letter: Letter) -> list[Output] | Fault:
    topic = BY_NAME.get(letter.topic)
    if topic is None:
        return Fault("unknown_topic", "This version has no such topic.")
    if topic.cleanup == "compact":
        # Published again, an old state would become the latest one to every reader.
        return Fault("whole_state", f"The next record of its key on {topic.name} replaces it.")
    headers = [*letter.headers, (REPLAY_OF, letter.id.encode())]
    headers.append((MEANT_FOR, letter.stage.encode()))
    return [Output(topic.name, letter.partition, letter.key, letter.raw, headers)]

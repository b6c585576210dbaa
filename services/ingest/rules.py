"""From an event as sent to an event as accepted: pure, one event at a time.

Whatever the sender adds is kept. What the contract (``schemas.messages.Event``) names is
brought into its form, and what would be wrong for everyone after is refused by
``schemas.validation``.
"""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, get_args

import msgspec

from schemas.catalogue import canonical, key_of, topic_of
from schemas.messages import Event
from schemas.properties.tidy import tidy
from schemas.validation import Fault, check, check_body, clamp, doubts
from services.ingest.model import MAX_EVENT, Accepted, Call, Receipt, Shared

_CALLS = frozenset(get_args(Call))
_NAMES = {"identify": "Identify", "group": "Group", "alias": "Alias"}
_IDS = ("userId", "anonymousId", "previousId", "groupId")
_KNOWN = frozenset(Event.__struct_encode_fields__)
_LONGEST_NUMBER = 64
_LARGEST_EXPONENT = 300
"""Numbers beyond it do not fit a double, which is all that other readers have."""


def _number(text: str) -> Decimal:
    number = Decimal(text)
    if len(text) > _LONGEST_NUMBER or abs(number.adjusted()) > _LARGEST_EXPONENT:
        raise ValueError("a number out of range")
    return number


_decoder = msgspec.json.Decoder(dict[str, Any], float_hook=_number)
_encoder = msgspec.json.Encoder(decimal_format="number")


def decode(text: bytes | msgspec.Raw) -> dict[str, Any] | Fault:
    """One JSON object, numbers exact. Codes: not_an_object, wrong_type, bad_text."""
    try:
        return _decoder.decode(text)
    except msgspec.ValidationError as error:
        # msgspec names a place within the object as "- at `$.x`", and the whole not at all.
        return Fault("wrong_type" if "at `$" in str(error) else "not_an_object", str(error))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Fault("bad_text", "Not JSON in UTF-8: NaN, Infinity or a broken character.")
    except RecursionError:
        return Fault("too_deep", "Nested too deeply.")


def accept(
    text: bytes, call: str | None, shared: Shared, receipt: Receipt
) -> Accepted | tuple[Fault, str | None]:
    """The event in ``text`` as it goes to its topic; or why not, and its messageId if known.

    ``call`` is what the address said; None in a batch, where each event says its ``type``.
    Codes: event_too_large, not_an_object, bad_text, wrong_type, unknown_type, bad_timestamp,
    plan_violation and those of ``schemas.validation``.
    """
    if len(text) > MAX_EVENT:
        return Fault("event_too_large", f"An event has at most {MAX_EVENT:,} bytes."), None
    said = check_body(text) or decode(text)
    if isinstance(said, Fault):
        return said, None
    message_id = said.get("messageId")
    known_id = message_id if isinstance(message_id, str) else None
    flags = ["history"] if shared.history else []
    fault = _tidy(said, call, receipt, flags) or _settle_time(said, shared, receipt, flags)
    if fault is not None:
        return fault, known_id
    _merge(said, shared)
    _doubt_context(said.get("context"), flags)
    said["source"] = receipt.source
    if flags:
        said["flags"] = flags
    try:
        event = msgspec.convert(said, Event)
    except msgspec.ValidationError as error:
        return Fault("wrong_type", str(error)), known_id
    fault = check(event) or _judge(event, said, receipt)
    if fault is not None:
        return fault, known_id
    return Accepted(
        topic=topic_of(event.type, event.event),
        key=key_of(event) or "",
        value=_encoder.encode(said),
        message_id=event.message_id,
        at=event.timestamp,
        name=event.event or _NAMES.get(event.type) or f"{event.type.title()} Viewed",
        generated=known_id is None,
    )


def _judge(event: Event, said: dict[str, Any], receipt: Receipt) -> Fault | None:
    """Whether the source's tracking plan lets it pass; flagged where it only warns."""
    verdict = None if receipt.judge is None else receipt.judge(event)
    if verdict is None:
        return None
    if verdict.blocked:
        return Fault("plan_violation", verdict.detail)
    said["flags"] = [*event.flags, "plan_violation"]
    return None


def _tidy(
    said: dict[str, Any], call: str | None, receipt: Receipt, flags: list[str]
) -> Fault | None:
    """Bring names and ids into the contract's form; secrets and our own fields go."""
    for name in [name for name, value in said.items() if value is None and name in _KNOWN]:
        del said[name]
    for ours in ("writeKey", "receivedAt", "flags"):
        said.pop(ours, None)
    kind = call or said.get("type")
    if not isinstance(kind, str) or kind not in _CALLS:
        return Fault("unknown_type", f"type must be one of {', '.join(sorted(_CALLS))}.")
    said["type"] = kind
    for name in _IDS:
        value = said.get(name)
        if isinstance(value, str):
            if not value.strip():
                del said[name]
        elif isinstance(value, int) and not isinstance(value, bool):
            said[name] = str(value)
    if said.get("messageId") is None:
        said["messageId"] = receipt.fresh_id()
        flags.append("message_id_generated")
    event = said.get("event")
    if isinstance(event, str):
        said["event"] = event = canonical(event)
        properties = said.get("properties")
        if isinstance(properties, dict):
            tidy(event, properties, receipt.currency)
            flags += doubts(event, properties)
    return None


def _settle_time(
    said: dict[str, Any], shared: Shared, receipt: Receipt, flags: list[str]
) -> Fault | None:
    """Set ``timestamp``, ``receivedAt``, ``originalTimestamp`` and ``sentAt``.

    What is imported has been corrected where it was collected, and was sent from there long
    ago: its ``timestamp`` stands.
    """
    first, second = "originalTimestamp", "timestamp"
    if shared.history:
        first, second = second, first
    original = said.get(first, said.get(second))
    said["receivedAt"] = said["timestamp"] = receipt.at
    sent_text = said.get("sentAt", shared.sent_at)
    sent = None
    if sent_text is not None:
        sent = parse_instant(sent_text)
        if sent is None:
            said.pop("sentAt", None)
            flags.append("sent_at_ignored")
        else:
            said["sentAt"] = sent
    if original is None:
        return None
    instant = parse_instant(original)
    if instant is None:
        return Fault("bad_timestamp", "timestamp must be a time of ISO 8601.")
    said["originalTimestamp"] = instant
    skewed = None if shared.history else sent
    said["timestamp"], clamped = event_time(instant, skewed, receipt.at)
    if clamped:
        flags.append("timestamp_clamped")
    return None


def event_time(
    original: datetime, sent: datetime | None, received: datetime
) -> tuple[datetime, bool]:
    """When it happened by our clock, and whether the answer had to be clamped.

    ``received - (sent - original)``, which removes the error of the sender's clock
    (Segment spec, "common fields"); clamped by ``schemas.validation.clamp``.
    """
    if sent is not None:
        try:
            original = received - (sent - original)
        except OverflowError:
            return received, True
    return clamp(original, received)


def parse_instant(value: Any) -> datetime | None:
    """A time of ISO 8601 in UTC; one without an offset is taken as UTC."""
    if not isinstance(value, str):
        return None
    try:
        instant = datetime.fromisoformat(value.strip())
        if instant.tzinfo is None:
            return instant.replace(tzinfo=UTC)
        return instant if instant.tzinfo is UTC else instant.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _merge(said: dict[str, Any], shared: Shared) -> None:
    """Add what the batch said for all; the event's own word wins."""
    if shared.context:
        own = said.setdefault("context", {})
        if isinstance(own, dict):
            said["context"] = shared.context | own
    if shared.integrations:
        own = said.setdefault("integrations", {})
        if isinstance(own, dict):
            said["integrations"] = shared.integrations | own


def _doubt_context(context: Any, flags: list[str]) -> None:
    """Flag what readers of a context will not understand; it stays as it came."""
    if not isinstance(context, dict):
        return
    consent = context.get("consent")
    if consent is not None and not _is_consent(consent):
        flags.append("consent_unreadable")
    ids = context.get("externalIds")
    if ids is not None and not (isinstance(ids, list) and all(map(_is_external_id, ids))):
        flags.append("external_ids_unreadable")


def _is_consent(said: Any) -> bool:
    preferences = said.get("categoryPreferences") if isinstance(said, dict) else None
    return isinstance(preferences, dict) and all(
        isinstance(granted, bool) for granted in preferences.values()
    )


def _is_external_id(said: Any) -> bool:
    """``{id, type, collection, encoding}`` (Segment spec, "context"); the last two may lack."""
    if not isinstance(said, dict) or isinstance(said.get("id"), bool):
        return False
    words = [said.get("type"), said.get("collection", ""), said.get("encoding", "")]
    named = isinstance(said.get("id"), str | int) and said["id"] != "" and words[0] != ""
    return named and all(isinstance(word, str) for word in words)


def milliseconds(at: datetime) -> datetime:
    """``at`` cut to milliseconds, which is what senders give."""
    return at - timedelta(microseconds=at.microsecond % 1_000)

"""From a record of a dead-letter topic to what it says. Pure."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Struct

from schemas.topics import REJECTED, REPLAY_OF
from services.ingest.dead_letters.model import MAX_RAW, Action, Letter, Returned, Suppressed
from services.ingest.dead_letters.people import digests, people_in

_NAME = re.compile(r"[\w.-]{1,60}")
_OTHER = re.compile(r"[^\w.-]+")
_LONGEST = 200
_UNKNOWN = "unknown"
_counts = msgspec.json.Decoder(dict[str, int])


class Place(Struct, frozen=True):
    """Where a record was read: the partition's ``Source.id``, and the record's offset."""

    home: str
    topic: str
    partition: int
    offset: int
    expires: datetime
    """When a letter that was read now is forgotten."""


def read(
    place: Place, key: bytes | None, value: bytes | None, headers: Mapping[str, bytes]
) -> Letter | Returned | Suppressed | None:
    """What a record says; None for the marker of a replay by ``regulars dead-letters``."""
    if "dl_suppressed" in headers:
        return _suppressed(value, headers)
    if "dl_replayed" in headers:
        return None
    letter = _letter(place, key, value, headers)
    again = _text(headers, REPLAY_OF)
    if not again or place.topic == REJECTED.name:
        return letter
    action = Action(
        at=letter.at,
        deed="refused",
        by=letter.stage,
        code=letter.reason,
        detail=letter.detail,
        place=letter.id,
    )
    return Returned(again, action, letter)


def _letter(
    place: Place, key: bytes | None, value: bytes | None, headers: Mapping[str, bytes]
) -> Letter:
    name, message_id, said_source = _facts(value)
    refused_here = place.topic == REJECTED.name
    topic = place.topic if refused_here else _text(headers, "dl_topic") or place.topic
    partition = _number(headers, "dl_partition")
    stage, reason = _text(headers, "dl_stage"), _text(headers, "dl_reason")
    if refused_here:
        id_ = _text(headers, "dl_id") or f"{place.topic}:{place.partition}:{place.offset}"
        source = _text(headers, "dl_source") or (key or b"").decode("utf-8", "replace")
    else:
        # Several stages read one topic, and each may refuse the same record.
        id_ = f"{topic}:{partition}:{_number(headers, 'dl_offset')}:{stage}"
        source = _text(headers, "ce_source").removeprefix("/ingest/").strip("/") or said_source
    return Letter(
        id=id_,
        home=place.home,
        topic=topic,
        partition=partition,
        key=key,
        source=_plain(source),
        door=_text(headers, "dl_door"),
        call=_text(headers, "dl_call") or None,
        shared=headers.get("dl_shared", b""),
        reason=reason if _NAME.fullmatch(reason) else _UNKNOWN,
        detail=_text(headers, "dl_detail"),
        stage=stage,
        at=_instant(headers),
        expires=place.expires,
        name=(name or _text(headers, "event"))[:_LONGEST],
        message_id=message_id or _text(headers, "ce_id")[:_LONGEST] or None,
        raw=None if value is None else value[:MAX_RAW],
        size=_number(headers, "dl_size") or len(value or b""),
        headers=[(name, one) for name, one in headers.items() if not name.startswith("dl_")],
        people=people_in(value) + ([] if refused_here else _senders(key)),
    )


def _senders(key: bytes | None) -> list[bytes]:
    """A record's key names somebody, in one of these ways."""
    name = (key or b"").decode("utf-8", "replace")
    kinds = ("user_id", "anonymous_id", "profile_id")
    return digests((kind, name) for kind in kinds) if name else []


def _suppressed(value: bytes | None, headers: Mapping[str, bytes]) -> Suppressed:
    try:
        reasons = _counts.decode(value or b"")
    except msgspec.MsgspecError:
        reasons = {_UNKNOWN: _number(headers, "dl_suppressed")}
    source = _text(headers, "dl_source")
    return Suppressed(_plain(source), _instant(headers), reasons)


def _plain(source: str) -> str:
    """A name that fits everywhere: ``https://shop.example/till`` is ``shop.example-till``."""
    return _OTHER.sub("-", source.partition("://")[2] or source).strip("-")[:60] or _UNKNOWN


def _facts(value: bytes | None) -> tuple[str, str | None, str]:
    """The name, the message id and the source that a body says; empty where it does not."""
    try:
        said: Any = msgspec.json.decode(value or b"")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return "", None, ""
    if not isinstance(said, dict):
        return "", None, ""
    names = (said.get(field) for field in ("event", "name", "type"))
    ids = (said.get(field) for field in ("messageId", "interaction_id", "message_id"))
    name = next((one for one in names if isinstance(one, str) and one), "")
    message_id = next((one for one in ids if isinstance(one, str) and one), None)
    source = said.get("source")
    return name, message_id and message_id[:_LONGEST], source if isinstance(source, str) else ""


def _text(headers: Mapping[str, bytes], name: str) -> str:
    return headers.get(name, b"").decode("utf-8", "replace")


def _number(headers: Mapping[str, bytes], name: str) -> int:
    value = headers.get(name, b"")
    return int(value) if value.isdigit() and len(value) < 19 else 0


def _instant(headers: Mapping[str, bytes]) -> datetime:
    try:
        at = datetime.fromisoformat(_text(headers, "dl_at"))
        return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return datetime.fromtimestamp(0, UTC)

"""A mail as it comes in: MIME bytes to who wrote what, in which thread. Pure, and wary.

The standard library's parser, with its lenient policy: the newer one reads each header by
grammar and stumbles over some that strangers send. What its time grows with (parts, and
parts within parts) is counted first. Attachments are named, never kept. Sources: RFC 5322
(threads, 3.6.4), RFC 3834 (automatic answers), RFC 3464 (reports), RFC 8601
(Authentication-Results).
"""

import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from email import message_from_bytes, policy
from email.errors import MessageError
from email.header import decode_header, make_header
from email.message import Message
from email.utils import parseaddr, parsedate_to_datetime
from hashlib import sha256
from typing import Any

import quotequail
from msgspec import Struct

from schemas.validation import Fault
from services.ingest.hooks.plain import from_html
from services.ingest.hooks.reading import clip

LONGEST_TEXT = 5_000
"""Characters of a mail's text that are kept."""
_READ = 10_000
"""Characters that are searched for quoted mail: the search is slow."""
_MOST_PARTS = 5_000
_DEEPEST = 50
_MOST_LINES = 500_000
_MOST_ATTACHMENTS = 20
_LONGEST_HEADER = 4_000
_LARGEST_HEAD = 256 * 1024
_HEAD_ENDS = re.compile(rb"\r?\n\r?\n")
_BELIEVED = timedelta(days=7)
"""How far before its arrival a mail's own date is believed."""
_MESSAGE_ID = re.compile(r"<([^<>\s]{1,500})>")
_RESULT = re.compile(r"\b(spf|dkim|dmarc)=([a-z]{1,12})\b")
_ADDRESS = re.compile(r"[^@\s<>]{1,200}@[^@\s<>]{1,255}")
_BULK = frozenset({"bulk", "junk", "list", "auto_reply"})


class Letter(Struct, kw_only=True):
    """One mail, read."""

    key: str
    """The same for the same mail: a hash of its Message-ID and its sender."""
    sender: str
    """Whose mail it is: who wrote it; of a report that a mail was not delivered, to whom."""
    at: datetime
    properties: dict[str, Any]


def read_letter(raw: bytes, received_at: datetime) -> Letter | Fault:
    """The mail in ``raw``. Codes: bad_mime, no_sender."""
    if raw.count(b"\n--") > _MOST_PARTS or raw.lower().count(b"multipart/") > _DEEPEST:
        return Fault("bad_mime", "The mail has too many parts.")
    if raw.count(b"\n") > _MOST_LINES:
        return Fault("bad_mime", "The mail has too many lines.")
    if len(raw) > _LARGEST_HEAD and not _HEAD_ENDS.search(raw, 0, _LARGEST_HEAD):
        return Fault("bad_mime", "The mail's headers are too long.")
    try:
        mail = message_from_bytes(raw, policy=policy.compat32)
        parts = list(mail.walk())
    except (MessageError, RecursionError, ValueError, LookupError):
        return Fault("bad_mime", "The mail cannot be read.")
    name, address = _address(_header(mail, "From"))
    sender = _failed(parts) or address
    if sender is None:
        return Fault("no_sender", "The mail names no sender.")
    message_id = _first_id(_header(mail, "Message-ID"))
    body, automatic = _body(parts), _automatic(mail, parts)
    text, quoted = _reply(body)
    attached = list(_attachments(parts))
    return Letter(
        key=sha256(f"{message_id or sha256(raw).hexdigest()}\n{address}".encode()).hexdigest(),
        sender=sender,
        at=_date(_header(mail, "Date"), received_at),
        properties={
            "conversation_id": _root(mail) or message_id,
            "message_id": message_id,
            "in_reply_to": _first_id(_header(mail, "In-Reply-To")),
            "from_name": clip(name, 200),
            "to": _address(_header(mail, "Delivered-To") or _header(mail, "To"))[1],
            "subject": clip(_header(mail, "Subject"), 500),
            "text": clip(text, LONGEST_TEXT),
            "truncated": True if len(text) > LONGEST_TEXT else None,
            "quoted": True if quoted else None,
            "attachments": attached[:_MOST_ATTACHMENTS],
            "attachment_count": len(attached) or None,
            "automatic": True if automatic else None,
            **_results(mail),
        },
    )


def _header(mail: Message, name: str) -> str:
    """A header in plain words; empty when there is none. Of several the first, the topmost."""
    raw = str(mail.get(name, ""))[:_LONGEST_HEADER]
    try:
        text = str(make_header(decode_header(raw)))
    except (MessageError, ValueError, LookupError):
        text = raw
    return " ".join(clip(text, _LONGEST_HEADER).split())


def _address(header: str) -> tuple[str, str | None]:
    try:
        name, address = parseaddr(header)
    except (IndexError, RecursionError, ValueError):
        return "", None
    return name, address if _ADDRESS.fullmatch(address) else None


def _first_id(header: str) -> str | None:
    found = _MESSAGE_ID.search(header)
    return found[1] if found else None


def _root(mail: Message) -> str | None:
    """The first mail of the thread: what References begins with, else what is answered."""
    return _first_id(_header(mail, "References")) or _first_id(_header(mail, "In-Reply-To"))


def _date(header: str, received_at: datetime) -> datetime:
    try:
        date = parsedate_to_datetime(header).astimezone(received_at.tzinfo)
    except (TypeError, ValueError, IndexError, OverflowError):
        return received_at
    return date if received_at - _BELIEVED <= date <= received_at else received_at


def _automatic(mail: Message, parts: list[Message]) -> bool:
    """Whether a machine wrote it: an answer of absence, a report, a list."""
    submitted = _header(mail, "Auto-Submitted").lower()
    return (
        (bool(submitted) and not submitted.startswith("no"))
        or _header(mail, "Precedence").lower() in _BULK
        or _header(mail, "Return-Path") == "<>"
        or bool(_header(mail, "X-Autoreply") or _header(mail, "X-Autorespond"))
        or any(part.get_content_type() == "multipart/report" for part in parts)
    )


def _failed(parts: list[Message]) -> str | None:
    """To whom a mail was not delivered, of a report that says so."""
    for part in parts:
        recipient = _header(part, "Final-Recipient")
        if recipient:
            return _address(recipient.partition(";")[2].strip())[1]
    return None


def _results(mail: Message) -> dict[str, str]:
    """What the receiving server says of SPF, DKIM and DMARC: its header is the topmost."""
    said = _header(mail, "Authentication-Results").lower()
    return dict(reversed(_RESULT.findall(said)))


def _body(parts: Iterable[Message]) -> str:
    html = ""
    for part in parts:
        if part.is_multipart() or part.get_content_disposition() == "attachment":
            continue
        kind = part.get_content_type()
        if kind == "text/plain" and (text := _decoded(part).strip()):
            return text
        if kind == "text/html" and not html:
            html = from_html(_decoded(part))
    return html


def _decoded(part: Message) -> str:
    payload = _bytes(part)
    charset = part.get_content_charset() or "utf-8"
    try:
        return payload.decode(charset, "replace")
    except (LookupError, ValueError):
        return payload.decode("utf-8", "replace")


def _bytes(part: Message) -> bytes:
    try:
        payload = part.get_payload(decode=True)
    except (ValueError, LookupError):
        return b""
    return payload if isinstance(payload, bytes) else b""


def _reply(text: str) -> tuple[str, bool]:
    """``text`` without the mail that it answers, and whether there was one."""
    text = text.replace("\r\n", "\n")
    shown = quotequail.quote(text[:_READ], limit=_READ, quote_intro_line=True)
    kept = "\n".join(part for visible, part in shown if visible).strip()
    if len(shown) < 2 or not kept:
        return text, False  # Nothing but somebody else's mail: that is what was meant.
    return kept, True


def _attachments(parts: Iterable[Message]) -> Iterable[dict[str, Any]]:
    for part in parts:
        if part.is_multipart():
            continue
        try:
            name = part.get_filename()
        except (ValueError, LookupError, IndexError):
            name = None
        if name is None and part.get_content_disposition() != "attachment":
            continue
        yield {
            "name": clip(" ".join(str(name or "").split()), 200),
            "type": clip(part.get_content_type(), 100),
            "size": len(_bytes(part)),
        }

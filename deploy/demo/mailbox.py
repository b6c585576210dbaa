"""What the mail sink has accepted: the last mails, taken apart when somebody looks."""

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from functools import cached_property
from itertools import count

from pydantic import BaseModel

KEPT = 50_000
KEPT_BYTES = 100_000_000
_MESSAGE_ID = re.compile(rb"^message-id:\s*(\S+)", re.IGNORECASE | re.MULTILINE)


class MailAnswer(BaseModel):
    """One mail that was accepted."""

    id: int
    received_at: datetime
    sender: str
    to: str
    subject: str
    headers: dict[str, str]
    text: str
    html: str | None


@dataclass
class Mail:
    """A mail as it came; taken apart only when somebody looks."""

    id: int
    sender: str
    to: tuple[str, ...]
    raw: bytes
    received_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def message_id(self) -> str:
        """The Message-ID header without its brackets."""
        head = self.raw.partition(b"\r\n\r\n")[0]
        found = _MESSAGE_ID.search(head)
        return found.group(1).decode("ascii", "replace").strip("<>") if found else ""

    @cached_property
    def parsed(self) -> MailAnswer:
        """Its headers and parts, decoded."""
        message = message_from_bytes(self.raw, policy=policy.default)
        headers = _headers(message)
        return MailAnswer(
            id=self.id,
            received_at=self.received_at,
            sender=self.sender,
            to=", ".join(self.to),
            subject=next((v for name, v in headers.items() if name.lower() == "subject"), ""),
            headers=headers,
            text=_body(message, "plain") or "",
            html=_body(message, "html"),
        )


class Mailbox:
    """The last mails, bounded by number and bytes."""

    def __init__(self) -> None:
        self._mails = deque[Mail]()
        self._bytes = 0
        self._ids = count(1)
        self.received = 0

    def add(self, sender: str, to: tuple[str, ...], raw: bytes) -> None:
        """Keep a mail; the oldest go when there are too many."""
        self._mails.append(Mail(next(self._ids), sender, to, raw))
        self._bytes += len(raw)
        self.received += 1
        while len(self._mails) > KEPT or (self._bytes > KEPT_BYTES and len(self._mails) > 1):
            self._bytes -= len(self._mails.popleft().raw)

    def clear(self) -> None:
        """Forget all of them."""
        self._mails.clear()
        self._bytes = self.received = 0

    def __len__(self) -> int:
        return len(self._mails)

    def find(self, to: str, message_id: str, before: int | None) -> Iterator[Mail]:
        """The latest first; "" matches any; ``message_id`` with or without its domain."""
        for mail in reversed(self._mails):
            if before is not None and mail.id >= before:
                continue
            if to and to.casefold() not in (address.casefold() for address in mail.to):
                continue
            if message_id and message_id not in (mail.message_id, mail.message_id.split("@")[0]):
                continue
            yield mail

    def get(self, id_: int) -> Mail | None:
        """One mail, if it is still kept."""
        return next((mail for mail in self._mails if mail.id == id_), None)


def _headers(message: EmailMessage) -> dict[str, str]:
    """The first of each name, decoded where it can be."""
    headers: dict[str, str] = {}
    for name, raw in message.raw_items():
        try:
            value = str(message.policy.header_fetch_parse(name, raw))
        except Exception:  # noqa: BLE001  # the parser stumbles over what is badly broken
            value = repr(raw)
        headers.setdefault(name, value)
    return headers


def _body(message: EmailMessage, kind: str) -> str | None:
    part = message.get_body(preferencelist=(kind,))
    if part is None:
        return None
    try:
        return str(part.get_content())
    except (LookupError, ValueError):  # a character set that nobody knows
        return repr(part.get_payload())
